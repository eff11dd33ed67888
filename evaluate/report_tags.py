"""Results by tag: F1 by training frequency, and a table of every tag that can be sorted and searched."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean

from ..data.metrics import TagScore
from .report_markup import Html, element
from .report_overview import percent

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
    rows = (_frequency_row(name, tags) for name, tags in frequency_bins(per_tag))
    columns = ("Training videos", "Tags", "Mean F1", "P", "R")
    head = element("tr", *(element("th", name, scope="col") for name in columns))
    table = element("table", element("thead", head), element("tbody", *rows), class_="numbers frequency")
    intro = element("p", "How well a tag is predicted by how many training videos carry it.", class_="note")
    return element("section", element("h2", "F1 by training frequency"), intro, table, id="frequency")


def _frequency_row(name: str, tags: Sequence[TagScore]) -> Html:
    f1 = fmean(tag.f1 for tag in tags)
    return element(
        "tr",
        element("th", name, scope="row"),
        element("td", f"{len(tags):,}"),
        element("td", _bar(f1), class_="barcell"),
        element("td", percent(fmean(tag.precision for tag in tags))),
        element("td", percent(fmean(tag.recall for tag in tags))),
    )


def _bar(rate: float) -> Html:
    track = element("span", element("i", style=f"width:{100 * rate:.1f}%"), class_="track", aria_hidden="true")
    return element("span", track, element("b", percent(rate)), class_="bar")


def per_tag_section(per_tag: Sequence[TagScore], spellings: Mapping[str, str]) -> Html:
    """A row per tag of the group *full*; the page's script adds sorting and search."""
    head = element("tr", *(_heading(number, name) for number, name in enumerate(COLUMNS)))
    body = (_tag_row(tag, spellings.get(tag.key, tag.key)) for tag in per_tag)
    table = element("table", element("thead", head), element("tbody", *body), class_="numbers tags", id="tag-table")
    search = element(
        "label",
        "Find a tag ",
        element("input", type="search", id="tag-filter", autocomplete="off", spellcheck="false"),
        element("output", f"{len(per_tag):,} tags", id="tag-count", for_="tag-filter"),
        class_="search",
    )
    return element(
        "section",
        element("h2", "Every tag"),
        element("p", "Tags of training and of this split. A heading sorts the table.", class_="note"),
        search,
        element("div", table, class_="scroll", tabindex="0", role="region", aria_label="Results by tag"),
        id="tags",
    )


def _heading(number: int, name: str) -> Html:
    sorting = "descending" if name == "Train" else "none"
    button = element("button", name, type="button", data_column=number, data_text=number < 2)
    return element("th", button, scope="col", aria_sort=sorting)


def _tag_row(tag: TagScore, spelling: str) -> Html:
    counts = (tag.train_count, tag.test_count, tag.predicted, tag.hits)
    return element(
        "tr",
        element("th", spelling, scope="row", dir="auto"),
        element("td", tag.group, class_=f"group {tag.group}"),
        *(element("td", f"{count:,}", data_value=count) for count in counts),
        *(element("td", percent(rate), data_value=rate) for rate in (tag.precision, tag.recall)),
        element("td", _bar(tag.f1), data_value=tag.f1, class_="barcell"),
    )
