"""Padding, masks and bucketed batches."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from optsg.data.batching import (
    Batch,
    JointBatch,
    bucketed_batches,
    collate,
    sequential_batches,
    video_lengths,
    writing_lengths,
)
from optsg.data.errors import StoreError
from optsg.data.store import open_store
from torch.utils.data import DataLoader

from tests.tiny_world import tiny_videos, write_tiny_store


def test_padding_is_masked_and_values_are_kept() -> None:
    frames = [np.full((2, 3), 1, np.float16), np.full((4, 3), 2, np.float16)]
    patches = [np.zeros((0, 5), np.float16)] * 2
    batch = Batch.from_features(frames, patches, [[7, 8, 9], [7, 9]])
    assert batch.frames.shape == (2, 4, 3)
    assert batch.patches.shape == (2, 0, 5)
    assert batch.frame_mask.tolist() == [[True, True, False, False], [True] * 4]
    assert batch.frames[batch.frame_mask].sum(dim=1).tolist() == [3.0] * 2 + [6.0] * 4
    assert batch.title_tokens.tolist() == [[7, 8, 9, 0], [7, 9, 0, 0]]  # filled up to a multiple of 4
    assert batch.title_mask.tolist() == [[True] * 3 + [False], [True, True, False, False]]


def test_features_stay_as_they_are_stored_and_padding_is_zero() -> None:
    random = np.random.default_rng(0)
    for lengths in ((3, 3, 3), (4, 0, 2)):
        rows = [random.standard_normal((length, 5)).astype(np.float16) for length in lengths]
        batch = Batch.from_features(rows, rows, [np.array([1, 2], np.int32), [3], [4, 5, 6, 7, 8]])
        expected = torch.zeros(3, max(lengths), 5, dtype=torch.float16)
        for place, row in zip(expected, rows, strict=True):
            place[: len(row)] = torch.from_numpy(row)
        for values, mask in ((batch.frames, batch.frame_mask), (batch.patches, batch.patch_mask)):
            assert torch.equal(values, expected)
            assert mask.sum(dim=1).tolist() == list(lengths)
        assert batch.title_tokens.tolist() == [[1, 2] + [0] * 6, [3] + [0] * 7, [4, 5, 6, 7, 8, 0, 0, 0]]
        assert batch.title_tokens.dtype == torch.int64


def test_collate_mixes_videos_and_images(tmp_path: Path) -> None:
    with open_store(write_tiny_store(tmp_path / "s.h5", tiny_videos(16))) as store:
        batch = collate(store, [7, 0])
        assert batch.frame_mask[0].sum() == 0
        assert batch.patch_mask[0].sum() == 4
        assert batch.frame_mask[1].sum() == len(store.frames(0))
        assert batch.patch_mask[1].sum() == 0
        assert [tags.tolist() for tags in batch.tags] == [store.tags(7).tolist(), store.tags(0).tolist()]


@pytest.mark.parametrize("small", [0, 1 << 9, 1 << 20])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_a_batch_comes_out_of_a_worker_as_it_went_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small: int, dtype: torch.dtype
) -> None:
    monkeypatch.setattr("optsg.data.batching.SMALL_BYTES", small)
    rows = np.arange(6)
    with open_store(write_tiny_store(tmp_path / "s.h5", tiny_videos(16))) as store:
        whole = collate(store, rows)
        assert 0 < whole.title_mask.nbytes < 1 << 9 < whole.frames.nbytes < 1 << 20
        joint = JointBatch(tags=whole.tags, places=rows[::2])
        sent = replace(whole, frames=whole.frames.to(dtype), joint=joint)
        batches: Any = [sent]
        loader: Any = DataLoader(batches, batch_size=None, num_workers=1, collate_fn=as_it_is)
        (found,) = loader
    for name in ("frames", "frame_mask", "patches", "patch_mask", "title_tokens", "title_mask"):
        one, other = getattr(found, name), getattr(sent, name)
        assert one.dtype == other.dtype
        assert torch.equal(one, other)
    assert [tags.tolist() for tags in found.tags] == [tags.tolist() for tags in sent.tags]
    assert found.rows.tolist() == rows.tolist()
    assert found.joint.places.tolist() == [0, 2, 4]
    found.frames.zero_()  # it can be written to


def as_it_is(batch: Any) -> Any:
    return batch


@pytest.mark.parametrize(("count", "size"), [(100, 8), (7, 8), (64, 8), (1, 1)])
def test_every_row_occurs_once_an_epoch_in_as_many_batches_as_needed(count: int, size: int) -> None:
    rows = np.arange(count) * 3
    batches = bucketed_batches(rows, rows % 11, size, np.random.default_rng(0))
    assert len(batches) == -(-count // size)
    assert sorted(np.concatenate(batches).tolist()) == rows.tolist()
    assert max(len(batch) for batch in batches) <= size


def test_batches_hold_similar_lengths_and_change_every_epoch() -> None:
    rows = np.arange(512)
    lengths = np.random.default_rng(1).integers(1, 60, 512)
    batches = bucketed_batches(rows, lengths, 16, np.random.default_rng(0))
    spread = np.mean([np.ptp(lengths[batch]) for batch in batches])
    plain = np.mean([np.ptp(lengths[rows[i : i + 16]]) for i in range(0, 512, 16)])
    assert spread < plain / 3
    other = bucketed_batches(rows, lengths, 16, np.random.default_rng(1))
    assert {tuple(sorted(b)) for b in batches} != {tuple(sorted(b)) for b in other}
    again = bucketed_batches(rows, lengths, 16, np.random.default_rng(0))
    assert all(np.array_equal(one, two) for one, two in zip(batches, again, strict=True))


def test_batches_by_title_hold_similar_titles_and_similar_lengths() -> None:
    rng = np.random.default_rng(1)
    rows, titles, lengths = np.arange(1003) * 2, rng.integers(3, 40, 1003), rng.integers(1, 60, 1003)
    batches = bucketed_batches(rows, lengths, 16, np.random.default_rng(0), titles=titles)
    assert len(batches) == -(-1003 // 16)
    assert sorted(np.concatenate(batches).tolist()) == rows.tolist()
    for values in (titles, lengths):
        spread = np.mean([np.ptp(values[batch // 2]) for batch in batches])
        assert spread < np.mean([np.ptp(values[i : i + 16]) for i in range(0, 1003, 16)]) / 1.4
    assert np.mean([np.ptp(titles[batch // 2]) for batch in batches]) < 15
    again = bucketed_batches(rows, lengths, 16, np.random.default_rng(0), titles=titles)
    assert all(np.array_equal(one, two) for one, two in zip(batches, again, strict=True))
    other = bucketed_batches(rows, lengths, 16, np.random.default_rng(1), titles=titles)
    assert {tuple(sorted(b)) for b in batches} != {tuple(sorted(b)) for b in other}


@pytest.mark.parametrize(("count", "window"), [(5000, 320), (5000, 1000), (5003, 700), (300, 320), (1, 320)])
def test_a_window_mixes_few_stretches_and_every_row_occurs_once(count: int, window: int) -> None:
    """Read in this order, a store is read in sequence but for a few places at a time."""
    rows = np.flatnonzero(np.arange(3 * count) % 3 == 1)
    lengths = np.random.default_rng(1).integers(1, 60, count)
    seen = []
    for epoch in range(3):
        batches = bucketed_batches(rows, lengths, 16, np.random.default_rng([7, epoch]), window=window)
        assert len(batches) == -(-count // 16)
        assert max(len(batch) for batch in batches) <= 16
        assert sorted(np.concatenate(batches).tolist()) == rows.tolist()
        size = -(-window // 128) * 128
        order = np.searchsorted(rows, np.concatenate(batches))
        for start in range(0, count - size, size):
            here = np.sort(order[start : start + size])
            assert np.sum(np.diff(here) > 1) <= 17
        seen.append({tuple(sorted(batch.tolist())) for batch in batches})
        again = bucketed_batches(rows, lengths, 16, np.random.default_rng([7, epoch]), window=window)
        assert all(np.array_equal(one, two) for one, two in zip(batches, again, strict=True))
    if count > 1:
        assert not seen[0] & seen[1]
    if count > 2 * window:
        spread = np.mean([np.ptp(batch) for batch in batches])
        assert spread > 3 * window  # rows from all over the store


def test_lengths_count_frames_patches_and_tags(tmp_path: Path) -> None:
    with open_store(write_tiny_store(tmp_path / "s.h5", tiny_videos(16))) as store:
        expected = [len(store.frames(r)) + len(store.patches(r)) + 4 * len(store.tags(r)) for r in (3, 7)]
        assert video_lengths(store, np.array([3, 7])).tolist() == expected


def test_writing_lengths_count_the_word_pieces_of_tags(tmp_path: Path) -> None:
    videos = [replace(video, tags=()) if number == 7 else video for number, video in enumerate(tiny_videos(16))]
    with open_store(write_tiny_store(tmp_path / "s.h5", videos)) as store:
        pieces = [sum(len(store.tag_tokens(int(tag))) for tag in store.tags(row)) for row in (3, 7)]
        assert pieces[0] > 0
        expected = [
            len(store.frames(r)) + len(store.patches(r)) + 8 * (count + len(store.tags(r)))
            for r, count in zip((3, 7), pieces, strict=True)
        ]
        assert writing_lengths(store, np.array([3, 7])).tolist() == expected
        assert store.title_lengths().tolist() == [len(store.title_tokens(row)) for row in range(len(store))]


def test_sequential_batches_keep_the_order() -> None:
    assert [b.tolist() for b in sequential_batches(np.arange(5), 2)] == [[0, 1], [2, 3], [4]]


@pytest.mark.parametrize("bits", [0x7C00, 0x7C01, 0x7FFF, 0xFC00, 0xFE00, 0xFFFF])  # both infinities, odd NaNs
@pytest.mark.parametrize("name", ["frames", "patches"])
def test_features_that_are_no_numbers_are_never_given(tmp_path: Path, name: str, bits: int) -> None:
    videos = tiny_videos(16)
    row = 7 if name == "patches" else 2
    damaged = getattr(videos[row], name).copy()
    damaged.view(np.uint16)[-1, 3] = bits
    videos[row] = replace(videos[row], **{name: damaged})
    with open_store(write_tiny_store(tmp_path / "s.h5", videos)) as store:
        message = (
            rf"s\.h5 is damaged: the features of 'video-{row}' have values that are not finite; optsg-store verify"
        )
        with pytest.raises(StoreError, match=message):
            collate(store, [0, row, 15])
        assert len(collate(store, [0, 15])) == 2


def test_several_videos_without_numbers_are_counted(tmp_path: Path) -> None:
    videos = [replace(video, frames=video.frames * np.float16("nan")) for video in tiny_videos(6)]
    with (
        open_store(write_tiny_store(tmp_path / "s.h5", videos)) as store,
        pytest.raises(StoreError, match=r"the features of 'video-4' and those of 2 more of its batch of 3 have values"),
    ):
        collate(store, [4, 1, 0])


def test_the_largest_numbers_are_numbers(tmp_path: Path) -> None:
    videos = tiny_videos(3)
    for video, value in zip(videos, (65504, -65504, -0.0), strict=True):
        video.frames[:] = value
    with open_store(write_tiny_store(tmp_path / "s.h5", videos)) as store:
        assert collate(store, [0, 1, 2]).frames.abs().max() == 65504
