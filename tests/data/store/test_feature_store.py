"""The feature store: what goes in comes out, and what is no whole store says so."""

from __future__ import annotations

import json
import mmap
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from optsg.data.errors import StoreError, StoreVersionError
from optsg.data.store import open_store
from optsg.data.store.schema import StoreHeader, VideoFeatures

from tests.data.inputs.odd_videos import as_version_1, assert_same, odd_failures, odd_videos, write_part
from tests.tiny_world import tiny_header, tiny_text_tables, tiny_videos, write_tiny_store


def test_round_trip(tmp_path: Path) -> None:
    videos = tiny_videos(30)
    with open_store(write_tiny_store(tmp_path / "s.h5", videos)) as store:
        assert len(store) == 30
        assert store.ids() == [video.id for video in videos]
        for row, video in enumerate(videos):
            assert_same(store.features(row), video)
        assert [store.tag_keys[tag] for tag in store.tags(0)] == [tag.casefold() for tag in videos[0].tags]
        assert store.tag_spellings[store.tag_keys.index("t-shirt")] == "T-shirt"


def test_a_path_may_be_a_text(tmp_path: Path) -> None:
    path = write_tiny_store(tmp_path / "tiny.h5", tiny_videos(3))
    with open_store(str(path)) as store:
        assert (len(store), store.path) == (3, path)


def test_text_tables_travel_with_the_store(tmp_path: Path) -> None:
    text = tiny_text_tables()
    with open_store(write_tiny_store(tmp_path / "s.h5", tiny_videos(20))) as store:
        assert store.tokenizer_json == text.tokenizer_json
        assert json.loads(store.title_encoder_config)["num_hidden_layers"] == 2
        weights = store.title_encoder_weights()
        assert weights.keys() == text.weights.keys()
        assert all(np.array_equal(weights[name], text.weights[name]) for name in weights)
        assert np.array_equal(store.tag_embeddings, text.tag_embeddings(store.tag_keys))
        assert np.array_equal(store.nil_embedding, text.nil_embedding)
        assert store.title_tokens(3).tolist() == text.title_tokens([store.title(3)])[0]
        assert store.tag_tokens(1).tolist() == text.tag_tokens([store.tag_keys[1]])[0]


def test_provenance_comes_back(tmp_path: Path) -> None:
    videos = odd_videos()
    with open_store(write_tiny_store(tmp_path / "s.h5", videos, failures=odd_failures())) as store:
        assert [store.status(row) for row in range(len(store))] == [video.status for video in videos]
        assert [store.backend(row) for row in range(len(store))] == [video.backend for video in videos]
        assert [store.digest(row) for row in range(len(store))] == [video.digest for video in videos]
        assert store.decode_seconds(7) == 1.0
        assert store.failures == odd_failures()


def test_a_digest_that_is_none_is_refused(tmp_path: Path) -> None:
    video = VideoFeatures(**{**vars(tiny_videos(1)[0]), "digest": "md5:abc"})
    with pytest.raises(ValueError, match=r"^'md5:abc' is no digest; expected sha256: and 64 hexadecimal digits$"):
        write_part(tmp_path / "part.h5", [video])


def test_a_store_of_version_1_opens_with_defaults(tmp_path: Path) -> None:
    path = write_tiny_store(tmp_path / "s.h5", odd_videos(), failures=odd_failures())
    with open_store(path) as store:
        videos = [store.features(row) for row in range(len(store))]
    with open_store(as_version_1(path)) as store:
        assert store.version == 1
        for row, video in enumerate(videos):
            assert_same(store.features(row), replace(video, status="ok", backend="", digest="", decode_seconds=0.0))
        assert store.failures == [
            replace(failure, status="failed", digest="", seconds=0.0) for failure in odd_failures()
        ]


def test_finished_values_are_mapped_not_read(tmp_path: Path) -> None:
    with open_store(write_tiny_store(tmp_path / "out.h5", tiny_videos(12))) as store:
        behind: Any = store.frames(0)
        assert type(behind) is np.ndarray  # rows of numpy's own class of mapped arrays are slow to take
        while isinstance(behind, np.ndarray):
            behind = behind.base
        assert isinstance(behind, mmap.mmap)


def test_store_of_images_only_and_without_patches(tmp_path: Path) -> None:
    images = [video for video in tiny_videos(32) if video.kind == "image"]
    with open_store(write_tiny_store(tmp_path / "images.h5", images)) as store:
        assert store.patches(0).shape == (4, 6)
        assert store.frames(0).shape == (0, 12)
        assert store.visual_lengths().tolist() == [4] * 4
    videos = [video for video in tiny_videos(8) if video.kind == "video"]
    bare = [VideoFeatures(**{**vars(video), "patches": np.zeros((0, 0), np.float16)}) for video in videos]
    with open_store(write_tiny_store(tmp_path / "videos.h5", bare, patch_dim=0)) as store:
        assert store.patches(0).shape == (0, 0)


@pytest.mark.parametrize("name", ["s.h5", "shards"])
@pytest.mark.parametrize("at_once", [1, 5, 1_000])
def test_counts_over_many_videos_are_those_of_one_after_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, at_once: int
) -> None:
    monkeypatch.setattr("optsg.data.store.feature_store.ROWS_AT_ONCE", at_once)
    with open_store(write_tiny_store(tmp_path / name, tiny_videos(23))) as store:
        rows = store.indices("train")
        assert 0 < len(rows) < len(store)
        counts = Counter(tag for row in rows for tag in store.tags(int(row)).tolist())
        assert store.tag_counts(rows).tolist() == [counts[tag] for tag in range(len(store.tag_keys))]
        assert store.tag_lengths().tolist() == [len(store.tags(row)) for row in range(len(store))]
        pieces = {piece for row in range(len(store)) for piece in store.title_tokens(row).tolist()}
        assert store.title_pieces().tolist() == sorted(pieces)
        assert store.tag_counts(rows[:0]).sum() == 0


