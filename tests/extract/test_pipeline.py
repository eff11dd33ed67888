"""Inputs to a finished store: contents, failures, resuming, a full disk."""

from __future__ import annotations

import errno
import io
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from optsg.data.errors import InputError, StoreError, StoreWriteError
from optsg.data.inputs import open_inputs
from optsg.data.media import Failure, MediaItem
from optsg.data.store import open_store
from optsg.extract import pipeline
from optsg.extract.decoding import decode_image, decode_video
from optsg.extract.image_encoder import ImageEncoder
from optsg.extract.pipeline import extract
from optsg.extract.sampling import Sampling
from optsg.extract.summary import ExtractSummary
from optsg.extract.text_encoder import TextEncoder
from PIL import Image

from tests.extract.painted_clips import ClipMaker

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


@pytest.fixture
def run(tmp_path: Path, tiny_image_encoder: ImageEncoder, tiny_text_encoder: TextEncoder):
    """Extracts a list into ``feats.h5`` with the tiny encoders."""

    def start(items: Sequence[MediaItem | Failure], name: str = "feats.h5", **options) -> ExtractSummary:
        return extract(
            Listed(items),
            tmp_path / name,
            image_encoder=options.pop("image_encoder", tiny_image_encoder),
            text_encoder=tiny_text_encoder,
            **{"batch_size": 16, "workers": 2, **options},
        )

    return start


def contents(path: Path) -> list[tuple[object, ...]]:
    """Everything that a store holds of its videos, and its failures."""
    with open_store(path) as store:
        rows: list[tuple[object, ...]] = [
            (
                video.id,
                video.title,
                video.tags,
                video.split,
                video.source,
                video.kind,
                video.duration,
                video.frames.tobytes(),
                video.times.tobytes(),
                video.patches.tobytes(),
                video.thumbnail,
                video.note,
                store.title_tokens(row).tobytes(),
            )
            for row, video in ((row, store.features(row)) for row in range(len(store)))
        ]
        tables = store.tag_embeddings.tobytes(), tuple(store.tag_keys), store.tokenizer_json
        return [*rows, tables, tuple(store.failures)]


def test_the_store_holds_what_the_encoders_give(
    run, clips: list[MediaItem], tiny_image_encoder: ImageEncoder, tmp_path: Path
) -> None:
    summary = run(clips)
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
                assert_close(video.patches, tiny_image_encoder.encode_patches(pixels)[0])
                assert (len(video.frames), len(video.times), video.duration) == (0, 0, 0.0)
            else:
                decoded = decode_video(clip.payload)
                pixels = torch.stack([tiny_image_encoder.preprocess(image) for image in decoded.images])
                assert_close(video.frames, tiny_image_encoder.encode_frames(pixels))
                assert np.array_equal(video.times, decoded.times)
                assert video.duration == pytest.approx(decoded.duration)
                assert len(video.patches) == 0
        assert store.header.sampling == Sampling().spec()
        assert store.header.image_encoder == tiny_image_encoder.spec()
    assert not (tmp_path / "feats.h5.parts").exists()


