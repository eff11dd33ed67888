"""Tags that stand under others: "cat" under "animal", which nearly always stands where "cat" does. Legend: U tags, P pairs."""

from __future__ import annotations

from collections.abc import Collection, Iterator

import numpy as np
from scipy.sparse import csr_array

from ...data.tag_hierarchy import TagHierarchy, find_separator
from ...data.vocabulary.proposal import Proposal
from ...train.confidence.precision_curve import assured
from .usage import TagUsage

LEAST_CERTAIN = 0.6
"""Of the share of a tag's videos that have the parent, the lower end of its 95 % interval; 6 of 6 videos are enough."""

TIMES_MORE_FREQUENT = 2.0
"""A parent has at least so many times a tag's videos."""

LEAST_MEANING = 0.3
"""Cosine of the embeddings: what stands beside a tag may be about something else."""

AT_ONCE = 2048
"""Tags whose neighbours are counted together."""


def parents(usage: TagUsage, merged: Collection[int]) -> Iterator[tuple[int, Proposal]]:
    """One parent at most for every tag, the nearest in meaning, with the number of the tag; most certain first.

    Args:
        merged: numbers of tags that are other names of tags, and have no parents of their own.
    """
    found = {**_by_company(usage, merged), **_by_path(usage, merged)}
    yield from sorted(found.items(), key=lambda item: (-item[1].score, item[0]))


def _by_company(usage: TagUsage, merged: Collection[int]) -> dict[int, Proposal]:
    across = csr_array(usage.table.T.tocsr())
    found: dict[int, Proposal] = {}
    for start in range(0, len(usage), AT_ONCE):
        together = (usage.table[start : start + AT_ONCE] @ across).tocoo()
        tags, others = start + together.coords[0].astype(np.int64), together.coords[1].astype(np.int64)
        certain = assured(together.data / usage.counts[tags], usage.counts[tags])
        is_parent = (certain >= LEAST_CERTAIN) & (usage.counts[others] >= TIMES_MORE_FREQUENT * usage.counts[tags])
        tags, others, certain, both = tags[is_parent], others[is_parent], certain[is_parent], together.data[is_parent]
        meaning = (usage.embeddings[tags] * usage.embeddings[others]).sum(axis=1)
        for row in np.lexsort((others, -meaning)).tolist():
            tag, into = int(tags[row]), int(others[row])
            if meaning[row] >= LEAST_MEANING and tag not in found and not {tag, into} & set(merged):
                words = f"{int(both[row]):,} of {usage.counts[tag]:,} videos have both, meaning {meaning[row]:.2f}"
                found[tag] = _proposal(usage, tag, into, float(certain[row]), words)
    return found


def _by_path(usage: TagUsage, merged: Collection[int]) -> dict[int, Proposal]:
    """Parents that a path begins with, where they are tags themselves that not all of its videos have."""
    hierarchy = TagHierarchy(separator=find_separator(usage.spellings))
    number = {hierarchy.key(spelling): tag for tag, spelling in enumerate(usage.spellings)}
    found: dict[int, Proposal] = {}
    for tag, spelling in enumerate(usage.spellings):
        into = next(
            (number[key] for key in map(hierarchy.key, hierarchy.parents(spelling)[::-1]) if key in number), tag
        )
        if into != tag and not {tag, into} & set(merged):
            found[tag] = _proposal(usage, tag, into, 1.0, "the path begins with it")
    return found


def _proposal(usage: TagUsage, tag: int, into: int, score: float, evidence: str) -> Proposal:
    return Proposal(
        kind="parent",
        tag=usage.spellings[tag],
        into=usage.spellings[into],
        score=score,
        evidence=evidence,
        count_tag=int(usage.counts[tag]),
        count_into=int(usage.counts[into]),
    )
