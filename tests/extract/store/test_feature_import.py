"""``optsg-store import-features``: features of other programs and CREATE's annotations to a store, and on to training."""

from __future__ import annotations

import json
import re
from pathlib import Path

import h5py
import numpy as np
import pytest
from click.testing import CliRunner, Result
from optsg.data.errors import InputError
from optsg.data.inputs.ready_features import open_ready_features
from optsg.data.media import Failure
from optsg.data.store import open_store
from optsg.data.store.part_writer import Hdf5StoreWriter
from optsg.data.store.schema import VideoFeatures
from optsg.data.store.verification import verify_store
from optsg.extract.growing_store import GrowingStore
from optsg.extract.store import feature_import
from optsg.extract.store.cli import main
from optsg.train.cli import main as train_main
from optsg.train.run.run import load_run

from tests.tiny_world import as_options, read_log

ANIMALS = ("猫", "狗", "狐狸")
WIDTH = 12


def arrays(count: int, *, frames: int = 3) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {f"v{number}": rng.normal(size=(frames, WIDTH)).astype(np.float32) for number in range(count)}


def save_folder(path: Path, found: dict[str, np.ndarray]) -> Path:
    for number, (name, values) in enumerate(found.items()):
        file = path / str(number % 2) / f"{name}.npy"
        file.parent.mkdir(parents=True, exist_ok=True)
        np.save(file, values)
    return path


def save_npz(path: Path, found: dict[str, np.ndarray]) -> Path:
    np.savez(path.with_suffix(".npz"), **found)  # type: ignore[arg-type]
    return path.with_suffix(".npz")


def save_hdf5(path: Path, found: dict[str, np.ndarray]) -> Path:
    with h5py.File(path.with_suffix(".h5"), "w") as file:
        for name, values in found.items():
            file[name] = values
    return path.with_suffix(".h5")


SAVERS = [save_folder, save_npz, save_hdf5]


def write_create(path: Path, names: range) -> Path:
    rows = [
        {
            "vid": f"v{number}",
            "ann_title": "",
            "ann_caption": "",
            "raw_title": f"一只{ANIMALS[number % 3]}",
            "tag": [ANIMALS[number % 3], "动物"],
            "category": 1,
        }
        for number in names
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(rows, ensure_ascii=False), encoding="utf-8")
    return path


def run(*arguments: str | Path) -> Result:
    encoder = ["--text-encoder", "characters:32", "--device", "cpu"]
    return CliRunner().invoke(main, ["import-features", *map(str, arguments), *encoder])


@pytest.mark.parametrize("save", SAVERS)
def test_every_form_of_features_becomes_the_same_store(save, tmp_path: Path) -> None:
    found = arrays(4)
    found["v3"] = np.random.default_rng(1).normal(size=(70, WIDTH))
    features = save(tmp_path / "clip", found)
    metadata = tmp_path / "create"
    write_create(metadata / "create_210k_train.json", range(2))
    write_create(metadata / "create_210k_test.json", range(2, 4))
    out = tmp_path / "feats.h5"
    result = run(features, "--metadata", metadata, "--out", out, "--image-encoder", "ViT-B-32/openai")
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[0] == "ok               4  4 videos"
    assert verify_store(out).problems == []
    with open_store(out) as store:
        assert store.ids() == ["v0", "v1", "v2", "v3"]
        assert np.array_equal(store.frames(0), found["v0"].astype(np.float16))
        assert store.times(0).tolist() == [0, 1, 2]
        assert np.isnan(store.duration(0))
        assert (len(store.times(3)), store.times(3)[0], store.times(3)[-1]) == (60, 0, 69)
        assert np.array_equal(store.frames(3)[-1], found["v3"][-1].astype(np.float16))
        assert [store.features(row).split for row in range(4)] == ["train", "train", "test", "test"]
        assert (store.title(2), store.tag_keys) == ("一只狐狸", ["猫", "动物", "狗", "狐狸"])
        assert store.header.image_encoder == {
            "library": "open_clip",
            "name": "ViT-B-32",
            "pretrained": "openai",
            "dtype": "float16",
            "imported_from": features.name,
        }
        assert (store.header.frame_dim, store.header.tag_dim, store.backend(0)) == (WIDTH, 32, "ready features")
        assert store.source(0) == ("clip/0/v0.npy" if save is save_folder else f"{features.name}/v0")
        assert store.digest(0).startswith("sha256:") == (save is save_folder)
    info = CliRunner().invoke(main, ["info", str(out)])
    assert f"features imported from {features.name}" in info.output


