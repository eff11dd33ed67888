"""The tags of a file are the same to the digit, whatever it is tagged with, in whichever order, and by whichever way."""

from __future__ import annotations

import io
import json
import os
import random
import shutil
import signal

import numpy as np
import optsg
import pytest
from optsg.data.errors import DecodeError, EncoderError
from optsg.data.inputs.media_folder import media_kind
from optsg.evaluate.tag.file_encoder import Work
from optsg.evaluate.tag.file_tagger import FileTagger
from optsg.evaluate.tag.group_tagger import GroupTagger, TaggerInput
from optsg.evaluate.tag.requests import TagRequests
from optsg.evaluate.tag.run_tagger import RunTagger, candidates_point
from optsg.train.run.run import load_run
from optsg.train.writing.tag_control import VideoTags
from PIL import Image

from tests.tiny_world import ANIMALS, COLOURS, FRAME_DIM, PATCH_DIM


def inputs(count):
    """Videos of many lengths and titles of many lengths."""
    dice, words = np.random.default_rng(0), random.Random(0)
    return [
        TaggerInput(
            frames=dice.normal(size=(int(dice.integers(1, 40)), FRAME_DIM)).astype(np.float16),
            patches=np.empty((0, PATCH_DIM), np.float16),
            title=" ".join(words.choices((*COLOURS, *ANIMALS), k=words.choice((0, 2, 5, 30)))),
            wishes=VideoTags(pinned=("Moon",)) if number % 7 == 3 else VideoTags(),
        )
        for number in range(count)
    ]


def test_a_group_changes_nothing(run_path):
    run = load_run(run_path, device="cpu")
    tagger, groups = RunTagger(run, point=candidates_point(run)), GroupTagger(run, 4)
    given = inputs(30)
    alone = [groups.tag(tagger, [one])[0].tags for one in given]
    assert any(len(tags) > 1 for tags in alone)
    assert [output.tags for output in groups.tag(tagger, given)] == alone
    for seed in range(3):
        order = random.Random(seed).sample(range(30), 30)
        found = groups.tag(tagger, [given[place] for place in order])
        assert [output.tags for output in found] == [alone[place] for place in order]


@pytest.fixture(scope="module")
def files(colour_videos):
    return sorted(path for path in colour_videos.iterdir() if media_kind(path.name))


@pytest.fixture(scope="module")
def tagger(colour_run):
    with optsg.Tagger.from_pretrained(colour_run, device="cpu", workers=1) as opened:
        yield opened


def test_many_files_alone_and_in_other_orders(colour_run, files):
    with FileTagger.open(colour_run, device="cpu", work=Work(workers=2, group=4)) as tagger:
        whole = {one.path: one.tags for group in tagger.tag_many(TagRequests(files)) for one in group}
        mixed = random.Random(1).sample(files, len(files))
        assert {one.path: one.tags for group in tagger.tag_many(TagRequests(mixed)) for one in group} == whole
        assert all(tagger.tag(path) == whole[str(path)] for path in files[::5])


def test_whatever_is_handed_over_is_tagged_as_the_file(tagger, files):
    video = next(path for path in files if path.suffix == ".mp4")
    picture = next(path for path in files if path.suffix == ".png")
    expected = tagger.tag(video, "a title")
    frames, _ = tagger._files.encode(video)
    with video.open("rb") as file:
        assert tagger.tag(file, "a title") == expected
    for same in (str(video), video.read_bytes(), io.BytesIO(video.read_bytes()), optsg.Features(frames=frames)):
        assert tagger.tag(same, "a title") == expected
    with Image.open(picture) as image:
        assert tagger.tag(image) == tagger.tag(picture)
        pixels = np.asarray(image.convert("RGB"))[np.newaxis]
    assert tagger.tag(pixels)[0].text == tagger.tag(picture)[0].text
    mixed = list(
        tagger.tag_many(
            [(video, "a title"), picture, optsg.Features(frames=frames), b"nothing", (video.read_bytes(), "a title")]
        )
    )
    assert [one.path for one in mixed] == [str(video), str(picture), "media 2", "media 3", "media 4"]
    assert mixed[0].tags == mixed[4].tags == expected
    assert mixed[2].tags == tagger.tag(video)
    assert (mixed[3].tags, mixed[3].error is not None) == ([], True)


@pytest.mark.parametrize(
    ("media", "why"),
    [
        (3, "int is no video or image"),
        (io.StringIO("text"), "StringIO is no video or image"),
        (np.zeros((4, 5, 3), np.uint8), "expected \\(T, H, W, 3\\)"),
        (np.zeros((2, 4, 5, 3), np.float32), "uint8"),
        (optsg.Features(), "one of the two"),
        (optsg.Features(frames=np.zeros((2, 1))), "the run takes"),
        (optsg.Features(frames=[["a"]]), "no array of numbers"),
        (optsg.Features(frames=np.full((1, 64), np.nan)), "not finite|the run takes"),
        (b"", "empty"),
    ],
)
def test_what_is_none_is_one_sentence(tagger, media, why):
    with pytest.raises(DecodeError, match=why):
        tagger.tag(media)


def test_vectors(tagger, files):
    several = [(path, path.stem) for path in files[:5]]
    found = list(tagger.embed_many(several))
    alone = tagger.embed(files[3], files[3].stem)
    assert np.array_equal(alone.fused, found[3].fused)
    assert np.array_equal(alone.frames, found[3].frames)
    np.testing.assert_allclose(alone.title, found[3].title, atol=1e-5)
    assert all(vector.dtype == np.float32 and np.isfinite(vector).all() for vector in vars(alone).values())
    with pytest.raises(DecodeError):
        tagger.embed(b"nothing")


def test_decoding_processes_stay_until_the_tagger_is_closed_and_one_that_is_killed_costs_nothing(colour_run, files):
    tagger = optsg.Tagger.from_pretrained(colour_run, device="cpu", workers=1)
    expected = tagger.tag(files[0])
    (pid,) = tagger._files.files.pool.pids()
    assert tagger.tag(files[0]) == expected
    assert tagger._files.files.pool.pids() == [pid]
    os.kill(pid, signal.SIGKILL)
    assert tagger.tag(files[0]) == expected
    (other,) = tagger._files.files.pool.pids()
    assert other != pid
    tagger.close()
    with pytest.raises(ProcessLookupError):
        os.kill(other, 0)


def test_a_run_of_imported_features_says_what_to_do_and_tags_features(colour_run, files, tmp_path):
    copy = tmp_path / "run"
    shutil.copytree(colour_run, copy)
    config = json.loads((copy / "config.json").read_text())
    config["store"]["header"]["image_encoder"] = {"library": "unknown", "name": "unknown", "imported_from": "clip"}
    (copy / "config.json").write_text(json.dumps(config))
    with optsg.Tagger.from_pretrained(colour_run, device="cpu", workers=1) as own:
        frames, _ = own._files.encode(next(path for path in files if path.suffix == ".mp4"))
        expected = own.tag(optsg.Features(frames=frames))
    with optsg.Tagger.from_pretrained(copy, device="cpu") as tagger:
        assert tagger.tag(optsg.Features(frames=frames)) == expected
        (many,) = tagger.tag_many([optsg.Features(frames=frames)])
        assert many.tags == expected
        for media in (files[0], files[0].read_bytes(), Image.new("RGB", (4, 4))):
            with pytest.raises(EncoderError, match=r"imported from clip.*optsg.Features.*--image-encoder"):
                tagger.tag(media)
            with pytest.raises(EncoderError, match="imported from clip"):
                list(tagger.tag_many([media]))
