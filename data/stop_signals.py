"""Ctrl-C and SIGTERM as a request: finish what is being done, keep it, stop."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

WAKING_SECONDS = 1.0
"""How often the main thread wakes while it waits for a signal alone."""


class StopRequest(threading.Event):
    """Set once somebody asks to stop.

    Attributes:
        number: of the signal that asked, 0 before.
    """

    number = 0

    def wait(self, timeout: float | None = None) -> bool:
        """As that of an event.

        The system may hand a signal to any thread, but Python acts on it in the main thread alone, and only once that runs.
        Asleep for ever, it would not: the signal would be lost until another one came.
        """
        if timeout is not None:
            return super().wait(timeout)
        while not super().wait(WAKING_SECONDS):
            pass
        return True


@contextmanager
def stop_on_signals(stop: threading.Event, *, insist: bool = True) -> Iterator[None]:
    """Ctrl-C and SIGTERM set ``stop``; a second Ctrl-C interrupts at once. Only the main thread can listen.

    More SIGTERMs change nothing: a cluster's scheduler and the launcher of a job each send their own.

    Args:
        insist: whether a second Ctrl-C interrupts; under a launcher one Ctrl-C arrives twice.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous: dict[int, Any] = {}

    def handle(number: int, _: FrameType | None) -> None:
        if isinstance(stop, StopRequest):
            stop.number = number
        stop.set()
        if insist and number == signal.SIGINT:
            signal.signal(number, previous[number])

    for awaited in (signal.SIGINT, signal.SIGTERM):
        previous[int(awaited)] = signal.signal(awaited, handle)
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