def test_a_second_import_adds_what_is_new_and_tries_failures_again(tmp_path: Path) -> None:
    found = arrays(4)
    train = write_create(tmp_path / "create_210k_train.json", range(3))
    first = save_folder(tmp_path / "clip", {"v0": found["v0"], "v1": found["v1"]})
    out = tmp_path / "feats.h5"
    result = run(first, "--metadata", train, "--out", out, "-q")
    assert (result.exit_code, result.output) == (0, "")
    with open_store(out) as store:
        [failure] = store.failures
        assert (failure.id, failure.error) == (
            "v2",
            f"create_210k_train.json, item 3: no feature file called 'v2' in the folder {first}",
        )
    result = run(first, "--metadata", train, "--out", out)
    assert result.stdout.splitlines()[-1] == f"{out}: nothing new, left as it was"
    second = save_folder(tmp_path / "more", {"v2": found["v2"]})
    assert run(second, "--metadata", train, "--out", out, "-q").exit_code == 0
    with open_store(out) as store:
        assert (store.ids(), store.failures) == (["v0", "v1", "v2"], [])


def test_an_interrupted_import_goes_on_and_equals_one_in_one_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    features = save_folder(tmp_path / "clip", arrays(5))
    train = write_create(tmp_path / "create_210k_train.json", range(5))
    whole, out = tmp_path / "whole.h5", tmp_path / "feats.h5"
    assert run(features, "--metadata", train, "--out", whole, "-q").exit_code == 0

    def stop(self: GrowingStore, result: VideoFeatures | Failure, writer: Hdf5StoreWriter) -> None:
        if self.summary.videos == 3:
            raise KeyboardInterrupt
        write(self, result, writer)

    write = GrowingStore.write
    with monkeypatch.context() as patch:
        patch.setattr(feature_import, "VIDEOS_PER_PART", 2)
        patch.setattr(GrowingStore, "write", stop)
        result = run(features, "--metadata", train, "--out", out)
    assert result.exit_code == 130
    assert result.output.splitlines()[-1] == (
        f"interrupted; complete parts are in {out}.parts, the same command goes on"
    )
    assert not out.exists()
    result = run(features, "--metadata", train, "--out", out)
    assert result.stdout.splitlines()[:2] == ["ok               3  3 videos", "earlier          2  done before"]
    with open_store(whole) as a, open_store(out) as b:
        assert a.ids() == b.ids()
        assert all(np.array_equal(a.frames(row), b.frames(row)) for row in range(5))
        assert all(a.title_tokens(row).tolist() == b.title_tokens(row).tolist() for row in range(5))
        assert a.header.text_encoder == b.header.text_encoder
    assert not out.with_name("feats.h5.parts").exists()


def test_one_bad_array_is_a_failure_and_strict_makes_it_fatal(tmp_path: Path) -> None:
    found = arrays(7)
    found["v1"] = np.zeros((2, 5), np.float32)
    found["v2"] = np.zeros(WIDTH, np.float32)
    found["v3"] = np.full((1, WIDTH), np.inf, np.float32)
    found["v4"] = np.zeros((0, WIDTH), np.float32)
    found["v5"] = np.zeros((2, WIDTH), np.int64)
    features = save_folder(tmp_path / "clip", found)
    (features / "1" / "v6.npy").unlink(missing_ok=True)
    (features / "0" / "v6.npy").write_bytes(b"no array")
    train = write_create(tmp_path / "create_210k_train.json", range(7))
    out = tmp_path / "feats.h5"
    assert run(features, "--metadata", train, "--out", out, "-q").exit_code == 0
    with open_store(out) as store:
        assert store.ids() == ["v0"]
        errors = [failure.error for failure in store.failures]
    item = "create_210k_train.json, item"
    assert errors[:-1] == [
        f"{item} 2: clip/1/v1.npy is 5 wide, the others 12",
        f"{item} 3: clip/0/v2.npy is 12 of float32; expected floating-point numbers, frames x width",
        f"{item} 4: clip/1/v3.npy holds values that are not finite, or above 65504",
        f"{item} 5: clip/0/v4.npy holds no frames",
        f"{item} 6: clip/1/v5.npy is 2x12 of int64; expected floating-point numbers, frames x width",
    ]
    assert re.fullmatch(rf"{item} 7: clip/0/v6.npy is no array of numbers \(.+\)", errors[-1])
    result = run(features, "--metadata", train, "--out", tmp_path / "strict.h5", "--strict", "-q")
    assert (result.exit_code, result.output) == (1, f"error: {errors[0]}; --strict makes this fatal\n")


