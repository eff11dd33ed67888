"""Steps prepared ahead: while the device computes one, a thread reads and pads the batches of the next.

On a CPU nothing is prepared ahead: a thread would take from the computation what it gives to the preparation.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import suppress
from typing import Generic, TypeVar

import torch

Item = TypeVar("Item")
Made = TypeVar("Made")

STEPS_AHEAD = 2
"""Prepared steps that wait for the device: one would do if every step took as long to prepare and to compute."""

CLOSING_SECONDS = 0.05
"""How soon a thread that waits for room sees that nobody wants more."""


def steps_ahead(device: torch.device) -> int:
    """How many steps are prepared while one is computed: none where the device is the host."""
    return 0 if device.type == "cpu" else STEPS_AHEAD


def prepared_ahead(
    items: Iterable[Item], prepare: Callable[[Item], Made], *, ahead: int
) -> Generator[Made, None, None]:
    """What ``prepare`` makes of each item, in order; up to ``ahead`` of them are made before they are asked for.

    Closing the iterator ends the thread, after the item that it is at.

    Args:
        items: read in the thread too.
        ahead: 0 makes each when it is asked for, in the caller's thread.

    Raises:
        Exception: what ``prepare`` or ``items`` raised, with its traceback, when the item's turn has come.
    """
    if not ahead:
        yield from map(prepare, items)
        return
    worker = _Worker(items, prepare, ahead)
    try:
        yield from worker.results()
    finally:
        worker.close()


class _Worker(Generic[Item, Made]):
    """The thread and its bounded queue. A daemon: where the main thread dies, it does not keep the process."""

    def __init__(self, items: Iterable[Item], prepare: Callable[[Item], Made], ahead: int):
        self._items, self._prepare = items, prepare
        self._made: queue.Queue[tuple[Made | None, BaseException | None]] = queue.Queue(ahead)
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="preparing steps", daemon=True)
        self._thread.start()

    def results(self) -> Iterator[Made]:
        """What was made, in order."""
        while True:
            made, error = self._made.get()
            if error is not None:
                raise error
            if made is None:
                return
            yield made

    def close(self) -> None:
        """Ends the thread and waits for it."""
        self._closed.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            for item in self._items:
                if not self._put(self._prepare(item), None):
                    return
            self._put(None, None)
        except BaseException as error:  # noqa: BLE001 - raised again where the item is asked for
            self._put(None, error)

    def _put(self, made: Made | None, error: BaseException | None) -> bool:
        """False where nobody wants more."""
        while not self._closed.is_set():
            with suppress(queue.Full):
                self._made.put((made, error), timeout=CLOSING_SECONDS)
                return True
        return False
