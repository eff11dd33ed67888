"""What one video may still be given: all tags of a trie, or any tag at all, less those that are taken."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from .tag_trie import ROOT, TagTrie

Pieces = tuple[int, ...]
"""A tag as decoder ids."""


class Allowance:
    """One video's.

    Args:
        trie: the tags that may be written; ``None`` is any.
        taken: tags that may not, because they are forbidden or there already.
    """

    def __init__(self, trie: TagTrie | None = None, taken: Iterable[Sequence[int]] = ()):
        self.trie = trie
        self._taken: set[Pieces] = set()
        self._below: Counter[int] = Counter()
        self._dead: dict[int, list[int]] = {}
        for tag in taken:
            self.take(tuple(tag))

    @property
    def limits(self) -> bool:
        """Whether there is anything that may not be written."""
        return self.trie is not None or bool(self._taken)

    @property
    def remaining(self) -> int | None:
        """How many tags may be written; ``None`` without an end."""
        return None if self.trie is None else len(self.trie) - self._below[ROOT]

    def take(self, tag: Pieces) -> None:
        """The tag may not be written any more."""
        if tag in self._taken:
            return
        self._taken.add(tag)
        if self.trie is None or not self.trie.holds(tag):
            return
        parent = ROOT
        self._below[ROOT] += 1
        for piece, node in zip(tag, self.trie.path(tag) or (), strict=True):
            self._below[node] += 1
            if self._below[node] == self.trie.counts[node]:
                self._dead.setdefault(parent, []).append(piece)
            parent = node

    def may_end(self, tag: Pieces) -> bool:
        """Whether these pieces are a tag that may be written."""
        return tag not in self._taken and (self.trie is None or self.trie.holds(tag))

    def dead_pieces(self, node: int) -> Sequence[int]:
        """Pieces from a node of the trie on that lead to taken tags alone."""
        return self._dead.get(node, ())
