"""The system is asked for the bytes of the batches to come: the right ones, once, before their turn."""

from __future__ import annotations

import errno
import mmap
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
from numpy.typing import NDArray
from optsg.data.batching import READ_AHEAD, reading_ahead
from optsg.data.store import open_store
from optsg.data.store.mapped_pages import map_behind, place_in_map, read_pages_ahead

from tests.tiny_world import tiny_videos, write_tiny_store


class Map:
    """Notes what is asked of it."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, int, int]] = []

    def madvise(self, advice: int, start: int, size: int) -> None:
        self.asked.append((advice, start, size))


@pytest.mark.parametrize("name", ["s.h5", "shards"])
def test_the_bytes_asked_for_are_those_of_the_videos(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    asked: list[bytes] = []

    def note(mapped: mmap.mmap, start: int, end: int) -> None:
        if end > start:
            asked.append(mapped[start:end])
        read_pages_ahead(mapped, start, end)  # a place outside the map would be an error

    for module in ("hdf5.columns", "shards.reading"):
        monkeypatch.setattr(f"optsg.data.store.{module}.read_pages_ahead", note)
    with open_store(write_tiny_store(tmp_path / name, tiny_videos(24))) as store:
        rows = np.array([17, 3, 7, 15, 0])
        store.read_ahead(rows)
        values = [read(row).tobytes() for read in (store.frames, store.patches) for row in rows.tolist()]
        assert sorted(asked) == sorted(value for value in values if value)
        assert {store.kind(row) for row in rows.tolist()} == {"video", "image"}


def test_whole_pages_are_asked_for_and_nothing_where_there_is_nothing() -> None:
    mapped: Any = Map()
    page = mmap.PAGESIZE
    for start, end in ((0, 10), (page, page), (3 * page + 7, 5 * page + 1), (page - 1, page)):
        read_pages_ahead(mapped, start, end)
    assert [(start, start + size) for _, start, size in mapped.asked] == [
        (0, 10),
        (3 * page, 5 * page + 1),
        (0, page),
    ]
    assert {advice for advice, *_ in mapped.asked} == {mmap.MADV_WILLNEED}


def test_advice_that_is_refused_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    mapped: Any = Map()
    monkeypatch.setattr(mapped, "madvise", Mock(side_effect=OSError(errno.EAGAIN, "no memory")))
    read_pages_ahead(mapped, 0, 10)
    mapped.madvise.assert_called_once()


def test_a_system_without_advice_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("mmap.MADV_WILLNEED")
    mapped: Any = Map()
    read_pages_ahead(mapped, 0, 10)
    assert mapped.asked == []


def test_the_map_behind_an_array_and_the_place_in_it(tmp_path: Path) -> None:
    path = tmp_path / "bytes"
    path.write_bytes(bytes(range(256)) * 512)
    whole = np.asarray(np.memmap(path, np.uint8, "r", offset=2 * mmap.ALLOCATIONGRANULARITY + 3))
    piece = whole[5:].view(np.uint16 if len(whole[5:]) % 2 == 0 else np.uint8)
    mapped = map_behind(piece)
    assert mapped is not None
    assert place_in_map(piece, mapped) == 3 + 5  # it is mapped from the page on
    assert map_behind(np.frombuffer(mapped, np.uint8)[1:]) is mapped
    assert map_behind(np.zeros(3)) is None
    assert map_behind(np.frombuffer(b"abc", np.uint8)) is None


class Store:
    """Notes for which rows it was asked, and when."""

    def __init__(self) -> None:
        self.asked: list[list[int]] = []

    def read_ahead(self, rows: NDArray[np.int64]) -> None:
        self.asked.append(rows.tolist())


@pytest.mark.parametrize("count", [0, 1, READ_AHEAD, READ_AHEAD + 1, 3 * READ_AHEAD])
def test_each_batch_is_asked_for_once_and_in_time(count: int) -> None:
    store: Any = Store()
    batches = [np.array([10 * number, 10 * number + 1, 10 * number + 2]) for number in range(count)]
    for number, rows in enumerate(reading_ahead(store, batches)):
        assert rows is batches[number]
        assert store.asked == [batch.tolist() for batch in batches[: number + 1 + READ_AHEAD]]
    assert store.asked == [batch.tolist() for batch in batches]


def test_a_process_asks_for_its_share_alone() -> None:
    store: Any = Store()
    batches = [np.arange(5), np.arange(5, 8)]
    passed = list(reading_ahead(store, batches, share=slice(1, None, 2)))
    assert [rows.tolist() for rows in passed] == [[0, 1, 2, 3, 4], [5, 6, 7]]
    assert store.asked == [[1, 3], [6]]


@pytest.mark.parametrize("name", ["s.h5", "shards"])
def test_videos_taken_together_are_those_taken_one_by_one(tmp_path: Path, name: str) -> None:
    with open_store(write_tiny_store(tmp_path / name, tiny_videos(24))) as store:
        rows = np.array([5, 0, 23, 5, 7])
        one_by_one: list[Callable[[int], NDArray[Any]]] = [store.frames, store.patches, store.title_tokens, store.tags]
        together: list[list[NDArray[Any]]] = [*store.model_inputs(rows)]
        for found, read in zip(together, one_by_one, strict=True):
            assert [values.tolist() for values in found] == [read(row).tolist() for row in rows.tolist()]
            assert [values.dtype for values in found] == [read(row).dtype for row in rows.tolist()]
