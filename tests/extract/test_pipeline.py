"""Inputs to a finished store: contents, failures, resuming, adding, retrying, a full disk."""

from __future__ import annotations

import errno
import io
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import PIL
import pytest
import torch
from click.testing import CliRunner
from optsg.data.errors import InputError, StoreError, StoreWriteError
from optsg.data.inputs import open_inputs
from optsg.data.media import Failure, MediaItem
from optsg.data.store import open_store
from optsg.data.store.schema import DECODING, FIRST_DECODING
from optsg.extract import corrections, ordered_encoding, pipeline
from optsg.extract.cli import main
from optsg.extract.decoding import decode_image, decode_video
from optsg.extract.decoding.sampling import Sampling
from optsg.extract.encoders.image_encoder import ImageEncoder
from optsg.extract.encoders.text_encoder import TextEncoder
from optsg.extract.encoders.tower import PendingFeatures
from optsg.extract.options import ExtractionOptions, complete
from optsg.extract.ordered_encoding import InOrder
from optsg.extract.pipeline import ExtractionInterrupted
from optsg.extract.summary import ExtractSummary
from optsg.extract.workers import worker_process
from optsg.extract.workers.preparation import source_digest
from PIL import Image

from tests.extract.decoding.painted_clips import ClipMaker
from tests.extract.run_extraction import run_extraction
from tests.extract.same_store import assert_rows_kept, assert_same_store
from tests.extract.workers.misbehaving_worker import PROGRAM
from tests.full_disk import full_disk

SAMPLE = 12


