"""Head of the report: what was evaluated, the headline numbers, and the metric tables."""

from __future__ import annotations

from collections.abc import Sequence

from ..data.metrics import GroupRates, Rates
from .comparison.bootstrap import DRAWINGS
from .evaluation import Evaluation
from .report_markup import Html, element
from .reporting.intervals import DrawnF1, Estimate, Group


def percent(rate: float) -> str:
    """A rate in [0, 1] as a percentage with one decimal, the way the paper prints it."""
    return f"{100 * rate:.1f}"


def header_section(evaluation: Evaluation) -> Html:
    """Title and headline numbers."""
    label_based, novel = evaluation.scores["label_based"], evaluation.scores["novel"]
    tiles = (
        ("F1, all tags", percent(label_based["full"]["f1"]), f"mean over {label_based['full']['tags']:,} tags"),
        ("F1, rare tags", percent(label_based["rare"]["f1"]), f"{label_based['rare']['tags']:,} tags"),
        ("F1, common tags", percent(label_based["common"]["f1"]), f"{label_based['common']['tags']:,} tags"),
        ("F1 per video", percent(evaluation.scores["example_based"]["f1"]), "tags of the training set"),
        ("Tags a video", f"{evaluation.tags_per_item:.1f}", f"{evaluation.true_tags_per_item:.1f} annotated"),
        ("Novel tags a video", f"{novel['predicted_per_item']:.2f}", f"{novel['hits']:,} of them annotated"),
    )
    return element(
        "header",
        element("p", "optsg evaluation", class_="eyebrow"),
        element("h1", evaluation.run),
        element(
            "p",
            f"System {evaluation.system}: {len(evaluation.items):,} videos of the split “{evaluation.split}”. Rates are percent.",
            class_="lead",
        ),
        element("dl", *(_tile(*tile) for tile in tiles), class_="tiles"),
    )


def _tile(name: str, value: str, note: str) -> Html:
    return element(
        "div", element("dt", name), element("dd", element("strong", value), element("span", note)), class_="tile"
    )


def facts_section(facts: Sequence[tuple[str, str]]) -> Html:
    """Where the numbers come from, as name and value."""
    rows = (element("div", element("dt", name), element("dd", value, dir="auto")) for name, value in facts)
    return element("section", element("h2", "What was evaluated"), element("dl", *rows, class_="facts"), id="about")


def metrics_section(evaluation: Evaluation) -> Html:
    """Label-based, example-based and novel-tag metrics with a sentence on how to read each."""
    drawn = DrawnF1.of(evaluation)
    tables = (_label_based(evaluation, drawn), _example_based(evaluation, drawn), _novel(evaluation))
    return element(
        "section",
        element("h2", "Metrics"),
        element("p", f"95 %: interval of F1 over the videos, from {DRAWINGS:,} bootstrap drawings.", class_="note"),
        element("div", *tables, class_="tables"),
        id="metrics",
    )


def _label_based(evaluation: Evaluation, drawn: DrawnF1) -> Html:
    label_based = evaluation.scores["label_based"]
    groups: tuple[tuple[str, Group, GroupRates], ...] = (
        ("All", "full", label_based["full"]),
        ("Rare", "rare", label_based["rare"]),
        ("Common", "common", label_based["common"]),
    )
    return metric_table(
        "Per tag",
        ("", "P", "R", "F1", "95 %", "Tags"),
        [(name, *_rates(rates), between(drawn.estimate(group)), f"{rates['tags']:,}") for name, group, rates in groups],
        "Each tag is scored over all videos, then the tags are averaged: rare tags weigh as much as common ones. "
        "All: tags of training and of this split. Common: the most frequent of them, up to 90 % of their training "
        "occurrences. Rare: the others.",
    )


def _example_based(evaluation: Evaluation, drawn: DrawnF1) -> Html:
    scores = evaluation.scores
    return metric_table(
        "Per video",
        ("", "P", "R", "F1", "95 %"),
        [
            ("Tags seen in training", *_rates(scores["example_based"]), between(drawn.estimate("example"))),
            ("Every tag", *_rates(scores["example_based_unfiltered"]), "–"),
        ],
        "Each video is scored over its tags, then the videos are averaged; F1 is the harmonic mean of the two means.",
    )


def _novel(evaluation: Evaluation) -> Html:
    novel = evaluation.scores["novel"]
    rows = (
        ("Predicted a video", f"{novel['predicted_per_item']:.2f}"),
        ("Also annotated (hits)", f"{novel['hits']:,}"),
        ("Annotated, unseen in training", f"{novel['unseen_true_tags']:,}"),
        ("Precision", percent(novel["precision"])),
        ("Recall", percent(novel["recall"])),
    )
    return metric_table(
        "Novel tags",
        ("", "Value"),
        rows,
        "Tags outside the training tag set. Only exact matches count as hits, so that a good tag nobody wrote down "
        "counts as a miss; the paper's tag gain needs people.",
    )


def between(estimate: Estimate) -> str:
    """The interval of an estimate in percent; nothing where the videos leave none."""
    return f"{100 * estimate.low:.1f}–{100 * estimate.high:.1f}" if estimate.low < estimate.high else "–"


def _rates(rates: Rates | GroupRates) -> tuple[str, str, str]:
    return percent(rates["precision"]), percent(rates["recall"]), percent(rates["f1"])


def metric_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], note: str) -> Html:
    """A small table: its first column names the row, the others are numbers."""
    head = element("tr", *(element("th", column, scope="col") for column in columns))
    body = (
        element("tr", element("th", row[0], scope="row"), *(element("td", cell) for cell in row[1:])) for row in rows
    )
    table = element("table", element("thead", head), element("tbody", *body), class_="numbers")
    return element("div", element("h3", title), table, element("p", note, class_="note"), class_="metric")
