"""Results by tag: F1 by training frequency, and a table of every tag that can be sorted and searched."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean

from ..data.metrics import TagScore
from .report_charts import Series
from .report_markup import Html, element
from .report_overview import percent
from .reporting.long_tail import long_tail_chart
from .reporting.table import Cell, bar, sortable_table

BIN_STARTS = (1, 2, 3, 6, 11, 21, 51, 101, 201, 501, 1001, 2001, 5001, 10001)
"""Lower ends of the training-frequency bins; the last one is open."""

COLUMNS = ("Tag", "Group", "Train", "Test", "Predicted", "Hits", "P", "R", "F1")


def frequency_bins(per_tag: Sequence[TagScore]) -> list[tuple[str, list[TagScore]]]:
    """Tags by the number of training videos that carry them, without empty bins: ("3–5", tags)."""
    ends = [*(start - 1 for start in BIN_STARTS[1:]), None]
    bins = []
    for start, end in zip(BIN_STARTS, ends, strict=True):
        rows = [row for row in per_tag if row.train_count >= start and (end is None or row.train_count <= end)]
        if rows:
            bins.append((_bin_name(start, end), rows))
    return bins


def _bin_name(start: int, end: int | None) -> str:
    if end is None:
        return f"{start:,} and more"
    return f"{start:,}" if start == end else f"{start:,}–{end:,}"


def frequency_section(per_tag: Sequence[TagScore]) -> Html:
    """Mean F1, precision and recall of tags by how often they were seen in training, as bars."""
    bins = frequency_bins(per_tag)
    rows = (_frequency_row(name, tags) for name, tags in bins)
    columns = ("Training videos", "Tags", "Mean F1", "P", "R")
    head = element("tr", *(element("th", name, scope="col") for name in columns))
    table = element("table", element("thead", head), element("tbody", *rows), class_="numbers frequency")
    intro = element("p", "How well a tag is predicted by how many training videos carry it.", class_="note")
    chart = [long_tail_chart(*_tail(bins), title="The long tail")] if bins else []
    return element("section", element("h2", "F1 by training frequency"), intro, *chart, table, id="frequency")


def _tail(bins: Sequence[tuple[str, Sequence[TagScore]]]) -> tuple[list[str], list[int], list[Series]]:
    f1 = [(float(number), 100 * fmean(tag.f1 for tag in tags)) for number, (_, tags) in enumerate(bins)]
    return [name for name, _ in bins], [len(tags) for _, tags in bins], [Series("F1", f1)]


def _frequency_row(name: str, tags: Sequence[TagScore]) -> Html:
    f1 = fmean(tag.f1 for tag in tags)
    return element(
        "tr",
        element("th", name, scope="row"),
        element("td", f"{len(tags):,}"),
        element("td", bar(f1), class_="barcell"),
        element("td", percent(fmean(tag.precision for tag in tags))),
        element("td", percent(fmean(tag.recall for tag in tags))),
    )


def per_tag_section(per_tag: Sequence[TagScore], spellings: Mapping[str, str]) -> Html:
    """A row per tag of the group *full*; the page's script adds sorting and search."""
    rows = [_tag_row(tag, spellings.get(tag.key, tag.key)) for tag in per_tag]
    return element(
        "section",
        element("h2", "Every tag"),
        element("p", "Tags of training and of this split. A heading sorts the table.", class_="note"),
        sortable_table("tag-table", COLUMNS, rows, sorted_by="Train", label="Results by tag", things="tag"),
        id="tags",
    )


def _tag_row(tag: TagScore, spelling: str) -> list[Cell]:
    counts = (tag.train_count, tag.test_count, tag.predicted, tag.hits)
    return [
        Cell(spelling, is_name=True),
        Cell(tag.group, is_name=True, kind=f"group {tag.group}"),
        *(Cell(f"{count:,}", count) for count in counts),
        *(Cell(percent(rate), rate) for rate in (tag.precision, tag.recall)),
        Cell(bar(tag.f1), tag.f1, kind="barcell"),
    ]
