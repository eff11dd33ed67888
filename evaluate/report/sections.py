"""What metrics, frequency, confidence and training show in a report.

The head says what was evaluated, the headline numbers and the metric tables. Then come F1 by training frequency with a table
of every tag that can be sorted and searched, whether scores are chances and what a threshold costs, and the training curves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean

from ...data.metrics import GroupRates, Rates, TagScore
from ..scores.bootstrap import DRAWINGS, DrawnF1, Group
from ..scores.confidence import Confidence, thinned
from ..scores.evaluation import Evaluation
from ..scores.saved import TrainingHistory
from .charts import Axis, Mark, Series, line_chart
from .long_tail import long_tail_chart
from .page import Html, element
from .tables import Cell, bar, between, metric_table, percent, sortable_table


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


def _rates(rates: Rates | GroupRates) -> tuple[str, str, str]:
    return percent(rates["precision"]), percent(rates["recall"]), percent(rates["f1"])


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


UNIT = Axis(0.0, 1.0, (0.0, 0.2, 0.4, 0.6, 0.8, 1.0))


def confidence_section(confidence: Confidence) -> Html:
    """Reliability plot, precision–recall curve with the operating point, and the calibration errors."""
    if not len(confidence.predicted):
        body = [element("p", "No tag was predicted, so there is nothing to say about scores.", class_="note")]
    else:
        body = [
            element("div", _reliability(confidence), _precision_recall(confidence), class_="plots"),
            element("div", _errors(confidence), class_="tables"),
        ]
    return element("section", element("h2", "Confidence"), *body, id="confidence")


def _reliability(confidence: Confidence) -> Html:
    after = Series("calibrated", [(each.score, each.precision) for each in confidence.reliability])
    before = Series("as the model gives it", [(each.score, each.precision) for each in confidence.reliability_before])
    ideal = Series("a score that is a chance", [(0.0, 0.0), (1.0, 1.0)])
    return line_chart(
        [before, ideal] if confidence.calibration is None else [after, before, ideal],
        title="Reliability: how often tags of a score are right",
        x_label="score",
        y_label="share that is right",
        axes=(UNIT, UNIT),
    )


def _precision_recall(confidence: Confidence) -> Html:
    curve, point = confidence.curve, confidence.operating_point
    lines = [Series("this split", [(each.recall, each.precision) for each in thinned(curve)])]
    if confidence.calibration is not None:
        known = thinned(confidence.calibration.curve.points())
        lines.append(Series("validation", [(each.recall, each.precision) for each in known]))
    return line_chart(
        lines,
        title="Precision and recall by least score",
        x_label="recall",
        y_label="precision",
        axes=(UNIT, UNIT),
        mark=Mark("operating point", (point["recall"], point["precision"])),
    )


def _errors(confidence: Confidence) -> Html:
    document = confidence.document()
    rows = []
    for name, part in (("All tags", document), ("Known", document["known"]), ("Novel", document["novel"])):
        after = part["ece"]["after"]
        shown = document["operating_point"] if part is document else part
        rows.append(
            (
                name,
                f"{shown['tags']:,}",
                percent(shown["precision"]),
                percent(part["ece"]["before"]),
                "–" if after is None else percent(after),
            )
        )
    return metric_table(
        "Calibration",
        ("", "Tags", "Right", "Error before", "after"),
        rows,
        "Expected calibration error: how far scores lie from the share of their tags that is right, in points. Scores are "
        "scaled on the validation split. A fitting tag that nobody annotated counts as wrong. "
        f"Average precision over all thresholds: {percent(confidence.average_precision)}.",
    )


BEST_BY = "val_full_f1"
"""The best checkpoint is the one with the highest full F1 on validation."""


LOSS_CURVES = (("training", "train_loss"), ("validation", "val_loss"))


F1_CURVES = (("per tag, all tags", BEST_BY), ("per video", "val_example_f1"))


def training_section(history: TrainingHistory) -> Html:
    """Loss and validation F1 over the epochs, the best epoch marked."""
    best = history.best_epoch(BEST_BY)
    charts = [
        line_chart(series, title=title, x_label="epoch", y_label=unit, best_x=best)
        for title, unit, series in (
            ("Loss", "loss", _series(history, LOSS_CURVES)),
            ("Validation F1", "F1, percent", _series(history, F1_CURVES, scale=100)),
        )
        if any(line.points for line in series)
    ]
    if not charts:
        body = element("p", "The run folder has no log.jsonl with finished epochs.", class_="note")
    else:
        body = element("div", *charts, class_="plots")
    return element("section", element("h2", "Training"), body, id="training")


def _series(history: TrainingHistory, curves: Sequence[tuple[str, str]], *, scale: float = 1.0) -> list[Series]:
    return [Series(name, [(x, y * scale) for x, y in history.curve(column)]) for name, column in curves]
