"""The nearest tags of every tag, in blocks: no table of all pairs is ever in memory. Legend: U tags, D width, k neighbours."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from ...train.recall.neighbours import directions_of
from ...train.recall.ngrams import main_directions
from .usage import TagUsage, Vectors

AT_ONCE = 512
"""Tags whose neighbours are looked for together."""

DIMENSIONS, MOST_FITTED = 128, 8192
"""Width of the vectors in which neighbours are looked for, and of how many tags its directions are."""

GROUP = 64
"""Tags of which the best one is looked at first."""

EACH = 8
"""k: neighbours of a tag, by meaning and by use."""

MOST_TOGETHER = 0.5
"""Share of the rarer tag's videos that have both, from which on two tags are no aliases."""

LEAST_USES = 4
"""Of a tag that is compared by how it is used: of fewer videos it says too little to propose a pair alone."""


def candidate_pairs(usage: TagUsage) -> NDArray[np.int64]:
    """(P, 2) pairs that may mean the same: neighbours by the text model, and neighbours by how they are used; in order."""
    found = [_near(usage, usage.embeddings, np.arange(len(usage)))]
    often = np.flatnonzero(usage.counts >= LEAST_USES)
    found.append(_near(usage, use_vectors(usage)[often], often))
    pairs: NDArray[np.int64] = np.unique(np.sort(np.concatenate(found), axis=1), axis=0)
    return pairs


def use_vectors(usage: TagUsage) -> Vectors:
    """(U, D) of length 1: the mean of each view over a tag's videos, all views weighing the same."""
    parts = []
    for view in usage.views:
        sums = usage.table @ view.vectors
        if view.own is not None:
            sums = sums - usage.counts[:, None] * view.own
        parts.append(directions_of(sums))
    return directions_of(np.concatenate(parts, axis=1))


def _near(usage: TagUsage, vectors: Vectors, tags: NDArray[np.int64]) -> NDArray[np.int64]:
    """(n, 2) numbers of the :data:`EACH` nearest of ``tags`` by their vectors, without those that stand together often."""
    if len(tags) < 2:
        return np.empty((0, 2), np.int64)
    narrow = _narrow(vectors)
    found = []
    for start, alike in _blocks(usage, narrow, tags):
        nearest = largest(alike, EACH)
        rows = np.repeat(np.arange(len(alike)), nearest.shape[1])
        columns = nearest.reshape(-1)
        is_one = np.isfinite(alike[rows, columns])
        found.append(np.stack([tags[start + rows[is_one]], tags[columns[is_one]]], axis=1))
    return np.concatenate(found)


def _narrow(vectors: Vectors) -> Vectors:
    """The same tags in :data:`DIMENSIONS` dimensions at most, of length 1 again."""
    if vectors.shape[1] <= DIMENSIONS:
        return vectors
    rng = np.random.default_rng(0)
    some = rng.choice(len(vectors), min(MOST_FITTED, len(vectors)), replace=False)
    return directions_of(vectors @ main_directions(vectors[np.sort(some)], DIMENSIONS, rng))


def largest(values: Vectors, count: int) -> NDArray[np.int64]:
    """(n, count) places of the largest of each row (n, m), m a multiple of :data:`GROUP`, in no order.

    They lie in the groups with the largest best ones, so that few values are looked at twice.
    """
    groups = values.reshape(len(values), -1, GROUP)
    best = groups.max(axis=2)
    chosen = np.argpartition(best, -count, axis=1)[:, -count:] if best.shape[1] > count else _all_places(best)
    few = np.take_along_axis(groups, chosen[:, :, None], axis=1).reshape(len(values), -1)
    places = (chosen[:, :, None] * GROUP + np.arange(GROUP)).reshape(len(values), -1)
    found: NDArray[np.int64] = np.take_along_axis(places, np.argpartition(few, -count, axis=1)[:, -count:], axis=1)
    return found


def _all_places(values: Vectors) -> NDArray[np.int64]:
    return np.tile(np.arange(values.shape[1]), (len(values), 1))


def _blocks(usage: TagUsage, vectors: Vectors, tags: NDArray[np.int64]) -> Iterator[tuple[int, Vectors]]:
    """Cosines of some tags with all of ``tags``, -∞ for the tag itself, those that stand on its videos, and to a whole group."""
    table: csr_array = usage.table[tags]
    across = csr_array(table.T.tocsr())
    counts = usage.counts[tags]
    behind = -len(tags) % GROUP
    columns_of = np.concatenate([vectors, np.zeros((behind, vectors.shape[1]), np.float32)]).T
    for start in range(0, len(tags), AT_ONCE):
        alike = vectors[start : start + AT_ONCE] @ columns_of
        alike[:, len(tags) :] = -np.inf
        together = (table[start : start + AT_ONCE] @ across).tocoo()
        rows, columns = together.coords
        rarer = np.minimum(counts[start + rows], counts[columns])
        is_often = together.data > MOST_TOGETHER * rarer  # the tag itself among them
        alike[rows[is_often], columns[is_often]] = -np.inf
        yield start, alike