def assert_close(stored: np.ndarray, expected: torch.Tensor) -> None:
    assert stored.dtype == np.float16
    a, b = stored.astype(np.float64).reshape(len(stored), -1), expected.double().numpy().reshape(len(stored), -1)
    cosines = (a * b).sum(axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    assert cosines.min() > 0.99999


def test_titles_tags_and_tables_reach_the_store(
    run, clips: list[MediaItem], tiny_text_encoder: TextEncoder, tmp_path: Path
) -> None:
    run(clips)
    tables = tiny_text_encoder.tables(6)
    with open_store(tmp_path / "feats.h5") as store:
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


def test_the_batch_size_does_not_change_features(run, clips: list[MediaItem], tmp_path: Path) -> None:
    for size in (1, 7, 64):
        run(clips, f"batch{size}.h5", batch_size=size)
    with (
        open_store(tmp_path / "batch1.h5") as one,
        open_store(tmp_path / "batch7.h5") as seven,
        open_store(tmp_path / "batch64.h5") as all_at_once,
    ):
        for row in range(len(one)):
            for other in (seven, all_at_once):
                assert other.id(row) == one.id(row)
                if one.kind(row) == "video":
                    assert_close(other.frames(row), torch.from_numpy(one.frames(row).astype(np.float32)))
                assert np.array_equal(other.times(row), one.times(row))


def test_the_same_input_gives_the_same_store(run, clips: list[MediaItem], tmp_path: Path) -> None:
    run(clips, "first.h5", workers=1)
    run(clips, "second.h5", workers=4)
    assert contents(tmp_path / "first.h5") == contents(tmp_path / "second.h5")


def test_bytes_out_of_shards_give_the_features_of_the_file(run, clips: list[MediaItem], tmp_path: Path) -> None:
    run([clips[2]])
    run([item("v2", clips[2].payload.read_bytes(), title=clips[2].title, tags=clips[2].tags)], "memory.h5")  # type: ignore[union-attr]
    assert contents(tmp_path / "feats.h5") == contents(tmp_path / "memory.h5")


def test_sample_shards_are_read(
    sample_dir: Path, tmp_path: Path, tiny_image_encoder: ImageEncoder, tiny_text_encoder: TextEncoder
) -> None:
    inputs = open_inputs(sample_dir / "test.tar", limit=SAMPLE)
    summary = extract(inputs, tmp_path / "s.h5", image_encoder=tiny_image_encoder, text_encoder=tiny_text_encoder)
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
    monkeypatch.setattr(tiny_image_encoder, "encode_patches", lambda pixels: torch.full((len(pixels), 4, 256), 1e9))
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
@pytest.mark.parametrize("after", [1, 4, 9, 12])
def test_resuming_gives_the_store_of_an_uninterrupted_run(
    run, clips: list[MediaItem], tmp_path: Path, after: int
) -> None:
    items = [*clips, item("gone", tmp_path / "gone.mp4")]
    run(items, "whole.h5")
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
    assert contents(tmp_path / "feats.h5") == contents(tmp_path / "whole.h5")
    with open_store(tmp_path / "feats.h5") as resumed, open_store(tmp_path / "whole.h5") as whole:
        assert resumed.header.differences(whole.header) == []


@pytest.mark.usefixtures("small_parts")
def test_failures_in_complete_parts_are_not_tried_again(run, clips: list[MediaItem], tmp_path: Path) -> None:
    items = [item("gone", tmp_path / "gone.mp4"), *clips]
    interrupt_after(run, items, 7)
    shutil.copy(clips[0].payload, tmp_path / "gone.mp4")  # type: ignore[arg-type]
    run(items)
    with open_store(tmp_path / "feats.h5") as store:
        assert [failure.id for failure in store.failures] == ["gone"]


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
        "sampling.max_frames: 60 ≠ 2. Repeat the command with the old settings, or add --overwrite to begin anew"
    )
    with pytest.raises(StoreError, match=f"^{re.escape(message)}$"):
        run(clips, sampling=Sampling(max_frames=2))
    assert run(clips, sampling=Sampling(max_frames=2), overwrite=True).resumed == 0
    with open_store(tmp_path / "feats.h5") as store:
        assert max(len(store.frames(row)) for row in range(len(store))) == 2


@pytest.mark.usefixtures("small_parts")
def test_another_input_does_not_continue_a_run(run, clips: list[MediaItem], tmp_path: Path) -> None:
    interrupt_after(run, clips, 7)
    message = (
        f"{tmp_path / 'feats.h5.parts'} holds 3 videos that are not in a list, for instance 'v0'; repeat the command "
        "with the input it was begun with, or add --overwrite"
    )
    with pytest.raises(StoreError, match=f"^{re.escape(message)}$"):
        run(clips[3:])


def test_an_existing_store_is_only_replaced_when_asked(run, clips: list[MediaItem], tmp_path: Path) -> None:
    run(clips[:2])
    before = (tmp_path / "feats.h5").read_bytes()
    message = f"{tmp_path / 'feats.h5'} exists already; choose another --out, or add --overwrite to replace it"
    with pytest.raises(StoreError, match=f"^{re.escape(message)}$"):
        run(clips)
    assert (tmp_path / "feats.h5").read_bytes() == before
    run(clips, overwrite=True)
    with open_store(tmp_path / "feats.h5") as store:
        assert len(store) == len(clips)


@pytest.mark.usefixtures("small_parts")
def test_a_full_disk_is_one_sentence_and_keeps_complete_parts(
    run, clips: list[MediaItem], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(clips, "whole.h5")
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
    assert contents(tmp_path / "feats.h5") == contents(tmp_path / "whole.h5")


def fill_disk_after(monkeypatch: pytest.MonkeyPatch, *, appends: int) -> None:
    from optsg.data import hdf5_columns

    append, count = hdf5_columns.RaggedWriter.append, 0

    def fails(self: hdf5_columns.RaggedWriter, values: np.ndarray) -> None:
        nonlocal count
        count += values.dtype == np.float16 and values.size > 0
        if count >= appends:
            raise OSError(errno.ENOSPC, "No space left on device")
        append(self, values)

    monkeypatch.setattr(hdf5_columns.RaggedWriter, "append", fails)


LIMITED = """
import resource, signal, sys
from pathlib import Path
sys.path[:0] = [{root!r}]
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
from optsg.extract.cli import main
main({arguments!r})
"""


def test_a_file_system_that_refuses_to_grow_a_file_is_one_sentence(
    clips: list[MediaItem], tiny_timm_folder: Path, tiny_bert_folder: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "videos"
    folder.mkdir()
    for clip in clips:
        shutil.copy(clip.payload, folder)  # type: ignore[arg-type]
    out = tmp_path / "feats.h5"
    arguments = [str(folder), "--out", str(out), "--image-encoder", str(tiny_timm_folder), "--text-encoder"]
    program = LIMITED.format(root=str(Path(__file__).parents[2]), arguments=[*arguments, str(tiny_bert_folder), "-q"])
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert "Traceback" not in result.stderr
    assert re.search(
        r"^error: .*\.tmp cannot be written: .*; what was finished before is kept$", result.stderr, re.MULTILINE
    )
    assert not out.exists()
