"""How alike two tags are used: whether the videos of the one could be videos of the other.

What counts are the videos that have one of the two alone; those that have both say that people mean different things by them.
Legend: U tags, P pairs, V videos, D width of a view.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from .usage import TagUsage, Vectors, View

Pairs = NDArray[np.int64]
Column = NDArray[np.float32]

AT_ONCE = 1 << 14
"""Pairs that are looked at together."""

LEAST_COHERENCE = 0.02
"""Mean likeness of a tag's own videos that counts as none: what they have in common cannot be compared."""


@dataclass(frozen=True, kw_only=True, eq=False)
class PairEvidence:
    """What is known of pairs of tags.

    Attributes:
        pairs: (P, 2) numbers of tags.
        meaning: (P,) cosine of their embeddings.
        used_alike: by view (P,), 1 where the videos of both are as alike as those of one; NaN where that is not known.
        both: (P,) videos that have both.
        alone: (P, 2) videos that have the one and not the other.
    """

    pairs: Pairs
    meaning: Column
    used_alike: dict[str, Column]
    both: Column
    alone: NDArray[np.float32]


@dataclass(frozen=True, kw_only=True, eq=False)
class _Sums:
    """Sums over a tag's videos: how many are known (n,), their vectors (n, D), the squares of their lengths (n,)."""

    known: Column
    vectors: Vectors
    squares: Column

    @classmethod
    def of(cls, table: csr_array, view: View) -> _Sums:
        """Over the videos of each row of ``table`` (n, V)."""
        squares = np.square(view.vectors).sum(axis=1)
        return cls(known=table @ view.is_known, vectors=table @ view.vectors, squares=table @ squares)

    def at(self, rows: NDArray[np.int64]) -> _Sums:
        return _Sums(known=self.known[rows], vectors=self.vectors[rows], squares=self.squares[rows])

    def without(self, other: _Sums) -> _Sums:
        return _Sums(
            known=self.known - other.known, vectors=self.vectors - other.vectors, squares=self.squares - other.squares
        )

    def without_own(self, own: Vectors | None) -> _Sums:
        """Without what the tag itself adds to each of its videos (n, D)."""
        if own is None:
            return self
        known = self.known[:, None]
        squares = self.squares - 2 * (own * self.vectors).sum(axis=1) + self.known * np.square(own).sum(axis=1)
        return _Sums(known=self.known, vectors=self.vectors - known * own, squares=squares)

    def coherence(self) -> Column:
        """(n,) mean inner product of two different videos of a tag; NaN with fewer than two."""
        pairs = self.known * (self.known - 1)
        inner = np.square(self.vectors).sum(axis=1) - self.squares
        found: Column = np.divide(inner, pairs, out=np.full_like(inner, np.nan), where=pairs > 0.5)
        return found


def evidence_of(usage: TagUsage, pairs: Pairs) -> PairEvidence:
    """Everything that is known of some pairs (P, 2), which must be different tags."""
    sums = [_Sums.of(usage.table, view) for view in usage.views]
    blocks = [_of_block(usage, sums, pairs[start : start + AT_ONCE]) for start in range(0, len(pairs), AT_ONCE)]
    if not blocks:
        blocks = [_of_block(usage, sums, pairs)]
    return PairEvidence(
        pairs=pairs,
        meaning=np.concatenate([block.meaning for block in blocks]),
        used_alike={
            view.name: np.concatenate([block.used_alike[view.name] for block in blocks]) for view in usage.views
        },
        both=np.concatenate([block.both for block in blocks]),
        alone=np.concatenate([block.alone for block in blocks]),
    )


def _of_block(usage: TagUsage, sums: list[_Sums], pairs: Pairs) -> PairEvidence:
    first, second = pairs[:, 0], pairs[:, 1]
    shared = csr_array(usage.table[first].multiply(usage.table[second]))
    both = np.asarray(shared.sum(axis=1), np.float32).reshape(-1)
    used_alike = {}
    for view, of_tags in zip(usage.views, sums, strict=True):
        of_both = _Sums.of(shared, view)
        sides = [
            of_tags.at(tags).without(of_both).without_own(None if view.own is None else view.own[tags])
            for tags in (first, second)
        ]
        used_alike[view.name] = alikeness(sides[0], sides[1])
    return PairEvidence(
        pairs=pairs,
        meaning=(usage.embeddings[first] * usage.embeddings[second]).sum(axis=1),
        used_alike=used_alike,
        both=both,
        alone=(usage.counts[pairs] - both[:, None]).astype(np.float32),
    )


def alikeness(one: _Sums, other: _Sums) -> Column:
    """(P,) mean inner product between videos of two tags, as a share of that within them, from 0 to 1.

    Two samples of the same videos give 1 in expectation, however few or different their videos are (Spearman's correction for
    attenuation). The coherence of a tag with a single video is taken to be that of the other. NaN where neither has two
    videos, or where their videos have nothing in common to begin with.
    """
    across = (one.vectors * other.vectors).sum(axis=1) / np.maximum(one.known * other.known, 1)
    within = [one.coherence(), other.coherence()]
    within = [np.where(np.isnan(mine), yours, mine) for mine, yours in (within, within[::-1])]
    least = np.minimum(*within)
    is_known = (one.known > 0.5) & (other.known > 0.5) & (np.nan_to_num(least, nan=0.0) > LEAST_COHERENCE)
    expected = np.sqrt(np.prod(np.where(is_known, within, 1.0), axis=0))
    return np.where(is_known, np.clip(across / expected, 0, 1), np.nan).astype(np.float32)
