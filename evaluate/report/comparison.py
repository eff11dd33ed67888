"""The page of a comparison: metrics, long tail, every tag, and the videos that runs differ on most."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from ... import __version__
from ...data.tags import tag_key
from ..scores.bootstrap import DRAWINGS, Estimate, Group
from ..scores.comparison import Comparison, TagRow, VideoRow
from ..scores.predictions import ItemPrediction
from ..scores.saved import SavedEvaluation
from .page import render_page
from .samples import Card, TagList, annotated_tags, judge, predicted_tag, thumbnail_address
from .sections import frequency_bins, frequency_rows, long_tail
from .tables import Cell, SortableTable, between, percent

VIDEOS_SHOWN = 24


F1_ROWS: tuple[tuple[Group, str], ...] = (
    ("full", "F1, all tags"),
    ("rare", "F1, rare tags"),
    ("common", "F1, common tags"),
    ("example", "F1 per video"),
)


def render_comparison(
    comparison: Comparison, runs: Sequence[SavedEvaluation], thumbnail: Callable[[str], bytes]
) -> str:
    """The comparison as one HTML document without external resources; all text in it is escaped.

    Args:
        runs: what is compared, for the facts.
        thumbnail: the JPEG of a video by its id, ``b""`` if there is none.
    """
    names = comparison.names
    frequency = [frequency_rows(frequency_bins(each.per_tag)) for each in comparison.evaluations]
    differences = [f"{name} − {names[0]}" for name in names[1:]] if len(names) > 2 else ["Difference"]
    videos = [row for row in comparison.videos if row.spread > 0][:VIDEOS_SHOWN]
    return render_page(
        "comparison.html",
        names=names,
        evaluations=comparison.evaluations,
        differences=differences,
        gains=[_gain(drawn.minus(comparison.drawn[0], "full")) for drawn in comparison.drawn[1:]],
        f1_rows=[_f1_row(comparison, group, label) for group, label in F1_ROWS],
        plain_rows=_plain_rows(comparison),
        drawings=DRAWINGS,
        frequency=frequency,
        long_tail=long_tail(dict(zip(names, frequency, strict=True))) if frequency[0] else None,
        cards=[_card(row, comparison, thumbnail(row.items[0].id)) for row in videos],
        tags=_tag_table(comparison, differences),
        about=[(name, saved.facts(None)) for name, saved in zip(names, runs, strict=True)],
        version=__version__,
    )


@dataclass(frozen=True, kw_only=True)
class Gain:
    """What a run gains on the first: points of F1 with their interval, signed.

    Attributes:
        kind: better, worse, or neither for certain.
        size: the points without their sign.
    """

    kind: Literal["up", "down", "same"]
    is_positive: bool
    size: str
    value: str
    low: str
    high: str


def _gain(gain: Estimate) -> Gain:
    return Gain(
        kind="up" if gain.low > 0 else "down" if gain.high < 0 else "same",
        is_positive=gain.value > 0,
        size=f"{abs(100 * gain.value):.1f}",
        value=signed(gain.value),
        low=signed(gain.low),
        high=signed(gain.high),
    )


@dataclass(frozen=True, kw_only=True)
class F1Row:
    """F1 of one kind: every run's with its interval, and what the others gain on the first."""

    name: str
    runs: Sequence[tuple[str, str]]
    gains: Sequence[Gain]


def _f1_row(comparison: Comparison, group: Group, name: str) -> F1Row:
    estimates = [drawn.estimate(group) for drawn in comparison.drawn]
    return F1Row(
        name=name,
        runs=[(percent(estimate.value), between(estimate)) for estimate in estimates],
        gains=[_gain(drawn.minus(comparison.drawn[0], group)) for drawn in comparison.drawn[1:]],
    )


def signed(rate: float) -> str:
    """A difference in points, with its sign."""
    text = f"{100 * rate:+.1f}"
    return "0.0" if text in ("+0.0", "-0.0") else text.replace("-", "−")


def _plain_rows(comparison: Comparison) -> list[tuple[str, list[str]]]:
    rows = [
        ("Tags a video", [f"{each.tags_per_item:.1f}" for each in comparison.evaluations]),
        (
            "Novel tags a video",
            [f"{each.scores['novel']['predicted_per_item']:.2f}" for each in comparison.evaluations],
        ),
        ("Novel tags annotated", [f"{each.scores['novel']['hits']:,}" for each in comparison.evaluations]),
    ]
    costs = [each.cost for each in comparison.evaluations]
    sizes = [f"{cost.trained_parameters / 1e6:.1f} M" for cost in costs if cost is not None]
    return [*rows, ("Trained parameters", sizes)] if len(sizes) == len(costs) else rows


def _card(row: VideoRow, comparison: Comparison, jpeg: bytes) -> Card:
    first = row.items[0]
    predicted = [
        TagList(
            name=f"{name}: F1 {percent(f1)}" + (f" ({signed(f1 - row.f1[0])})" if number else ""),
            tags=[predicted_tag(tag, verdict) for tag, verdict in judge(item)],
        )
        for number, (name, f1, item) in enumerate(zip(comparison.names, row.f1, row.items, strict=True))
    ]
    annotated = annotated_tags(_found_by_any(row.items), comparison.evaluations[0])
    return Card(
        id=first.id,
        title=first.title,
        picture=thumbnail_address(jpeg),
        predicted=predicted,
        annotated=TagList(name="Annotated, found by any of them first", tags=annotated),
    )


def _found_by_any(items: Sequence[ItemPrediction]) -> ItemPrediction:
    tags = {tag_key(tag.text): tag for item in items for tag in item.tags}
    return ItemPrediction(id=items[0].id, title=items[0].title, true=items[0].true, tags=tuple(tags.values()))


def _tag_table(comparison: Comparison, differences: Sequence[str]) -> SortableTable:
    spellings = comparison.evaluations[0].spellings
    return SortableTable(
        id="tag-table",
        columns=["Tag", "Group", "Train", "Test", *(f"F1 {name}" for name in comparison.names), *differences],
        rows=[_tag_row(row, spellings.get(row.scores[0].key, row.scores[0].key)) for row in comparison.tags],
        label="F1 by tag",
        things="tag",
    )


def _tag_row(row: TagRow, spelling: str) -> list[Cell]:
    first = row.scores[0]
    return [
        Cell(spelling, is_name=True),
        Cell(first.group, is_name=True, kind=f"group {first.group}"),
        Cell(f"{first.train_count:,}", first.train_count),
        Cell(f"{first.test_count:,}", first.test_count),
        *(Cell(percent(score.f1), score.f1) for score in row.scores),
        *(
            Cell(signed(gain), gain, kind="up" if gain > 0 else "down" if gain < 0 else None)
            for gain in row.differences
        ),
    ]
