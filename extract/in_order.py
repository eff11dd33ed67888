"""Puts results that come as they are ready back into the order of the inputs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, TypeVar

Value = TypeVar("Value")

ENTRY_BYTES = 4096
"""What an entry costs besides its arrays."""


class InOrder(Generic[Value]):
    """Values by number, handed out from 0 on without gaps.

    Attributes:
        held_bytes: memory of the values that wait for an earlier one.
    """

    def __init__(self) -> None:
        self._next = 0
        self._held: dict[int, tuple[Value, int]] = {}
        self.held_bytes = 0

    def put(self, number: int, value: Value, nbytes: int) -> None:
        """Takes a value."""
        self._held[number] = value, nbytes + ENTRY_BYTES
        self.held_bytes += nbytes + ENTRY_BYTES

    def ready(self) -> Iterator[Value]:
        """Hands out every value whose predecessors have all been handed out."""
        while self._next in self._held:
            value, nbytes = self._held.pop(self._next)
            self.held_bytes -= nbytes
            self._next += 1
            yield value
