"""``optsg.Tagger``: light to import, tags files as the command does, saves and uploads what a run needs and no more."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import optsg
import pytest
from huggingface_hub import ModelCard, hub_mixin
from optsg.data.errors import DecodeError
from optsg.data.inputs import open_inputs
from optsg.data.tag_table import TagTable
from optsg.extract.decoding.sampling import Sampling
from optsg.extract.encoders.image_encoder import open_image_encoder
from optsg.extract.encoders.text_encoder import open_text_encoder
from optsg.train.run.model_card import MARK, write_model_card
from PIL import Image

from tests.extract.run_extraction import run_extraction
from tests.extract.tiny_encoders import save_bert, save_timm

COLOURS = {"red": (215, 25, 25), "blue": (25, 25, 215)}


@pytest.fixture(scope="module")
def run(tmp_path_factory, train_run):
    """A run that tells two colours apart."""
    root = tmp_path_factory.mktemp("colours")
    (root / "in").mkdir()
    rows = []
    for colour, rgb in COLOURS.items():
        for number in range(8):
            Image.new("RGB", (40, 30), tuple(value + 2 * number for value in rgb)).save(
                root / "in" / f"{colour}{number}.png"
            )
            split = "val" if number == 7 else "train"
            rows.append({"file_name": f"{colour}{number}.png", "tags": [colour.capitalize()], "split": split})
    (root / "in" / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    run_extraction(
        open_inputs(root / "in"),
        root / "feats.h5",
        image_encoder=open_image_encoder(
            {"library": "timm", "folder": str(save_timm(root / "tower", "test_convnext"))},
            device="cpu",
            precision="float32",
        ),
        text_encoder=open_text_encoder({"library": "transformers", "folder": str(save_bert(root / "bert", layers=2))}),
        sampling=Sampling(fps=2.0, max_frames=3),
    )
    return train_run(root / "feats.h5")


@pytest.fixture
def picture(tmp_path):
    Image.new("RGB", (64, 20), (220, 30, 30)).save(tmp_path / "new.png")
    return tmp_path / "new.png"


def test_importing_the_package_imports_no_torch():
    code = (
        "import sys, optsg; print(optsg.__version__, sorted({'torch', 'numpy', 'huggingface_hub'} & set(sys.modules)))"
    )
    shown = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path[:] = {sys.path!r}\n{code}"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert shown == f"{optsg.__version__} []\n"
    with pytest.raises(AttributeError, match="module 'optsg' has no attribute 'Nothing'"):
        optsg.Nothing  # noqa: B018


def test_tags_with_evidence(run, picture):
    tagger = optsg.Tagger.from_pretrained(run, device="cpu", evidence=True)
    pinned, found = tagger.tag(picture, title="a square", pin=["new one"])
    assert pinned == optsg.Tag(text="new one", score=1.0, novel=True)
    assert (found.text, found.novel) == ("Red", False)
    assert found.evidence is not None
    assert [word for word, _ in found.evidence.words] == ["a", "square"]
    assert found.evidence.frames == ()
    assert [tag.text for tag in tagger.tag(picture, forbid=["red"])] == []


@pytest.mark.parametrize("times", ["ab", {"a": 1}, 5, [None, 1], [1e39, 2], [[1], [2]], [1, 2, 3]])
def test_times_that_are_none_are_refused(run, times):
    tagger = optsg.Tagger.from_pretrained(run, device="cpu", evidence=True)
    frames = np.ones((2, tagger._files.files.frame_dim))
    with pytest.raises(DecodeError, match=r"^media: (times are no list of|3 times for 2 features)"):
        tagger.tag(optsg.Features(frames=frames, times=times))


def test_tags_of_frames_in_memory_hold_for_a_while_as_those_of_a_file_do(run):
    tagger = optsg.Tagger.from_pretrained(run, device="cpu", segments=True)
    vectors = np.random.default_rng(0).normal(size=(3, tagger._files.files.frame_dim))
    array = np.full((3, 30, 40, 3), COLOURS["red"], np.uint8)
    for media, seconds in ((optsg.Features(frames=vectors, times=[0, 2, 4]), 6.0), (array, 1.5)):
        spans = [span for tag in tagger.tag(media, title="a square") for span in tag.segments]
        assert spans
        assert all(0 <= span.start < span.end <= seconds for span in spans)
    assert all(tag.segments == () for tag in tagger.tag(Image.new("RGB", (64, 20), COLOURS["red"])))


def test_titles_hold_what_can_be_written(run, picture):
    tagger = optsg.Tagger.from_pretrained(run, device="cpu", workers=1)
    frames = np.ones((2, tagger._files.files.frame_dim))
    media = [optsg.Features(frames=frames), picture.read_bytes(), picture]
    titles = [tagged.title for tagged in tagger.tag_many([(one, "half \ud800, byte \udcff,\nline") for one in media])]
    assert titles == ["half \N{REPLACEMENT CHARACTER}, byte \\xff, line"] * 3


def test_many_files_are_tagged_as_one_by_one(run, picture):
    tagger = optsg.Tagger.from_pretrained(run, device="cpu", workers=1)
    (picture.parent / "bad.png").touch()
    bad, good, gone = tagger.tag_many([picture.parent, picture.parent / "gone.png"])
    assert (good.path, good.error) == (str(picture), None)
    (alone,) = tagger.tag(picture)
    assert good.tags[0].text == alone.text
    assert good.tags[0].score == pytest.approx(alone.score, abs=1e-5)
    assert bad.error == f"{picture.parent / 'bad.png'}: the file is empty (0 bytes)"
    assert gone.error == f"{picture.parent / 'gone.png'}: there is no such file"


def test_only_what_a_run_needs_is_uploaded(run, tmp_path, monkeypatch):
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    (copy / "private.txt").write_text("no part of the run")
    uploaded = {}

    class FakeApi:
        def __init__(self, token=None):
            pass

        def create_repo(self, repo_id, **_):
            return SimpleNamespace(repo_id=repo_id)

        def upload_folder(self, *, repo_id, folder_path, **_):
            uploaded[repo_id] = {path.name: path.read_bytes() for path in folder_path.iterdir()}
            return "url"

    monkeypatch.setattr(hub_mixin, "HfApi", FakeApi)
    tagger = optsg.Tagger.from_pretrained(copy, device="cpu")
    assert tagger.push_to_hub("me/tags", model_card_kwargs={"license": "mit"}) == "url"
    files = uploaded["me/tags"]
    needed = {"config.json", "model.safetensors", "tokenizer.json", "tag_table.json", "decision.json", "README.md"}
    assert needed <= set(files)
    assert set(files) <= needed | {"calibration.json", "tag_embeddings.safetensors", "retrieval.safetensors"}
    assert files["config.json"] == (copy / "config.json").read_bytes()
    assert ModelCard(files["README.md"].decode()).data.to_dict()["license"] == "mit"


def test_the_card_says_what_the_run_is_and_a_person_s_own_stays(run, tmp_path):
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    assert write_model_card(copy, license="apache-2.0")
    assert write_model_card(copy)
    text = (copy / "README.md").read_text(encoding="utf-8")
    card = ModelCard(text)
    assert card.data.to_dict()["license"] == "apache-2.0"
    assert "System `op-tsg`" in text
    assert f"{len(TagTable.load(copy / 'tag_table.json')):,} tags" in text
    assert "None yet: `optsg-eval --run run --split test` measures them." in text
    (copy / "README.md").write_text(text.replace(MARK, "") + "my words", encoding="utf-8")
    assert not write_model_card(copy)
    assert (copy / "README.md").read_text(encoding="utf-8").endswith("my words")
