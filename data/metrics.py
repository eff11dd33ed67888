"""The paper's metrics for predicted tags (§4.2), label-based, example-based and for novel tags.

Everything is computed on tag *keys* (:func:`optsg.data.tags.tag_key`), one collection of true and one of predicted keys
per video. Repeats of a key within a video count once. All rates lie in [0, 1] and are 0 where they are undefined.
Lives in ``data`` because training validates with it and evaluation reports it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import fsum
from typing import Literal, TypedDict

TagGroup = Literal["common", "rare"]

COMMON_SHARE = (9, 10)
"""Common tags hold at least this fraction of the training occurrences; two integers, so that 90 % is exact."""


class Rates(TypedDict):
    """Precision, recall and F1, each in [0, 1]."""

    precision: float
    recall: float
    f1: float


class GroupRates(Rates):
    """Macro means over the tags of one group, and how many tags that is."""

    tags: int


class LabelBased(TypedDict):
    """Label-based macro metrics of the three tag groups."""

    full: GroupRates
    rare: GroupRates
    common: GroupRates


class NovelScores(TypedDict):
    """What the tags outside the training tag set are worth, as far as the annotated tags can tell.

    This is *not* the paper's tag gain (Eq. 11), which needs people. ``hits`` and ``unseen_true_tags`` count pairs of a
    video and a tag.
    """

    predicted_per_item: float
    hits: int
    unseen_true_tags: int
    precision: float
    recall: float


class Scores(TypedDict):
    """All metrics of one set of predictions, in the shape of ``metrics.json``."""

    label_based: LabelBased
    example_based: Rates
    example_based_unfiltered: Rates
    novel: NovelScores


@dataclass(frozen=True)
class TagGroups:
    """The three tag groups of §4.2, each from the most to the least frequent tag in training.

    Attributes:
        full: tags that occur in both the training and the test set.
        rare: the rest of ``full`` behind ``common``.
        common: the shortest prefix of ``full`` that holds at least 90 % of its training occurrences.
    """

    full: tuple[str, ...]
    rare: tuple[str, ...]
    common: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class TagScore:
    """How well one tag of the group *full* was predicted.

    Attributes:
        key: the tag.
        group: ``common`` or ``rare``.
        train_count: training videos that carry it.
        test_count: scored videos that carry it.
        predicted: scored videos for which it was predicted.
        hits: scored videos that carry it and for which it was predicted.
        precision: hits / predicted.
        recall: hits / test_count.
        f1: 2 · hits / (predicted + test_count).
    """

    key: str
    group: TagGroup
    train_count: int
    test_count: int
    predicted: int
    hits: int
    precision: float
    recall: float
    f1: float


def tag_groups(train_counts: Mapping[str, int], test_tags: Collection[str]) -> TagGroups:
    """Full, rare and common tags; ties in the training count are broken by the key.

    Args:
        train_counts: training occurrences of each tag; a tag with count 0 was not seen in training.
        test_tags: the true tags of the scored videos.
    """
    seen = (tag for tag in set(test_tags) if train_counts.get(tag, 0) > 0)
    full = tuple(sorted(seen, key=lambda tag: (-train_counts[tag], tag)))
    share, whole = COMMON_SHARE
    total = sum(train_counts[tag] for tag in full)
    held, common = 0, 0
    while held * whole < total * share:
        held += train_counts[full[common]]
        common += 1
    return TagGroups(full=full, rare=full[common:], common=full[:common])


def score_predictions(
    true: Sequence[Collection[str]], predicted: Sequence[Collection[str]], train_counts: Mapping[str, int]
) -> Scores:
    """All metrics of a set of videos.

    Args:
        true: the true tag keys of each video.
        predicted: the predicted tag keys of each video, as long as ``true``.
        train_counts: training occurrences of each tag key; its keys with a count above 0 are the training tag set.

    Raises:
        ValueError: ``true`` and ``predicted`` differ in length.
    """
    pairs = _key_sets(true, predicted)
    seen = {tag for tag, count in train_counts.items() if count > 0}
    return Scores(
        label_based=_label_based(per_tag_scores(true, predicted, train_counts)),
        example_based=_example_based((truth & seen, guess & seen) for truth, guess in pairs),
        example_based_unfiltered=_example_based(pairs),
        novel=_novel([(truth - seen, guess - seen) for truth, guess in pairs]),
    )


def per_tag_scores(
    true: Sequence[Collection[str]], predicted: Sequence[Collection[str]], train_counts: Mapping[str, int]
) -> list[TagScore]:
    """Scores of every tag of the group *full*, from the most to the least frequent in training.

    Arguments and errors as in :func:`score_predictions`.
    """
    test_counts: Counter[str] = Counter()
    predicted_counts: Counter[str] = Counter()
    hits: Counter[str] = Counter()
    for truth, guess in _key_sets(true, predicted):
        test_counts.update(truth)
        predicted_counts.update(guess)
        hits.update(truth & guess)
    groups = tag_groups(train_counts, test_counts)
    common = len(groups.common)
    return [
        TagScore(
            key=tag,
            group="common" if rank < common else "rare",
            train_count=train_counts[tag],
            test_count=test_counts[tag],
            predicted=predicted_counts[tag],
            hits=hits[tag],
            precision=_ratio(hits[tag], predicted_counts[tag]),
            recall=_ratio(hits[tag], test_counts[tag]),
            f1=_ratio(2 * hits[tag], predicted_counts[tag] + test_counts[tag]),
        )
        for rank, tag in enumerate(groups.full)
    ]


_KeyPair = tuple[set[str], set[str]]
"""The true and the predicted keys of one video."""


def _key_sets(true: Sequence[Collection[str]], predicted: Sequence[Collection[str]]) -> list[_KeyPair]:
    if len(true) != len(predicted):
        raise ValueError(f"{len(true)} videos have true tags, but {len(predicted)} have predicted tags")
    return [(set(truth), set(guess)) for truth, guess in zip(true, predicted, strict=True)]


def _label_based(rows: Sequence[TagScore]) -> LabelBased:
    return LabelBased(
        full=_macro(rows),
        rare=_macro([row for row in rows if row.group == "rare"]),
        common=_macro([row for row in rows if row.group == "common"]),
    )


def _macro(rows: Sequence[TagScore]) -> GroupRates:
    """Plain means over tags; F1 is the mean of the tags' F1, which only fits the paper's printed figures."""
    return GroupRates(
        precision=_mean([row.precision for row in rows]),
        recall=_mean([row.recall for row in rows]),
        f1=_mean([row.f1 for row in rows]),
        tags=len(rows),
    )


def _example_based(pairs: Iterable[_KeyPair]) -> Rates:
    """Means over the videos with a true tag; F1 is the harmonic mean of the two means, as the paper's figures need."""
    scored = [(len(truth & guess), len(truth), len(guess)) for truth, guess in pairs if truth]
    precision = _mean([_ratio(hits, predicted) for hits, _, predicted in scored])
    recall = _mean([_ratio(hits, true) for hits, true, _ in scored])
    return Rates(precision=precision, recall=recall, f1=_ratio(2 * precision * recall, precision + recall))


def _novel(pairs: Sequence[_KeyPair]) -> NovelScores:
    """Scores of pairs from which the training tags were already taken away."""
    predicted = sum(len(guess) for _, guess in pairs)
    unseen = sum(len(truth) for truth, _ in pairs)
    hits = sum(len(truth & guess) for truth, guess in pairs)
    return NovelScores(
        predicted_per_item=_ratio(predicted, len(pairs)),
        hits=hits,
        unseen_true_tags=unseen,
        precision=_ratio(hits, predicted),
        recall=_ratio(hits, unseen),
    )


def _mean(values: Sequence[float]) -> float:
    return fsum(values) / len(values) if values else 0.0


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else 0.0