@dataclass(frozen=True)
class Listed:
    """Inputs out of a list."""

    items: Sequence[MediaItem | Failure]
    description: str = "a list"

    @property
    def count(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[MediaItem | Failure]:
        return iter(self.items)


@pytest.fixture(scope="module")
def clips(make_clip: ClipMaker) -> list[MediaItem]:
    """Videos of 1 to 7 frames, and two images among them."""
    items = []
    for number in range(10):
        path = make_clip(f"item{number}.mp4", frames=5 + 10 * (number % 7))
        items.append(item(f"v{number}", path, title=f"red cat {number}", tags=("cat", f"tag {number}")))
    for letter, place in (("a", 3), ("b", 7)):
        path = make_clip.folder / f"picture{letter}.png"
        Image.fromarray(np.random.default_rng(ord(letter)).integers(0, 255, (80, 60, 3), dtype=np.uint8)).save(path)
        items.insert(place, item(f"i{letter}", path, kind="image", tags=("picture",)))
    return items


def item(name: str, path: Path | bytes, *, kind: str = "video", title: str = "", tags: Sequence[str] = ()) -> MediaItem:
    return MediaItem(
        id=name,
        source=f"{name}.file",
        kind=kind,  # type: ignore[arg-type]
        title=title,
        tags=tuple(tags),
        split="train" if tags else "none",
        payload=path,
    )


OPTIONS = ExtractionOptions.__annotations__.keys()


@pytest.fixture(scope="module")
def extract(tiny_image_encoder: ImageEncoder, tiny_text_encoder: TextEncoder):
    """Extracts a list into a store with the tiny encoders."""

    def start(items: Sequence[MediaItem | Failure], out: Path, **settings) -> ExtractSummary:
        options = {key: settings.pop(key) for key in OPTIONS & settings.keys()}
        summary: ExtractSummary = run_extraction(
            Listed(items),
            out,
            image_encoder=settings.pop("image_encoder", tiny_image_encoder),
            text_encoder=tiny_text_encoder,
            options=complete(**{"batch_size": 16, "workers": 1, **options}),
            **settings,
        )
        return summary

    return start


@pytest.fixture
def run(tmp_path: Path, extract):
    """The same, into a file of the test's own: ``feats.h5``."""
    return lambda items, name="feats.h5", **settings: extract(items, tmp_path / name, **settings)


@pytest.fixture(scope="module")
def whole(extract, clips: list[MediaItem], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store of all clips out of one run that nothing interrupted."""
    out: Path = tmp_path_factory.mktemp("whole") / "whole.h5"
    extract(clips, out)
    return out


@pytest.fixture(scope="module")
def gone(tmp_path_factory: pytest.TempPathFactory) -> MediaItem:
    """An input that is not there."""
    return item("gone", tmp_path_factory.mktemp("gone") / "gone.mp4")


@pytest.fixture(scope="module")
def whole_but_one(extract, clips: list[MediaItem], gone: MediaItem, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with a failure."""
    out: Path = tmp_path_factory.mktemp("whole") / "whole.h5"
    extract([*clips, gone], out)
    return out


def test_the_store_holds_what_the_encoders_give(
    run, clips: list[MediaItem], tiny_image_encoder: ImageEncoder, tmp_path: Path
) -> None:
    summary = run(clips, workers=2)
    assert (summary.videos, summary.images, summary.failed) == (10, 2, 0)
    with open_store(tmp_path / "feats.h5") as store:
        assert store.ids() == [clip.id for clip in clips]
        assert summary.frames == sum(len(store.frames(row)) for row in range(len(store)))
        for row, clip in enumerate(clips):
            assert isinstance(clip.payload, Path)
            video = store.features(row)
            assert (video.title, video.tags, video.split, video.source) == (clip.title, clip.tags, "train", clip.source)
            if clip.kind == "image":
                pixels = tiny_image_encoder.preprocess(decode_image(clip.payload))[None]
                assert video.backend == f"pillow {PIL.__version__}"
                assert_close(video.patches, tiny_image_encoder.encode_patches(pixels)[0])
                assert (len(video.frames), len(video.times), video.duration) == (0, 0, 0.0)
            else:
                decoded = decode_video(clip.payload)
                pixels = torch.stack([tiny_image_encoder.preprocess(image) for image in decoded.images])
                assert_close(video.frames, tiny_image_encoder.encode_frames(pixels))
                assert np.array_equal(video.times, decoded.times)
                assert video.duration == pytest.approx(decoded.duration)
                assert len(video.patches) == 0
                assert (video.backend, video.status) == (decoded.backend, "ok")
                assert video.decode_seconds > 0
            assert video.digest == source_digest(clip.payload)
        assert store.header.sampling == Sampling().spec()
        assert store.header.image_encoder == tiny_image_encoder.spec()
    assert not (tmp_path / "feats.h5.parts").exists()


def assert_close(stored: np.ndarray, expected: torch.Tensor) -> None:
    assert stored.dtype == np.float16
    a, b = stored.astype(np.float64).reshape(len(stored), -1), expected.double().numpy().reshape(len(stored), -1)
    cosines = (a * b).sum(axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    assert cosines.min() > 0.99999


def test_titles_tags_and_tables_reach_the_store(
    whole: Path, clips: list[MediaItem], tiny_text_encoder: TextEncoder
) -> None:
    tables = tiny_text_encoder.tables()
    with open_store(whole) as store:
        assert store.tag_keys[:3] == ["cat", "tag 0", "tag 1"]
        np.testing.assert_allclose(store.tag_embeddings, tables.tag_embeddings(store.tag_keys), rtol=1e-4, atol=1e-5)
        assert store.title_tokens(0).tolist() == tables.title_tokens([clips[0].title])[0]
        assert np.array_equal(store.nil_embedding, tables.nil_embedding)
        assert set(store.title_encoder_weights()) == set(tables.weights)


def test_thumbnails_are_small_jpegs_of_the_middle_frame_or_left_out(
    run, clips: list[MediaItem], tmp_path: Path
) -> None:
    run(clips[:1])
    run(clips[:1], "without.h5", thumbnails=False)
    with open_store(tmp_path / "feats.h5") as store, Image.open(io.BytesIO(store.thumbnail(0))) as picture:
        assert (picture.format, max(picture.size)) == ("JPEG", 160)
    with open_store(tmp_path / "without.h5") as store:
        assert store.thumbnail(0) == b""


def test_the_batch_size_changes_no_more_than_rounding(run, clips: list[MediaItem], whole: Path, tmp_path: Path) -> None:
    for size in (1, 64):
        run(clips, f"batch{size}.h5", batch_size=size)
        assert_same_store(tmp_path / f"batch{size}.h5", whole)


def test_the_same_input_gives_the_same_store(run, clips: list[MediaItem], whole: Path, tmp_path: Path) -> None:
    """One worker decodes in the order of the inputs, which makes the same batches; several share them out as they come."""
    for name, workers in (("second.h5", 1), ("third.h5", 3)):
        run(clips, name, workers=workers)
    assert_same_store(tmp_path / "second.h5", whole, same_batches=True)
    assert_same_store(tmp_path / "third.h5", whole)


def test_bytes_out_of_shards_give_the_features_of_the_file(run, clips: list[MediaItem], tmp_path: Path) -> None:
    run([clips[2]])
    run([item("v2", clips[2].payload.read_bytes(), title=clips[2].title, tags=clips[2].tags)], "memory.h5")  # type: ignore[union-attr]
    assert_same_store(tmp_path / "memory.h5", tmp_path / "feats.h5", same_batches=True)


def test_sample_shards_are_read(
    sample_dir: Path, tmp_path: Path, tiny_image_encoder: ImageEncoder, tiny_text_encoder: TextEncoder
) -> None:
    inputs = open_inputs(sample_dir / "test.tar", limit=SAMPLE)
    summary = run_extraction(
        inputs, tmp_path / "s.h5", image_encoder=tiny_image_encoder, text_encoder=tiny_text_encoder
    )
    assert (summary.videos, summary.failed) == (SAMPLE, 0)
    with open_store(tmp_path / "s.h5") as store:
        assert len(store.indices("test")) == SAMPLE
        assert all(len(store.frames(row)) == np.ceil(round(store.duration(row), 3)) for row in range(SAMPLE))
        assert all(store.title(row) and len(store.tags(row)) for row in range(SAMPLE))


def test_what_cannot_be_read_is_recorded_and_the_rest_goes_on(run, clips: list[MediaItem], tmp_path: Path) -> None:
    text = tmp_path / "text.mp4"
    text.write_text("no video")
    unread = Failure(id="row 3", source="metadata.csv", stage="read", error="row 3 names a.mp4, which is not there")
    broken = [item("text", text), unread, item("gone", tmp_path / "gone.mp4"), item("empty", b"", kind="image")]
    summary = run([*clips[:3], *broken, *clips[3:]])
    assert (summary.videos, summary.images, summary.failed) == (10, 2, 4)
    with open_store(tmp_path / "feats.h5") as store:
        assert store.ids() == [clip.id for clip in clips]
        assert [(f.id, f.source, f.stage, f.error) for f in store.failures] == [
            (
                "text",
                "text.file",
                "decode",
                "it cannot be opened as a video (invalid data found when processing input)",
            ),
            ("row 3", "metadata.csv", "read", "row 3 names a.mp4, which is not there"),
            ("gone", "gone.file", "decode", "there is no such file"),
            ("empty", "empty.file", "decode", "the file is empty (0 bytes)"),
        ]


def test_features_that_are_not_finite_are_a_failure(
    run, clips: list[MediaItem], tiny_image_encoder: ImageEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    infinite = torch.full((16, 4, 256), 1e9)
    monkeypatch.setattr(tiny_image_encoder, "submit_patches", lambda _: PendingFeatures(infinite))
    summary = run(clips)
    assert (summary.videos, summary.images, summary.failed) == (10, 0, 2)
    with open_store(tmp_path / "feats.h5") as store:
        assert [(failure.stage, failure.error) for failure in store.failures] == [
            ("encode", "the image encoder gave values that are not finite")
        ] * 2


def test_strict_stops_at_the_first_failure(run, clips: list[MediaItem], tmp_path: Path) -> None:
    message = "gone.file: there is no such file; --strict makes this fatal"
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        run([*clips, item("gone", tmp_path / "gone.mp4")], strict=True)
    assert not (tmp_path / "feats.h5").exists()


def test_nothing_readable_is_an_error_and_leaves_nothing(run, tmp_path: Path) -> None:
    message = "nothing could be read of a list: 2 failed; the first: a.file: there is no such file"
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        run([item("a", tmp_path / "a.mp4"), item("b", tmp_path / "b.mp4")])
    assert list(tmp_path.iterdir()) == []


class InterruptedRunError(Exception):
    """Stands for a kill at some moment."""


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "INPUTS_PER_PART", 3)


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("after", [1, pytest.param(4, marks=pytest.mark.slow), 9, 12])
def test_resuming_gives_the_store_of_an_uninterrupted_run(
    run, clips: list[MediaItem], gone: MediaItem, whole_but_one: Path, tmp_path: Path, after: int
) -> None:
    items = [*clips, gone]
    reports = 0

    def stop(_: ExtractSummary) -> None:
        nonlocal reports
        reports += 1
        if reports == after:
            raise InterruptedRunError

    with pytest.raises(InterruptedRunError):
        run(items, report=stop)
    kept = len(list((tmp_path / "feats.h5.parts").iterdir()))
    assert not (tmp_path / "feats.h5").exists()
    summary = run(items)
    assert summary.resumed == 3 * kept
    assert summary.resumed + summary.videos + summary.images + summary.failed == len(items)
    assert_same_store(tmp_path / "feats.h5", whole_but_one)


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("finished", [False, True])
def test_failures_are_tried_again_only_when_asked(run, clips: list[MediaItem], tmp_path: Path, finished: bool) -> None:
    gone = [item("gone", tmp_path / "gone.mp4"), item("lost", tmp_path / "lost.mp4")]
    items = [*gone, *clips]
    if finished:
        run(items)
    else:
        interrupt_after(run, items, 7)
    shutil.copy(clips[0].payload, tmp_path / "gone.mp4")  # type: ignore[arg-type]
    (tmp_path / "lost.mp4").write_bytes(b"")
    run(items)
    with open_store(tmp_path / "feats.h5") as store:
        assert [failure.id for failure in store.failures] == ["gone", "lost"]
        before = store.ids()
    shutil.copy(tmp_path / "feats.h5", tmp_path / "before.h5")
    summary = run(items, retry_failed=True)
    assert (summary.resumed, summary.videos, summary.failed) == (len(clips), 1, 1)
    with open_store(tmp_path / "feats.h5") as store:
        assert [(f.id, f.error) for f in store.failures] == [("lost", "the file is empty (0 bytes)")]
        assert store.ids() == [*before, "gone"]
    assert_rows_kept(tmp_path / "feats.h5", tmp_path / "before.h5")


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("finished", [False, True])
def test_another_file_under_the_id_of_one_that_failed_is_new(
    run, clips: list[MediaItem], tmp_path: Path, finished: bool
) -> None:
    """As where somebody converts a file that could not be read, and the name stays but for its suffix."""
    failed = replace(item("v", tmp_path / "gone.mp4"), source="v.mp4")
    if finished:
        run([*clips, failed])
    else:
        interrupt_after(run, [*clips[:6], failed, *clips[6:]], 10)
    summary = run([*clips, replace(item("v", clips[0].payload), source="v.mkv")])  # type: ignore[arg-type]
    assert (summary.failed, summary.unchanged) == (0, False)
    with open_store(tmp_path / "feats.h5") as store:
        assert not store.failures
        assert store.source(store.ids().index("v")) == "v.mkv"


def interrupt_after(run, items: Sequence[MediaItem | Failure], count: int) -> None:
    def stop(summary: ExtractSummary) -> None:
        if summary.done >= count:
            raise InterruptedRunError

    with pytest.raises(InterruptedRunError):
        run(items, report=stop)


@pytest.mark.usefixtures("small_parts")
def test_other_settings_do_not_continue_a_run(run, clips: list[MediaItem], tmp_path: Path) -> None:
    interrupt_after(run, clips, 7)
    message = (
        f"{tmp_path / 'feats.h5.parts'} holds an unfinished extraction with other settings (there ≠ now): "
        "sampling.max_frames: 60 ≠ 2. Repeat the command with the old settings, choose another --out, or add "
        "--overwrite to begin anew"
    )
    with pytest.raises(StoreError, match=f"^{re.escape(message)}$"):
        run(clips, sampling=Sampling(max_frames=2))
    assert run(clips, sampling=Sampling(max_frames=2), overwrite=True).resumed == 0
    with open_store(tmp_path / "feats.h5") as store:
        assert max(len(store.frames(row)) for row in range(len(store))) == 2


@pytest.mark.usefixtures("small_parts")
def test_what_an_interrupted_run_had_done_is_kept_even_if_its_input_is_gone(
    run, clips: list[MediaItem], tmp_path: Path
) -> None:
    interrupt_after(run, clips, 7)
    run(clips[3:])
    with open_store(tmp_path / "feats.h5") as store:
        assert sorted(store.ids()) == sorted(clip.id for clip in clips)


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("interrupted", [False, True])
def test_new_inputs_are_added_to_a_finished_store(
    run, clips: list[MediaItem], whole: Path, tmp_path: Path, interrupted: bool
) -> None:
    run(clips[:5])
    shutil.copy(tmp_path / "feats.h5", tmp_path / "first.h5")
    if interrupted:
        interrupt_after(run, clips, 5 + 4)
    summary = run(clips)
    assert summary.resumed == 5 + 3 * interrupted
    assert summary.videos + summary.images == len(clips) - summary.resumed
    assert_same_store(tmp_path / "feats.h5", whole)
    assert_rows_kept(tmp_path / "feats.h5", tmp_path / "first.h5")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["feats.h5", "first.h5"]


@pytest.mark.slow
def test_added_inputs_are_the_same_on_a_processor_with_fewer_instructions() -> None:
    """On some processors batches of other company change no bit, and a promise that holds there alone would pass."""
    test = f"{__file__}::{test_new_inputs_are_added_to_a_finished_store.__name__}[True]"
    command = [str(Path(sys.executable).with_name("pytest")), test, "-q", "-p", "no:cacheprovider"]
    limits = {"ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_ENABLE_INSTRUCTIONS": "AVX2", "ATEN_CPU_CAPABILITY": "default"}
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    root = Path(__file__).parents[2]
    result = subprocess.run(
        command, cwd=root, env={**environment, **limits}, capture_output=True, text=True, check=False
    )
    assert (result.returncode, "1 passed" in result.stdout) == (0, True), result.stdout


def test_another_file_under_the_id_of_a_done_one_is_said(run, clips: list[MediaItem], tmp_path: Path) -> None:
    """As where the file of another week has the name of one that was taken away: its title would be given to the old one."""
    run(clips)
    others = [replace(clip, source=f"week2/{clip.source}") for clip in clips[:2]]
    summary = run([*others[:1], *clips[1:]])
    (warning,) = summary.warnings
    assert warning == (
        "1 input has the id of another file ('week2/v0.file' that of 'v0.file', for instance) and was not read again, as if "
        "moved or converted: where it is another video or image, give it an id of its own in the metadata, or begin anew with --overwrite"
    )
    assert summary.unchanged
    (warning,) = run([*others, *clips[2:]]).warnings
    assert warning.startswith(
        "2 inputs have ids of other files ('week2/v0.file' that of 'v0.file', for instance) and were"
    )
    assert run(clips).warnings == []


def test_files_of_the_same_names_in_another_folder_are_said(run, tmp_path: Path) -> None:
    """They count as done, as the files of the first folder would."""
    for week, color in (("week1", "red"), ("week2", "blue")):
        (tmp_path / week).mkdir()
        for name in "abc":
            Image.new("RGB", (32, 32), color).save(tmp_path / week / f"{name}.png")
    shutil.copy(tmp_path / "week1" / "c.png", tmp_path / "week2" / "c.png")
    first, second = (list(open_inputs(tmp_path / week)) for week in ("week1", "week2"))
    run(first)
    assert [line for line in run(first).warnings if "looked at" in line] == []
    (warning,) = (line for line in run(second).warnings if "looked at" in line)
    assert warning == (
        "2 of 3 inputs that count as done and were looked at are other files than the store has under their ids ('a.png', for "
        "instance), and were not extracted: give other videos or images ids of their own in the metadata, or begin anew with "
        "--overwrite"
    )


def test_a_file_written_since_the_store_was_made_is_looked_at(
    run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(corrections, "ALWAYS_READ_AGAIN", 0)
    for name in "ab":
        Image.new("RGB", (32, 32), "red").save(tmp_path / f"{name}.png")
        os.utime(tmp_path / f"{name}.png", (0, 0))
    inputs = list(open_inputs(tmp_path))
    run(inputs)
    Image.new("RGB", (32, 32), "blue").save(tmp_path / "b.png")
    os.utime(tmp_path / "b.png", (0, 0))
    assert not [line for line in run(inputs).warnings if "looked at" in line]
    os.utime(tmp_path / "b.png", (2**32, 2**32))
    (warning,) = (line for line in run(inputs).warnings if "looked at" in line)
    assert warning.startswith(
        "1 of 1 inputs that count as done and were looked at is another file than the store has under its id ('b.png'"
    )


def test_nothing_new_leaves_a_finished_store_as_it_was(run, clips: list[MediaItem], tmp_path: Path) -> None:
    run(clips[:3])
    before = (tmp_path / "feats.h5").stat().st_mtime_ns, (tmp_path / "feats.h5").read_bytes()
    summary = run(clips[:3])
    assert (summary.unchanged, summary.resumed, summary.done) == (True, 3, 3)
    assert ((tmp_path / "feats.h5").stat().st_mtime_ns, (tmp_path / "feats.h5").read_bytes()) == before
    assert [path.name for path in tmp_path.iterdir()] == ["feats.h5"]


def test_a_finished_store_of_other_settings_is_not_added_to(run, clips: list[MediaItem], tmp_path: Path) -> None:
    run(clips[:2])
    before = (tmp_path / "feats.h5").read_bytes()
    message = (
        f"{tmp_path / 'feats.h5'} exists already, made with other settings (there ≠ now): sampling.fast_resize: "
        "None ≠ True; sampling.fps: 1.0 ≠ 2.0. Repeat the command with the old settings, choose another --out, or add "
        "--overwrite to begin anew"
    )
    with pytest.raises(StoreError, match=f"^{re.escape(message)}$"):
        run(clips, sampling=Sampling(fps=2.0, fast_resize=True))
    assert (tmp_path / "feats.h5").read_bytes() == before
    assert run(clips, sampling=Sampling(fps=2.0), overwrite=True).resumed == 0
    with open_store(tmp_path / "feats.h5") as store:
        assert len(store) == len(clips)
        assert store.header.sampling["fps"] == 2.0


def test_a_store_whose_pictures_were_made_otherwise_is_read_and_not_added_to(
    run, clips: list[MediaItem], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as earlier:
        earlier.setattr(pipeline, "DECODING", FIRST_DECODING)
        run(clips[:2])
    out = tmp_path / "feats.h5"
    with open_store(out) as store:
        assert "decoding" not in store.header.to_json()
        assert (store.header.decoding, len(store)) == (FIRST_DECODING, 2)
    message = (
        f"{out} exists already, made by a version of optsg that makes other pictures of some files (its decoding is 1, "
        "that of this version 3); choose another --out, or extract everything again with --overwrite"
    )
    with pytest.raises(StoreError, match=f"^{re.escape(message)}$"):
        run(clips)
    run(clips, overwrite=True)
    with open_store(out) as store:
        assert (store.header.decoding, len(store)) == (DECODING, len(clips))


def test_two_processes_on_one_output_are_refused(run, clips: list[MediaItem], tmp_path: Path) -> None:
    program = "import sys; from filelock import FileLock; lock = FileLock(sys.argv[1]); lock.acquire(); print('held', flush=True); input()"
    command = [sys.executable, "-c", program, str(tmp_path / "feats.h5.lock")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdin is not None
        assert other.stdout.readline() == b"held\n"
        message = (
            f"{tmp_path / 'feats.h5'} is being written by another process; wait until it has finished, or choose "
            "another --out"
        )
        with pytest.raises(StoreError, match=f"^{re.escape(message)}$"):
            run(clips[:2])
        other.kill()  # the lock goes with its owner, however it ends
    assert run(clips[:2]).videos == 2
    assert [path.name for path in tmp_path.iterdir()] == ["feats.h5"]


@pytest.mark.parametrize("asked", [signal.SIGINT, signal.SIGTERM])
def test_asked_to_stop_what_was_done_is_kept(
    run, clips: list[MediaItem], whole: Path, tmp_path: Path, asked: signal.Signals
) -> None:

    def stop(summary: ExtractSummary) -> None:
        if summary.done == 4:
            os.kill(os.getpid(), asked)

    with pytest.raises(ExtractionInterrupted) as caught:
        run(clips, report=stop, batch_size=1)
    assert caught.value.number == asked
    summary = run(clips)
    assert summary.resumed >= 4
    assert summary.done == len(clips)
    assert_same_store(tmp_path / "feats.h5", whole)


@pytest.mark.usefixtures("small_parts")
def test_hangs_and_crashes_are_recorded_and_cost_nothing_else(
    run, clips: list[MediaItem], whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_process, "_PROGRAM", PROGRAM)
    bad = [item("hang", b"hang"), item("crash", b"crash"), item("exit", b"exit")]
    summary = run([bad[0], *clips[:4], bad[1], *clips[4:], bad[2]], timeout=3.0, workers=2)
    assert [(status, count) for (status, _, _), count in summary.failures.items()] == [("timeout", 1), ("crashed", 2)]
    with open_store(tmp_path / "feats.h5") as store:
        assert [(f.id, f.stage, f.status, f.digest) for f in store.failures] == [
            (b.id, "decode", status, source_digest(b.id.encode()))
            for b, status in zip(bad, ("timeout", "crashed", "crashed"), strict=True)
        ]
        assert store.failures[0].seconds == 3.0
    assert_same_store(tmp_path / "feats.h5", whole, other_failures=True)


def test_a_damaged_video_is_partial_and_says_what_was_kept(run, make_clip: ClipMaker, tmp_path: Path) -> None:
    whole = make_clip("long.mkv", frames=450, rate=5)
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(whole.read_bytes()[: int(whole.stat().st_size * 0.6)])
    summary = run([item("cut", cut), item("whole", whole)])
    assert (summary.videos, summary.failed, summary.partial.total()) == (2, 0, 1)
    with open_store(tmp_path / "feats.h5") as store:
        assert [store.features(row).status for row in range(2)] == ["partial", "ok"]
        assert [bool(store.note(row)) for row in range(2)] == [True, False]


def test_a_slow_input_is_waited_for_within_bounds(
    run, clips: list[MediaItem], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_process, "_PROGRAM", PROGRAM)
    monkeypatch.setattr(ordered_encoding, "HELD_BUDGET", 20_000)
    slow = [item("slow", b"wait2.5"), *(replace(clip, id=f"{clip.id}-{n}") for n in range(4) for clip in clips)]
    most = 0
    put = InOrder.put

    def watched(self: InOrder[object], number: int, value: object, nbytes: int) -> None:
        nonlocal most
        put(self, number, value, nbytes)
        most = max(most, self.held_bytes)

    monkeypatch.setattr(InOrder, "put", watched)
    run(slow, workers=3)
    with open_store(tmp_path / "feats.h5") as store:
        assert store.ids() == [clip.id for clip in slow[1:]]
    assert 20_000 <= most < 200_000


@pytest.mark.usefixtures("small_parts")
def test_a_full_disk_is_one_sentence_and_keeps_complete_parts(
    run, clips: list[MediaItem], whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill_disk_after(monkeypatch, appends=8)
    parts = tmp_path / "feats.h5.parts"
    message = (
        f"{parts / 'part-000002.h5.tmp'} cannot be written: No space left on device; what was finished before is kept"
    )
    with pytest.raises(StoreWriteError, match=f"^{re.escape(message)}$"):
        run(clips)
    assert sorted(path.name for path in parts.iterdir()) == ["part-000000.h5", "part-000001.h5"]
    monkeypatch.undo()
    monkeypatch.setattr(pipeline, "INPUTS_PER_PART", 3)
    assert run(clips).resumed == 6
    assert_same_store(tmp_path / "feats.h5", whole)


def fill_disk_after(monkeypatch: pytest.MonkeyPatch, *, appends: int) -> None:
    from optsg.data.store.hdf5 import columns

    append, count = columns.RaggedWriter.append, 0

    def fails(self: columns.RaggedWriter, values: np.ndarray) -> None:
        nonlocal count
        count += values.dtype == np.float16 and values.size > 0
        if count >= appends:
            raise OSError(errno.ENOSPC, "No space left on device")
        append(self, values)

    monkeypatch.setattr(columns.RaggedWriter, "append", fails)


def test_a_file_system_that_refuses_to_grow_a_file_is_one_sentence(
    clips: list[MediaItem], tiny_timm_folder: Path, tiny_bert_folder: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "videos"
    folder.mkdir()
    for clip in clips:
        shutil.copy(clip.payload, folder)  # type: ignore[arg-type]
    out = tmp_path / "feats.h5"
    arguments = [str(folder), "--out", str(out), "--image-encoder", str(tiny_timm_folder), "--text-encoder"]
    with full_disk(200_000):
        result = CliRunner().invoke(main, [*arguments, str(tiny_bert_folder), "-q", "--workers", "1"])
    assert result.exit_code == 1
    assert isinstance(result.exception, SystemExit)
    assert re.search(
        r"^error: .*\.tmp cannot be written: .*; what was finished before is kept$", result.stderr, re.MULTILINE
    )
    assert not out.exists()
