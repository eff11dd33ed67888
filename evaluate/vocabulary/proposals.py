"""All proposals for a vocabulary: what is one, what stands under what, and what is used once and close to nothing."""

from __future__ import annotations

from collections.abc import Collection, Iterator

import numpy as np

from ...data.vocabulary.proposal import KINDS, Proposal
from .likeness import PairEvidence, evidence_of
from .merges import merges
from .nearest import candidate_pairs
from .parents import parents
from .spelling import similarly_written
from .usage import TagUsage

LEAST_SCORE = 0.5
"""Of a proposal."""


def propose(usage: TagUsage, *, least: float = LEAST_SCORE) -> list[Proposal]:
    """Proposals by kind, best first; the same store gives the same ones.

    Args:
        least: the least score of a proposal.
    """
    if len(usage) < 2:
        return []
    pairs, alike = similarly_written(usage.keys)
    candidates = np.unique(np.concatenate([pairs, candidate_pairs(usage)]), axis=0)
    likeness = dict(zip(map(tuple, pairs.tolist()), alike.tolist(), strict=True))
    written = np.array([likeness.get(tuple(pair), 0.0) for pair in candidates.tolist()], np.float32)
    evidence = evidence_of(usage, candidates)
    merged = dict(merges(usage, evidence, written, least=least))
    under = dict(parents(usage, merged))
    found = [*merged.values(), *under.values()]
    found += one_offs(usage, evidence, {name for one in found for name in (one.tag, one.into)})
    return sorted((one for one in found if one.score >= least), key=lambda one: KINDS.index(one.kind))


def one_offs(usage: TagUsage, evidence: PairEvidence, kept: Collection[str]) -> Iterator[Proposal]:
    """Tags that one video has; the score is how far the closest tag of other videos is, by embeddings. The most distant first.

    Args:
        kept: spellings of tags that are part of another proposal.
    """
    nearest, closest = np.full(len(usage), -1), np.zeros(len(usage), np.float32)
    for row in np.argsort(evidence.meaning, kind="stable").tolist():  # the closest of a tag comes last
        one, other = evidence.pairs[row].tolist()
        for tag, neighbour in ((one, other), (other, one)):
            nearest[tag], closest[tag] = neighbour, evidence.meaning[row]
    for tag in np.argsort(closest, kind="stable").tolist():
        if usage.counts[tag] == 1 and usage.spellings[tag] not in kept:
            closest_one = f", the closest is {usage.spellings[nearest[tag]]} ({closest[tag]:.2f})"
            yield Proposal(
                kind="one-off",
                tag=usage.spellings[tag],
                into="",
                score=float(1 - max(closest[tag], 0)),
                evidence="used once" + (closest_one if nearest[tag] >= 0 else ""),
                count_tag=1,
                count_into=0,
            )
