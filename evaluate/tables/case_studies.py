"""What a classifier, another generator and OP-TSG say about a few test videos (Figure 4).

A predicted tag is worth what the figure tells of it: a correct common tag, a correct rare one, wrong, or novel.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from ...data.metrics import TagGroups, tag_groups
from ...data.tags import tag_key
from ..scores.predictions import ItemPrediction
from .grid import Choice
from .measures import Measures, RunMeasures

OURS, CLASSIFIER = "op-tsg", "asy"


GENERATORS = ("open-book", "order-free", "frequency-first")
"""The first of them that is there stands for the generators."""


FAIR, TELLING = 3, 2
"""Videos drawn by a hash of the id, and videos where OP-TSG gains most and loses most on the classifier."""


CHOSEN_BY = (
    f"{FAIR} videos drawn by a hash of the id, {TELLING} where op-tsg finds most more annotated tags than the classifier "
    "and one where it finds most fewer."
)


@dataclass(frozen=True)
class Case:
    """One video: its annotated tags, and each system's."""

    id: str
    title: str
    true: Sequence[JudgedTag]
    predicted: Mapping[str, Sequence[JudgedTag]]


def case_studies(measures: Measures) -> list[Case]:
    """The cases; none where OP-TSG or the classifier is not finished. The first finished seed of each is shown."""
    found = {name: measures.row(Choice(system=name)).runs for name in (CLASSIFIER, *GENERATORS, OURS)}
    generator = next((name for name in GENERATORS if found[name]), None)
    names = [CLASSIFIER, *([generator] if generator else []), OURS]
    if not all(found[name] for name in names):
        return []
    return _cases({name: found[name][0] for name in names})


def _cases(runs: Mapping[str, RunMeasures]) -> list[Case]:
    counts = runs[OURS].train_counts
    by_id = {name: {item.id: item for item in run.items} for name, run in runs.items()}
    items = [item for item in runs[OURS].items if all(item.id in known for known in by_id.values())]
    groups = tag_groups(counts, {tag_key(tag) for item in items for tag in item.true})
    seen = {tag for tag, count in counts.items() if count > 0}
    gain = {item.id: _hits(item) - _hits(by_id[CLASSIFIER][item.id]) for item in items}
    return [
        _case(item, {name: known[item.id] for name, known in by_id.items()}, groups, seen)
        for item in _chosen(items, gain)
    ]


def _hits(item: ItemPrediction) -> int:
    return len({tag_key(tag) for tag in item.true} & {tag_key(tag.text) for tag in item.tags})


def _chosen(items: Sequence[ItemPrediction], gain: Mapping[str, int]) -> list[ItemPrediction]:
    ranked = sorted(items, key=lambda item: (-gain[item.id], item.id))
    fair = sorted(items, key=lambda item: hashlib.sha256(item.id.encode("utf-8", "replace")).digest())
    picked = {item.id: item for item in (*fair[:FAIR], *ranked[:TELLING], *ranked[-1:])}
    return list(picked.values())


def _case(item: ItemPrediction, by_system: Mapping[str, ItemPrediction], groups: TagGroups, seen: set[str]) -> Case:
    true = {tag_key(tag) for tag in item.true}
    return Case(
        id=item.id,
        title=item.title,
        true=judge_tags(item.true, true, groups, seen),
        predicted={
            name: judge_tags([tag.text for tag in other.tags], true, groups, seen) for name, other in by_system.items()
        },
    )


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
