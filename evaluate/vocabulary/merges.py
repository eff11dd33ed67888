"""Which tags are one: pairs that are written alike or used alike, less frequent into more frequent.

The rule is a sum of points, and the score their logistic: 5 points make 0.5, from where on a pair is proposed. It is fixed, and
learned from nothing.

==========================  ==========================================================================================
same letters                6: case, accents, hyphens, spaces, apostrophes, a hash
singular and plural         5
a few slips                 20 × (likeness − 0.7), and 0.4 for each time that the one is twice as rare, at most 5 times;
                            likeness is 1 less the share of wrong characters
meaning                     2 × (cosine of the embeddings − 0.3), not below 0
pictures, titles, company   each 6 × (how alike the videos are − 0.6) × n / (n + 2), n the videos of the rarer tag: evidence
                            for and against; what is not known counts nothing
together                    −30 × the share of the rarer tag's videos that have both, but for the first two lines: aliases
                            seldom stand on one video, while "cat" and "cats" do
==========================  ==========================================================================================

Tags with other numbers in them are never one. Legend: U tags, P pairs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from ...data.vocabulary.proposal import Proposal
from .likeness import Column, PairEvidence
from .spelling import SAME_LETTERS, SAME_WORD
from .usage import TagUsage

NEEDED = 5.0
"""Points that make a score of 0.5."""

SAME_LETTERS_POINTS, SAME_WORD_POINTS = 6.0, 5.0
SLIP_POINTS, LEAST_LIKENESS = 20.0, 0.7
RARER_POINTS, MOST_DOUBLINGS = 0.4, 5.0
MEANING_POINTS, LEAST_MEANING = 2.0, 0.3
USE_POINTS, NEUTRAL_USE, FEW = 6.0, 0.6, 2.0
TOGETHER_POINTS = 30.0

_NUMBERS = re.compile(r"\d+")


def merge_scores(usage: TagUsage, evidence: PairEvidence, written: Column) -> NDArray[np.float64]:
    """(P,) from 0 to 1: how much speaks for either pair of tags being one.

    Args:
        written: (P,) how alike they are written; 0 where they are not.
    """
    points = written_points(usage, evidence, written) - NEEDED
    points += MEANING_POINTS * np.maximum(evidence.meaning - LEAST_MEANING, 0)
    points += use_points(evidence)
    numbers = [tuple(_NUMBERS.findall(key)) for key in usage.keys]
    has_others = np.array([numbers[one] != numbers[other] for one, other in evidence.pairs.tolist()], np.bool_)
    scores: NDArray[np.float64] = 1 / (1 + np.exp(-points.astype(np.float64)))
    return np.where(has_others, 0.0, scores)


def written_points(usage: TagUsage, evidence: PairEvidence, written: Column) -> Column:
    """(P,) for being written alike, and against standing together."""
    counts = usage.counts[evidence.pairs]
    rarer = counts.min(axis=1)
    doublings = np.minimum(np.log2(counts.max(axis=1) / rarer), MOST_DOUBLINGS)
    slips = SLIP_POINTS * (written - LEAST_LIKENESS) + RARER_POINTS * doublings
    apart = np.where(written > 0, slips, 0) - TOGETHER_POINTS * evidence.both / rarer
    is_letters, is_word = written >= SAME_LETTERS, written >= SAME_WORD
    found: Column = np.select([is_letters, is_word], [SAME_LETTERS_POINTS, SAME_WORD_POINTS], apart).astype(np.float32)
    return found


def use_points(evidence: PairEvidence) -> Column:
    """(P,) for and against being used alike."""
    few = evidence.alone.min(axis=1)
    alike = np.stack([*evidence.used_alike.values()], axis=1)
    points: Column = USE_POINTS * np.nansum(alike - NEUTRAL_USE, axis=1) * few / (few + FEW)
    return points


def merges(usage: TagUsage, evidence: PairEvidence, written: Column, *, least: float) -> Iterator[tuple[int, Proposal]]:
    """Each tag's best proposal, if it has any, with the number of the tag; best first."""
    scores = merge_scores(usage, evidence, written)
    found = np.flatnonzero(scores >= least)
    done: set[int] = set()
    for row in sorted(found.tolist(), key=lambda row: (-scores[row], *evidence.pairs[row].tolist())):
        tag, into = rarer_first(usage, *evidence.pairs[row].tolist())
        if tag not in done:
            done.add(tag)
            yield (
                tag,
                Proposal(
                    kind="spelling" if written[row] > 0 else "alias",
                    tag=usage.spellings[tag],
                    into=usage.spellings[into],
                    score=float(scores[row]),
                    evidence=_in_words(evidence, row, float(written[row])),
                    count_tag=int(usage.counts[tag]),
                    count_into=int(usage.counts[into]),
                ),
            )


def rarer_first(usage: TagUsage, one: int, other: int) -> tuple[int, int]:
    """The two tags, first the one that becomes a name of the other: the rarer, longer or later one."""
    first, second = sorted((one, other), key=lambda tag: (usage.counts[tag], -len(usage.keys[tag]), -tag))
    return first, second


def _in_words(evidence: PairEvidence, row: int, written: float) -> str:
    """What speaks for a pair, for people."""
    words = []
    if written >= SAME_LETTERS:
        words.append("same letters")
    elif written >= np.float32(SAME_WORD):
        words.append("singular and plural")
    elif written > 0:
        words.append(f"written alike {written:.2f}")
    words.append(f"meaning {evidence.meaning[row]:.2f}")
    words += [f"{name} {alike[row]:.2f}" for name, alike in evidence.used_alike.items() if not np.isnan(alike[row])]
    both = int(evidence.both[row])
    words += [f"{both:,} {'video has' if both == 1 else 'videos have'} both"] if both else []
    return ", ".join(words)
