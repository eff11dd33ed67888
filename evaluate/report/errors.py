"""Errors in the report: by cause, confused tags, and the tags that come out worst."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from ...data.metrics import TagScore
from ..scores.errors import BELOW, Cause, Confusion, Error, ErrorKind, errors_by_cause
from ..scores.evaluation import Evaluation
from .tables import Cell, SortableTable, percent

WORST_SHOWN = 20


EXAMPLES = 4


ENOUGH_VIDEOS = (10, 5, 3, 2, 1)
"""A tag on few videos is bad by chance: worst tags are those on at least so many, the first number that gives ten tags."""


KINDS: tuple[tuple[ErrorKind, str, str], ...] = (
    ("missed", "Missed tags", "Annotated, not predicted."),
    ("wrong", "Wrong tags", "Predicted, not annotated. People annotate few of the tags that fit."),
)


@dataclass(frozen=True, kw_only=True)
class CauseRow:
    """Errors of one cause: how many, their share of all of the kind, and the most frequent tags with their counts."""

    cause: Cause
    errors: int
    share: float
    examples: Sequence[tuple[str, int]]


@dataclass(frozen=True, kw_only=True)
class CauseTable:
    """Errors of one kind by cause."""

    title: str
    errors: int
    note: str
    rows: Sequence[CauseRow]


def cause_tables(evaluation: Evaluation) -> list[CauseTable]:
    """Every wrong and every missed tag, once, under its cause."""
    found, known_ranks = errors_by_cause(evaluation), evaluation.below is not None
    tables = []
    for kind, title, note in KINDS:
        causes = {cause: errors for cause, errors in found.items() if cause.kind == kind}
        total = sum(map(len, causes.values()))
        rows = [_cause_row(cause, errors, total) for cause, errors in causes.items() if known_ranks or cause != BELOW]
        unknown = "" if known_ranks or kind != "missed" else " How far down tags ranked was not recorded."
        tables.append(CauseTable(title=title, errors=total, note=note + unknown, rows=rows))
    return tables


def _cause_row(cause: Cause, errors: Sequence[Error], total: int) -> CauseRow:
    counts = Counter(error.key for error in errors)
    texts = {error.key: error.text for error in errors}
    often = sorted(counts, key=lambda key: (-counts[key], key))[:EXAMPLES]
    return CauseRow(
        cause=cause,
        errors=len(errors),
        share=len(errors) / max(total, 1),
        examples=[(texts[key], counts[key]) for key in often],
    )


def confusion_table(pairs: Sequence[Confusion], *, is_similarity_known: bool) -> SortableTable:
    """Pairs of a wrong and a missed tag of the same video."""
    rows = [
        [
            Cell(pair.wrong, is_name=True),
            Cell(pair.missed, is_name=True),
            Cell(f"{pair.videos:,}", pair.videos),
            *([Cell(f"{pair.similarity:.2f}", pair.similarity)] if pair.similarity is not None else []),
        ]
        for pair in pairs
    ]
    return SortableTable(
        id="confusion-table",
        columns=["Predicted", "Annotated", "Videos", *(["Similarity"] if is_similarity_known else [])],
        rows=rows,
        sorted_by="Similarity" if is_similarity_known else "Videos",
        label="Confused tags",
        things="pair",
    )


def worst_tags(per_tag: Sequence[TagScore]) -> tuple[int, list[TagScore]]:
    """Least number of videos of a tag, and the tags with the lowest F1 among those on so many."""
    for least in ENOUGH_VIDEOS:
        tags = [tag for tag in per_tag if tag.test_count >= least]
        if len(tags) >= WORST_SHOWN or least == ENOUGH_VIDEOS[-1]:
            break
    tags.sort(key=lambda tag: (tag.f1, -tag.test_count, tag.key))
    return least, tags[:WORST_SHOWN]


def worst_table(evaluation: Evaluation, tags: Sequence[TagScore]) -> SortableTable:
    """The tags with the lowest F1."""
    rows = [
        [
            Cell(evaluation.spellings.get(tag.key, tag.key), is_name=True),
            *(Cell(f"{count:,}", count) for count in (tag.train_count, tag.test_count, tag.predicted, tag.hits)),
            Cell(percent(tag.f1), tag.f1, has_bar=True),
        ]
        for tag in tags
    ]
    columns = ["Tag", "Train", "Test", "Predicted", "Hits", "F1"]
    return SortableTable(
        id="worst-table", columns=columns, rows=rows, label="Worst tags", things="tag", has_search=False
    )
