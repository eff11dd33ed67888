"""Decoding processes that stay: one input at a time from whoever asks, from any thread, for as long as the pool is open.

:class:`optsg.extract.workers.worker_pool.WorkerPool` works through inputs that are known beforehand; this one waits for
the next. An input whose process is killed from outside is read again, once: what ended the process twice did it itself.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Sequence
from typing import Self

from ...data.media import MediaKind, Payload
from .preparation import Prepared, Unreadable
from .worker_process import ProcessSettings, WorkerProcess, WorkerStartError

STARTS_PER_INPUT = 5

CLOSED = Unreadable(error="the decoding processes were closed meanwhile")


class DecodingPool:
    """Up to so many processes, each started when it is first needed. Use as a context manager, or :meth:`close` it.

    Attributes:
        restarts: processes that were begun in place of others which had ended before their time.
    """

    def __init__(self, settings: ProcessSettings, *, workers: int):
        self._settings = settings
        self._places = threading.BoundedSemaphore(workers)
        self._lock = threading.Lock()
        self._idle: list[WorkerProcess] = []
        self._busy: set[WorkerProcess] = set()
        self._closed = False
        self.restarts = 0
        # Whoever forgets to close the pool leaves no process behind: this list outlives the pool until they have ended.
        weakref.finalize(self, _end, self._idle)

    def prepare(self, kind: MediaKind, payload: Payload) -> Prepared | Unreadable:
        """Reads one input; waits while all processes are busy.

        Raises:
            WorkerStartError: no process can be started.
        """
        with self._places:
            result = self._prepare(kind, payload)
            if isinstance(result, Unreadable) and result.status == "crashed" and not self._closed:
                result = self._prepare(kind, payload)
            return CLOSED if self._closed else result

    def _prepare(self, kind: MediaKind, payload: Payload) -> Prepared | Unreadable:
        for start in range(STARTS_PER_INPUT):
            try:
                process = self._take()
            except WorkerStartError:  # or killed from outside before it had begun
                if start == STARTS_PER_INPUT - 1:
                    raise
                self.restarts += 1
                continue
            if process is None:
                return CLOSED
            try:
                result = process.prepare(kind, payload)
            finally:
                self._give_back(process)
            if result is None or (isinstance(result, Unreadable) and result.status != "failed"):
                self.restarts += 1
            if result is not None:
                return result
        raise WorkerStartError("decoding processes end as soon as they have started; the system may be out of memory")

    def start(self) -> None:
        """Starts one process ahead of the first input, so that this does not wait for it.

        Raises:
            WorkerStartError: it does not start.
        """
        with self._places:
            if (process := self._take()) is not None:
                self._give_back(process)

    def pids(self) -> list[int]:
        """Of the processes that are running."""
        with self._lock:
            return [process.pid for process in (*self._idle, *self._busy)]

    def _take(self) -> WorkerProcess | None:
        with self._lock:
            if self._closed:
                return None
            if self._idle:
                process = self._idle.pop()
                self._busy.add(process)
                return process
        process = WorkerProcess(self._settings)
        with self._lock:
            if not self._closed:
                self._busy.add(process)
                return process
        process.close()
        return None

    def _give_back(self, process: WorkerProcess) -> None:
        with self._lock:
            self._busy.discard(process)
            if process.usable and not self._closed:
                self._idle.append(process)
                return
        process.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends all processes at once; what they were reading is answered with an error. More than once is fine."""
        with self._lock:
            self._closed = True
            idle = [*self._idle]
            self._idle.clear()
            for process in self._busy:
                process.kill()
        _end(idle)


def _end(processes: Sequence[WorkerProcess]) -> None:
    for process in processes:
        process.close()
