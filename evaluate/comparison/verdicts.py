"""What a predicted tag is worth, as Figure 4 tells it: a correct common tag, a correct rare one, wrong, or novel."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

from ...data.metrics import TagGroups
from ...data.tags import tag_key

Verdict = Literal["common", "rare", "wrong", "novel", "unseen"]

SIGNS: dict[Verdict, str] = {"common": "✓", "rare": "★", "wrong": "✗", "novel": "✦", "unseen": "◆"}
"""A sign beside the colour, for those who do not see the colour."""

MEANINGS: dict[Verdict, str] = {
    "common": "correct, a common tag",
    "rare": "correct, a rare tag",
    "wrong": "known from training, not annotated",
    "novel": "never seen in training, not annotated",
    "unseen": "never seen in training, and annotated",
}


LONGEST = 60
"""Letters of a tag that are shown: a model that has learnt little repeats itself without end."""


@dataclass(frozen=True)
class JudgedTag:
    """A tag with its verdict."""

    text: str
    verdict: Verdict


def judge_tags(tags: Sequence[str], true: Collection[str], groups: TagGroups, seen: Collection[str]) -> list[JudgedTag]:
    """Verdicts of tags, in their order.

    Args:
        tags: spellings.
        true: the video's annotated tags, as keys.
        groups: of the whole split.
        seen: the training tags, as keys.
    """
    common = set(groups.common)
    judged = []
    for tag in tags:
        key = tag_key(tag)
        verdict: Verdict
        if key in true:
            verdict = "unseen" if key not in seen else "common" if key in common else "rare"
        else:
            verdict = "wrong" if key in seen else "novel"
        judged.append(JudgedTag(tag if len(tag) <= LONGEST else tag[:LONGEST].rstrip() + "…", verdict))
    return judged
