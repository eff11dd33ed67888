"""How alike two tags are used, against sums over all pairs of videos written out."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from numpy.typing import NDArray
from optsg.evaluate.vocabulary.likeness import LEAST_COHERENCE, evidence_of
from optsg.evaluate.vocabulary.nearest import GROUP, candidate_pairs, largest
from optsg.evaluate.vocabulary.usage import TagUsage, View, company
from optsg.train.recall.neighbours import directions_of
from scipy.sparse import csr_array


def random_usage(tags: int = 9, videos: int = 60, *, seed: int = 0) -> TagUsage:
    rng = np.random.default_rng(seed)
    table = csr_array((rng.random((tags, videos)) < 0.2).astype(np.float32))
    pictures = rng.normal(size=(videos, 5)).astype(np.float32) + 1
    pictures[::7] = 0
    names = tuple(f"tag {number}" for number in range(tags))
    return TagUsage(
        keys=names,
        spellings=names,
        table=table,
        embeddings=directions_of(rng.normal(size=(tags, 4)).astype(np.float32)),
        views=(View(name="pictures", vectors=directions_of(pictures)), company(table, rng)),
    )


def mean_inner(ones: NDArray[np.float32], others: NDArray[np.float32] | None = None) -> float:
    """Of all pairs of rows, of two different ones where there is one set alone."""
    if others is not None:
        return float(np.mean([one @ other for one, other in product(ones, others)]))
    return float(np.mean([ones[i] @ ones[j] for i, j in product(range(len(ones)), repeat=2) if i != j]))


@pytest.mark.parametrize("view", [0, 1])
def test_alikeness_is_the_likeness_across_as_a_share_of_that_within(view: int) -> None:
    usage = random_usage()
    pairs = np.array([(one, other) for one in range(9) for other in range(one + 1, 9)])
    evidence = evidence_of(usage, pairs)
    has, seen = usage.table.toarray() > 0, usage.views[view]
    for row, (one, other) in enumerate(pairs.tolist()):
        rows = []
        for tag, its_other in ((one, other), (other, one)):
            known = np.flatnonzero(has[tag] & ~has[its_other] & (seen.is_known > 0))
            own = 0 if seen.own is None else seen.own[tag]
            rows.append(seen.vectors[known] - own)
        within = [mean_inner(part) for part in rows]
        if min(within) < LEAST_COHERENCE:
            assert np.isnan(evidence.used_alike[seen.name][row])
        else:
            expected = np.clip(mean_inner(*rows) / np.sqrt(within[0] * within[1]), 0, 1)
            assert evidence.used_alike[seen.name][row] == pytest.approx(expected, abs=2e-3)
        assert evidence.both[row] == (has[one] & has[other]).sum()
        assert evidence.alone[row].tolist() == [(has[one] & ~has[other]).sum(), (has[other] & ~has[one]).sum()]
    assert np.isfinite(evidence.used_alike["pictures"]).all()


def test_a_tag_does_not_keep_itself_company() -> None:
    """What a tag adds to its own videos is taken out of them: the rest is what they would be without it."""
    table = csr_array(np.array([[1, 1, 0, 0], [1, 1, 0, 1], [0, 0, 1, 1]], np.float32))
    view = company(table, np.random.default_rng(0))
    assert view.own is not None
    without_first = view.vectors[:2] - view.own[0]
    np.testing.assert_allclose(without_first, np.tile(view.own[1], (2, 1)), atol=1e-2)


def test_a_single_video_is_compared_by_the_coherence_of_the_other_tag() -> None:
    vectors = np.array([[1, 0], [1, 0], [0, 1], [0, 0]], np.float32)
    table = csr_array(np.array([[1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1], [1, 0, 0, 0]], np.float32))
    names = ("a", "b", "c", "d")
    usage = TagUsage(
        keys=names,
        spellings=names,
        table=table,
        embeddings=np.eye(4, dtype=np.float32),
        views=(View(name="pictures", vectors=vectors),),
    )
    found = evidence_of(usage, np.array([(0, 1), (0, 2), (1, 2), (0, 3)])).used_alike["pictures"]
    assert found[0] == 0  # one video that looks otherwise
    assert np.isnan(found[1:]).all()  # a video that was not seen; two single ones; no video that one has alone


@pytest.mark.parametrize("width", [GROUP, 5 * GROUP, 40 * GROUP])
def test_the_largest_are_those_of_a_full_sort(width: int) -> None:
    values = np.random.default_rng(0).normal(size=(7, width)).astype(np.float32)
    found = np.sort(largest(values, 8), axis=1)
    assert found.tolist() == np.sort(np.argsort(-values, axis=1)[:, :8], axis=1).tolist()


def test_candidates_are_nearest_by_meaning_and_stand_not_together() -> None:
    usage = random_usage(tags=30, videos=90)
    pairs = {tuple(pair) for pair in candidate_pairs(usage).tolist()}
    cosines = usage.embeddings @ usage.embeddings.T
    has = usage.table.toarray() > 0
    for tag in range(30):
        apart = [
            other
            for other in range(30)
            if other != tag and 2 * (has[tag] & has[other]).sum() <= min(has[tag].sum(), has[other].sum())
        ]
        nearest = max(apart, key=lambda other: cosines[tag, other])
        assert (min(tag, nearest), max(tag, nearest)) in pairs
    assert pairs == {tuple(pair) for pair in candidate_pairs(usage).tolist()}
