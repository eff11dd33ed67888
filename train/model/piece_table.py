"""The word pieces of many tags in one array, so that those of a whole batch are looked up at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ...data.word_pieces import NIL


class PieceTable(Mapping[int, Sequence[int]]):
    """Decoder ids of tags, read one by one as a mapping, or many at a time by :meth:`written`.

    Args:
        pieces: decoder ids by tag; numbers of tags are small, and need not be consecutive.
    """

    def __init__(self, pieces: Mapping[int, Sequence[int]]):
        self._pieces = dict(pieces)
        size = max(self._pieces, default=-1) + 2
        self._lengths = np.zeros(size, np.int64)
        for tag, ids in self._pieces.items():
            self._lengths[tag] = len(ids)
        self._lengths[-1] = 1  # NO_TAG is -1: the last entry is that of [NIL]
        self._starts = np.cumsum(self._lengths) - self._lengths
        self._values = np.empty(int(self._lengths.sum()), np.int64)
        for tag, ids in self._pieces.items():
            self._values[self._starts[tag] : self._starts[tag] + len(ids)] = ids
        self._values[-1] = NIL

    @classmethod
    def of(cls, pieces: Mapping[int, Sequence[int]]) -> PieceTable:
        """The table of a mapping, which may be one already."""
        return pieces if isinstance(pieces, cls) else cls(pieces)

    def __getitem__(self, tag: int) -> Sequence[int]:
        return self._pieces[tag]

    def __iter__(self) -> Iterator[int]:
        return iter(self._pieces)

    def __len__(self) -> int:
        return len(self._pieces)

    @cached_property
    def is_known(self) -> NDArray[np.bool_]:
        """By tag, whether there are pieces for it; tags from this array's length on have none."""
        known = np.zeros(len(self._lengths) - 1, np.bool_)
        known[list(self._pieces)] = True
        return known

    def knows(self, tags: NDArray[np.int64]) -> NDArray[np.bool_]:
        """For each of these tags, none of them below 0, whether there are pieces for it."""
        inside = tags < len(self.is_known)
        known: NDArray[np.bool_] = self.is_known[np.where(inside, tags, 0)] & inside if len(self.is_known) else inside
        return known

    def lengths(self, tags: NDArray[np.int64]) -> NDArray[np.int64]:
        """Number of pieces of each tag; 1 for -1, which is written as [NIL].

        Raises:
            IndexError: a tag is not in the table.
        """
        return self._lengths[tags]

    def written(self, tags: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The pieces of these tags (K,), one tag after the other, and the place of each piece in its tag."""
        lengths = self._lengths[tags]
        place = np.arange(int(lengths.sum())) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        return self._values[np.repeat(self._starts[tags], lengths) + place], place
