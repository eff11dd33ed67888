"""``--part I/N``: which inputs of a corpus one process of a job array takes, and what a store records of it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass

from .errors import ConfigError

MOST_PARTS = 1_000_000
"""More than anybody has machines for; the missing ones can be listed."""


@dataclass(frozen=True, kw_only=True)
class CorpusPart:
    """One or several of the N parts of a corpus; several where stores of parts were merged and others are missing.

    An input belongs to a part by a hash of its id, not by its place among the inputs: files that are added, removed or
    listed in another order leave all others in the part that they were in, so every part can be gone on with, and added
    to, by itself. The hash has nothing to do with that of the splits, so every part has its share of each.

    Attributes:
        numbers: ascending, from 1.
        of: N.
    """

    numbers: tuple[int, ...]
    of: int

    @classmethod
    def parse(cls, text: str) -> CorpusPart:
        """``2/8``, or ``1,3,4/8``; inverse of ``str``.

        Raises:
            ConfigError: it is something else.
        """
        match = re.fullmatch(r"(\d{1,9}(?:,\d{1,9})*)/(\d{1,9})", text)
        numbers = tuple(sorted({int(number) for number in match[1].split(",")})) if match else ()
        of = int(match[2]) if match else 0
        if not numbers or numbers[0] < 1 or numbers[-1] > of or of > MOST_PARTS:
            raise ConfigError(f"--part {text} is no part; expected I/N with I from 1 to N, for instance 2/8")
        return cls(numbers=numbers, of=of)

    def __str__(self) -> str:
        return f"{','.join(map(str, self.numbers))}/{self.of}"

    def holds(self, input_id: str) -> bool:
        """Whether the input belongs here: SHA-256 of "part:" and the id, as a share of all that it could be."""
        digest = hashlib.sha256(f"part:{input_id}".encode("utf-8", "backslashreplace")).digest()
        return (int.from_bytes(digest[:8], "big") * self.of >> 64) + 1 in self.numbers

    @property
    def missing(self) -> tuple[int, ...]:
        """Numbers of the parts that are not here."""
        return tuple(sorted(set(range(1, self.of + 1)) - set(self.numbers)))

    def described(self) -> str:
        """``part 2 of 8``, ``parts 1, 3 and 4 of 8``."""
        return describe_parts(self.numbers, self.of)


def describe_parts(numbers: Iterable[int], of: int) -> str:
    """``part 2 of 8``, ``parts 1, 3 and 4 of 8``."""
    *first, last = [f"{number:,}" for number in numbers]
    return f"parts {', '.join(first)} and {last} of {of:,}" if first else f"part {last} of {of:,}"


def described_part(text: str | None) -> str:
    """What a store's header says of its part, for people; ``all inputs`` where it is the whole corpus."""
    return "all inputs" if text is None else CorpusPart.parse(text).described()