def test_patches_of_images_with_a_table(tmp_path: Path) -> None:
    features = save_folder(
        tmp_path / "patches", {"p1": np.ones((49, 8), np.float16), "p2": np.ones((49, 8), np.float16)}
    )
    table = tmp_path / "pexel.csv"
    table.write_text('file_name,title,tags,split\nimages/p1.jpg,Sea,"sea, blue",train\nimages/p2.jpg,Road,road,test\n')
    assert run(features, "--metadata", table, "--out", tmp_path / "feats", "--patches", "-q").exit_code == 0
    with open_store(tmp_path / "feats") as store:
        assert [store.kind(row) for row in range(2)] == ["image", "image"]
        assert (store.patches(0).shape, len(store.frames(0)), store.duration(0)) == ((49, 8), 0, 0.0)
        assert [store.features(row).split for row in range(2)] == ["train", "test"]


def test_what_is_no_ready_features_is_one_sentence(tmp_path: Path) -> None:
    train = write_create(tmp_path / "create_210k_train.json", range(1))
    result = run(tmp_path / "nowhere", "--metadata", train, "--out", tmp_path / "feats.h5")
    assert (result.exit_code, result.output) == (1, f"error: {tmp_path / 'nowhere'}: there is no such file or folder\n")
    result = run(train, "--metadata", train, "--out", tmp_path / "feats.h5")
    assert result.output == f"error: {train}: not ready features; expected a folder of VID.npy, a .npz or a .h5\n"
    (tmp_path / "empty").mkdir()
    result = run(tmp_path / "empty", "--metadata", train, "--out", tmp_path / "feats.h5")
    assert result.output == f"error: {tmp_path / 'empty'}: no .npy in this folder; expected one VID.npy per video\n"
    other = save_folder(tmp_path / "clip", {"other": np.zeros((1, 2), np.float32)})
    result = run(other, "--metadata", train, "--out", tmp_path / "feats.h5")
    assert result.output == (
        f"error: nothing could be read of features {other} with create_210k_train.json; the first: "
        f"create_210k_train.json, item 1: no feature file called 'v0' in the folder {other}\n"
    )
    for suffix, kind in ((".npz", "a .npz"), (".h5", "an HDF5")):
        broken = tmp_path / f"broken{suffix}"
        broken.write_bytes(b"no such thing")
        with pytest.raises(InputError, match=rf"^{re.escape(str(broken))}: not {kind} file \(.+\)$"):
            open_ready_features(broken)


def test_a_pickled_array_and_an_external_link_are_not_read(tmp_path: Path) -> None:
    np.save(tmp_path / "v0.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(InputError, match=r"v0\.npy is no array of numbers \(Object arrays cannot be loaded"):
        open_ready_features(tmp_path).read("v0")
    save_hdf5(tmp_path / "there", arrays(1))
    with h5py.File(tmp_path / "here.h5", "w") as file:
        file["v0"] = h5py.ExternalLink(str(tmp_path / "there.h5"), "/v0")
    with pytest.raises(InputError, match=r"^here\.h5/v0 is no array of numbers \("):
        open_ready_features(tmp_path / "here.h5").read("v0")


def test_training_starts_an_untrained_title_encoder_from_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    features = save_folder(tmp_path / "clip", arrays(40))
    write_create(tmp_path / "create" / "create_210k_train.json", range(30))
    write_create(tmp_path / "create" / "create_210k_val.json", range(30, 40))
    result = run(features, "--metadata", tmp_path / "create", "--out", tmp_path / "feats.h5", "-q")
    assert (result.exit_code, result.output) == (0, "")
    settings = [
        *as_options(),
        "--set",
        "epochs=6",
        "--set",
        "ema=0",
        "--set",
        "frozen_title_layers=2",
        "--set",
        "learning_rate=0.004",
    ]
    result = CliRunner().invoke(train_main, ["--feats", "feats.h5", "--run", "run", *settings, "--device", "cpu"])
    assert result.exit_code == 0, result.output
    trained = load_run(Path("run"), device="cpu")
    assert trained.config.model.frozen_title_layers == -1
    assert trained.config.training.pretrained_learning_rate == trained.config.training.learning_rate == 0.004
    with open_store(tmp_path / "feats.h5") as store:
        start = store.title_encoder_weights()
    title_encoder = trained.model.title_encoder
    assert title_encoder is not None
    moved = {
        name: not np.array_equal(start[name], values.numpy())
        for name, values in title_encoder.model.state_dict().items()
        if name in start
    }
    assert moved["embeddings.word_embeddings.weight"]
    assert moved["encoder.layer.0.attention.self.query.weight"]
    losses = [event["train_loss"] for event in read_log(Path("run")) if event["event"] == "epoch"]
    assert losses[-1] < losses[0]
    result = CliRunner().invoke(
        train_main,
        [
            "--feats",
            "feats.h5",
            "--run",
            "other",
            *settings,
            "--set",
            "epochs=1",
            "--set",
            "pretrained_learning_rate=0.001",
        ],
    )
    assert result.exit_code == 0, result.output
    assert load_run(Path("other"), device="cpu").config.training.pretrained_learning_rate == 0.001
