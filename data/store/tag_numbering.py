"""Numbers of tags while a store is written: by key, in order of first use."""

from __future__ import annotations

from collections import Counter

import numpy as np
from numpy.typing import NDArray

from ..tags import clean_tag, tag_key


class TagTableBuilder:
    """Numbers tags by key in order of first use and remembers each key's most frequent spelling."""

    def __init__(self) -> None:
        self._index: dict[str, int] = {}
        self._spellings: list[Counter[str]] = []

    def add(self, tag: str) -> int:
        """Number of the tag."""
        return self.count(tag_key(tag), clean_tag(tag), 1)

    def add_all(self, keys: list[str], spellings: list[str], used: NDArray[np.int32]) -> NDArray[np.int32]:
        """Takes over the tags of another store, as if its videos were added one by one.

        Args:
            keys, spellings: its tag table.
            used: its videos' tags one after the other, as numbers of that table.

        Returns:
            (len(keys),) the number here of each of its tags; −1 where no video uses it.
        """
        numbers = np.full(len(keys), -1, np.int32)
        tags, first, counts = np.unique(used, return_index=True, return_counts=True)
        for place in np.argsort(first).tolist():
            tag = int(tags[place])
            numbers[tag] = self.count(keys[tag], spellings[tag], int(counts[place]))
        return numbers

    def count(self, key: str, spelling: str, times: int) -> int:
        """Counts so many uses of a tag in one spelling; its number."""
        index = self._index.setdefault(key, len(self._index))
        if index == len(self._spellings):
            self._spellings.append(Counter())
        self._spellings[index][spelling] += times
        return index

    def keys(self) -> list[str]:
        """Tag keys by number."""
        return list(self._index)

    def spellings(self) -> list[str]:
        """The most frequent spelling of every tag, the first used one among equals."""
        return [max(counts, key=counts.__getitem__) for counts in self._spellings]
