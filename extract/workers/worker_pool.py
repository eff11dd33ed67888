"""Decodes inputs in processes of their own while the encoder is busy, within bounds of time and memory.

Each process has a thread in front of it that hands it inputs and replaces it when it hangs or dies. Results come as they
are ready: one slow file holds back nobody.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from ...data.media import Failure, MediaItem
from .preparation import Prepared, Unreadable
from .worker_process import ProcessSettings, WorkerProcess, WorkerStartError

MEMORY_BUDGET = 256 * 2**20
"""Bytes of pixels that may wait for the encoder, besides one input per process."""

MOST_WAITING = 256
"""Results that may wait for the encoder, whatever their size."""

STARTS_PER_INPUT = 3

POLL_SECONDS = 0.2
"""How soon a request to stop is noticed."""


@dataclass(frozen=True, kw_only=True)
class Decoded:
    """One input and what became of it; ``number`` counts inputs from 0."""

    number: int
    item: MediaItem | Failure
    result: Prepared | Unreadable | None

    @classmethod
    def of(cls, number: int, item: MediaItem | Failure, result: Prepared | Unreadable | None) -> Decoded:
        """The input is of the kind that it was read as, whatever its name says."""
        if isinstance(item, MediaItem) and isinstance(result, Prepared):
            item = replace(item, kind=result.kind)
        return cls(number=number, item=item, result=result)

    @property
    def nbytes(self) -> int:
        """Bytes of memory that the pixels take."""
        return self.result.nbytes if isinstance(self.result, Prepared) else 0

    def without_pixels(self) -> Decoded:
        """The same, with room for other pixels."""
        if not isinstance(self.result, Prepared):
            return self
        return replace(self, result=replace(self.result, pixels=np.empty((0, 0, 0, 3), np.uint8)))


class WorkerPool:
    """Reads inputs ahead of whoever takes the results. Use as a context manager.

    Args:
        items: inputs; those that are failures already pass through, with no result.
        settings: of every process.
        workers: number of processes.
        may_go_on: asked before an input is taken; while it says no, none is.
    """

    def __init__(
        self,
        items: Iterable[MediaItem | Failure],
        settings: ProcessSettings,
        *,
        workers: int,
        may_go_on: Callable[[], bool] = lambda: True,
    ):
        self._items = enumerate(items)
        self._settings = settings
        self._may_go_on = may_go_on
        self._taking = threading.Lock()
        self._changed = threading.Condition()
        self._waiting: queue.SimpleQueue[Decoded | BaseException | None] = queue.SimpleQueue()
        self._waiting_bytes = self._waiting_count = 0
        self._stopped = False
        self._processes: dict[int, WorkerProcess] = {}
        self._threads = [
            threading.Thread(target=self._serve, args=(place,), name=f"decode-{place}", daemon=True)
            for place in range(workers)
        ]

    def results(self, stop: threading.Event | None = None) -> Iterator[Decoded]:
        """Results as they come, until ``stop`` is set; errors of the input or of starting processes are raised here."""
        running = len(self._threads)
        while running and not (stop is not None and stop.is_set()):
            try:
                got = self._waiting.get(timeout=POLL_SECONDS)
            except queue.Empty:
                continue
            if got is None:
                running -= 1
                continue
            if isinstance(got, BaseException):
                raise got
            with self._changed:
                self._waiting_bytes -= got.nbytes
                self._waiting_count -= 1
                self._changed.notify_all()
            yield got

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Ends all processes at once; what they were reading is lost."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
            for process in self._processes.values():
                process.kill()
        for thread in self._threads:
            thread.join()

    def _serve(self, place: int) -> None:
        """The thread in front of one process."""
        try:
            while (taken := self._take()) is not None:
                number, item = taken
                result = self._prepare(place, item) if isinstance(item, MediaItem) else None
                self._put(Decoded.of(number, _without_bytes(item), result))
        except BaseException as error:  # noqa: BLE001 (raised again where the results are read)
            self._waiting.put(error)
        finally:
            if place in self._processes:
                self._processes[place].close()
            self._waiting.put(None)

    def _prepare(self, place: int, item: MediaItem) -> Prepared | Unreadable:
        for _ in range(STARTS_PER_INPUT):
            result = self._usable_process(place).prepare(item.kind, item.payload)
            if result is not None:
                return result
        raise WorkerStartError("decoding processes end as soon as they have started; the system may be out of memory")

    def _take(self) -> tuple[int, MediaItem | Failure] | None:
        """The next input once there is room for its result; ``None`` when there are no more or the pool has stopped."""
        with self._taking:
            with self._changed:
                while not self._stopped and not (self._has_room() and self._may_go_on()):
                    self._changed.wait(timeout=0.05)
                if self._stopped:
                    return None
            return next(self._items, None)

    def _has_room(self) -> bool:
        return self._waiting_bytes < MEMORY_BUDGET and self._waiting_count < MOST_WAITING

    def _put(self, decoded: Decoded) -> None:
        with self._changed:
            self._waiting_bytes += decoded.nbytes
            self._waiting_count += 1
        self._waiting.put(decoded)

    def _usable_process(self, place: int) -> WorkerProcess:
        process = self._processes.get(place)
        if process is not None and process.usable:
            return process
        if process is not None:
            process.close()
        started = WorkerProcess(self._settings)
        with self._changed:
            self._processes[place] = started
            if self._stopped:
                started.kill()
        return started


def _without_bytes(item: MediaItem | Failure) -> MediaItem | Failure:
    return replace(item, payload=b"") if isinstance(item, MediaItem) and isinstance(item.payload, bytes) else item
