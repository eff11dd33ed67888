"""Decoding ahead: in order, side by side, and never more at a time than the memory budget allows."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from optsg.data.media import Failure, MediaItem
from optsg.extract import decode_ahead as module
from optsg.extract.decode_ahead import decode_ahead
from optsg.extract.preparation import Prepared


def items(count: int) -> Iterator[MediaItem]:
    for number in range(count):
        yield MediaItem(
            id=str(number), source="", kind="video", title="", tags=(), split="none", payload=Path(f"{number}.mp4")
        )


def prepared(item: MediaItem | Failure, *, nbytes: int = 4) -> Prepared:
    assert isinstance(item, MediaItem)
    return Prepared(
        item=item,
        pixels=torch.zeros(nbytes // 4),
        times=np.zeros(1, dtype=np.float32),
        duration=1.0,
        thumbnail=b"",
        note="",
        seconds=0.0,
    )


def test_results_come_in_input_order_whatever_takes_longer() -> None:
    def work(item: MediaItem | Failure) -> Prepared:
        time.sleep(0.01 if int(item.id) % 3 == 0 else 0)
        return prepared(item)

    results = list(decode_ahead(items(40), work, workers=4))
    assert [result.item.id for result in results if isinstance(result, Prepared)] == [str(n) for n in range(40)]


def test_workers_run_side_by_side() -> None:
    both = threading.Barrier(2, timeout=10)

    def work(item: MediaItem | Failure) -> Prepared:
        both.wait()  # passes only when two inputs are being decoded at once
        return prepared(item)

    assert len(list(decode_ahead(items(6), work, workers=2))) == 6


@pytest.mark.parametrize(("nbytes", "most"), [(4, 64), (module.MEMORY_BUDGET // 10, 10), (module.MEMORY_BUDGET, 3)])
def test_what_waits_is_bounded(nbytes: int, most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Prepared, "nbytes", nbytes)
    taken, given, peak = 0, 0, 0
    lock = threading.Lock()

    def work(item: MediaItem | Failure) -> Prepared:
        nonlocal taken, peak
        with lock:
            taken += 1
            peak = max(peak, taken - given)
        return prepared(item)

    for _ in decode_ahead(items(300), work, workers=2):
        with lock:
            given += 1
        if given % 50 == 0:
            time.sleep(0.02)
    assert peak <= most + 1
    assert peak >= min(most, 3)


def test_leaving_early_stops_the_workers() -> None:
    started: list[str] = []

    def work(item: MediaItem | Failure) -> Prepared:
        started.append(item.id)
        return prepared(item)

    results = decode_ahead(items(10_000), work, workers=2)
    next(results)
    results.close()
    assert len(started) < 100