def test_missing_split_names_those_that_are_there(tmp_path: Path) -> None:
    videos = [video for video in tiny_videos(20) if video.split != "test"]
    with open_store(write_tiny_store(tmp_path / "s.h5", videos)) as store:
        expected = f"{store.path} has no videos in split 'test'; it has train (14), val (2)"
        with pytest.raises(StoreError, match=f"^{re.escape(expected)}$"):
            store.indices("test")


def test_text_that_utf8_cannot_hold_becomes_question_marks(tmp_path: Path) -> None:
    video = VideoFeatures(**{**vars(tiny_videos(1)[0]), "title": "bad \ud800 title"})
    with open_store(write_tiny_store(tmp_path / "s.h5", [video])) as store:
        assert store.title(0) == "bad ? title"


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda _: None, "there is no feature store at {path}; make one with: optsg-extract VIDEOS --out {path}"),
        (
            lambda path: path.mkdir(),
            "{path} is a folder but no feature store (it has no index.json); make one with optsg-extract",
        ),
        (
            lambda path: path.write_bytes(b"x" * 900),
            "{path} is not a readable HDF5 file; it is damaged or something else",
        ),
        (
            lambda path: h5py.File(path, "w").close(),
            "{path} is an HDF5 file but no optsg feature store; make one with optsg-extract",
        ),
        (
            lambda path: write_part(path, tiny_videos(2)),
            "{path} is not a finished feature store; run the same optsg-extract command again to finish it",
        ),
    ],
)
def test_what_is_no_store_says_so(tmp_path: Path, make: object, expected: str) -> None:
    path = tmp_path / "s.h5"
    make(path)  # type: ignore[operator]
    with pytest.raises(StoreError, match=f"^{re.escape(expected.format(path=path))}$"):
        open_store(path)


def test_newer_version_is_refused(tmp_path: Path) -> None:
    path = write_tiny_store(tmp_path / "s.h5", tiny_videos(3))
    with h5py.File(path, "r+") as file:
        file.attrs["version"] = 3
    expected = f"{path} is a feature store of version 3; this optsg reads up to version 2: upgrade optsg"
    with pytest.raises(StoreVersionError, match=f"^{re.escape(expected)}$"):
        open_store(path)


def test_truncated_store_is_refused(tmp_path: Path) -> None:
    path = write_tiny_store(tmp_path / "s.h5", tiny_videos(20))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(StoreError, match="is not a readable HDF5 file"):
        open_store(path)


def test_links_out_of_the_file_are_refused(tmp_path: Path) -> None:
    path = write_tiny_store(tmp_path / "s.h5", tiny_videos(3))
    with h5py.File(path, "r+") as file:
        del file["videos/times/values"]
        file["videos/times/values"] = h5py.ExternalLink("/etc/passwd", "/x")
    expected = f"{path}: 'videos/times/values' is a link to elsewhere, which a feature store must not contain"
    with pytest.raises(StoreError, match=re.escape(expected)):
        open_store(path)


def test_weights_that_are_a_link_are_refused(tmp_path: Path) -> None:
    path = write_tiny_store(tmp_path / "s.h5", tiny_videos(3))
    with h5py.File(path, "r+") as file:
        del file["text/weights"]
        file["text/weights"] = h5py.ExternalLink("/etc/passwd", "/x")
    expected = f"{path}: 'text/weights' is a link to elsewhere, which a feature store must not contain"
    with open_store(path) as store, pytest.raises(StoreError, match=f"^{re.escape(expected)}$"):
        store.title_encoder_weights()


def test_missing_and_inconsistent_arrays_are_refused(tmp_path: Path) -> None:
    path = write_tiny_store(tmp_path / "s.h5", tiny_videos(3))
    with h5py.File(path, "r+") as file:
        del file["videos/duration"]
    with pytest.raises(StoreError, match=re.escape(f"{path}: the array 'videos/duration' is missing")):
        open_store(path)
    path = write_tiny_store(tmp_path / "t.h5", tiny_videos(3))
    with h5py.File(path, "r+") as file:
        file["videos/frames/offsets"][-1] += 1
    with pytest.raises(StoreError, match=re.escape(f"{path}: the offsets of 'videos/frames' do not fit its values")):
        open_store(path)


def test_header_round_trip_and_differences() -> None:
    header = tiny_header()
    assert StoreHeader.from_json(header.to_json()) == header
    assert header.differences(tiny_header(created="later", optsg_version="9")) == []
    upgraded = {**header.image_encoder, "library_version": "99"}
    assert header.differences(tiny_header(image_encoder=upgraded)) == []
    changed = tiny_header(frame_dim=9, sampling={"fps": 2.0, "max_frames": 60})
    assert header.differences(changed) == ["frame_dim: 12 ≠ 9", "sampling.fps: 1.0 ≠ 2.0"]
    with pytest.raises(StoreError, match=re.escape("the store's header cannot be read")):
        StoreHeader.from_json('{"frame_dim": 3, "colour": "red"}')
