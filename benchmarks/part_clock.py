"""How long the parts of a piece of work take, without changing the work: chosen functions are wrapped while it is measured."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock


class PartClock:
    """Seconds by part. Time belongs to the innermost part that is running, so that the parts add up to the whole.

    Args:
        synchronise: waits for what a device still has to do; called wherever one part gives way to another.
    """

    def __init__(self, synchronise: Callable[[], object] = lambda: None):
        self.seconds: dict[str, float] = {}
        self._synchronise = synchronise
        self._running: list[str] = []
        self._since = 0.0

    def wrapped(self, function: Callable[..., Any], part: str) -> Callable[..., Any]:
        """The function, timed as a part."""

        @functools.wraps(function)
        def run(*positional: Any, **named: Any) -> Any:
            with self.part(part):
                return function(*positional, **named)

        return run

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """What runs inside belongs to the part."""
        self._change()
        self._running.append(name)
        try:
            yield
        finally:
            self._change()
            self._running.pop()

    def _change(self) -> None:
        self._synchronise()
        now = time.perf_counter()
        if self._running:
            name = self._running[-1]
            self.seconds[name] = self.seconds.get(name, 0.0) + now - self._since
        self._since = now

    @contextmanager
    def watching(self, places: dict[tuple[Any, str], str]) -> Iterator[None]:
        """Times functions as parts: from owner (a module or a class) and name to part."""
        with ExitStack() as stack:
            for (owner, name), part in places.items():
                wrapped = self.wrapped(getattr(owner, name), part)
                stack.enter_context(mock.patch.object(owner, name, wrapped))
            yield
