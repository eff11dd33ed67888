"""What metrics, frequency, confidence and training show in a report.

Metrics with their intervals, F1 by training frequency and of every tag, whether scores are chances and what a threshold costs,
and the training curves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from ...data.metrics import GroupRates, Rates, TagScore
from ...data.tags import tag_key
from ...train.confidence.rated_tags import ReliabilityBin
from ..scores.bootstrap import DrawnF1, Group
from ..scores.confidence import Confidence, thinned
from ..scores.evaluation import Evaluation
from ..scores.saved import TrainingHistory
from .charts import Axis, Chart, Mark, Point, Series, line_chart, long_tail_chart
from .tables import Cell, SortableTable, between, percent

SURE = 0.9
"""The score from which a report says that a run is sure of a tag."""

FEW = 20
"""Tags of which a share is said as it was counted: of fewer, tenths would say more than there is."""


def headline(evaluation: Evaluation) -> str:
    """What there is to say in one sentence: how many tags are right, and of those that the run is sure of."""
    given = [
        (tag.score, tag_key(tag.text) in {tag_key(true) for true in item.true})
        for item in evaluation.items
        for tag in item.tags
    ]
    if not given:
        return "No tag was predicted."
    sure = [is_right for score, is_right in given if score >= SURE]
    every = f"{_of_all([is_right for _, is_right in given])} tags that it gave are right"
    if not sure:
        return f"{every}; it is sure of none (a score of {SURE:g} or more)."
    return f"{every}; of those it is sure of (a score of {SURE:g} or more), {_of_all(sure)}."


def _of_all(right: Sequence[bool]) -> str:
    if len(right) < FEW:
        return f"{sum(right):,} of {len(right):,}"
    tenths = round(10 * sum(right) / len(right))
    return f"{tenths} of 10"


@dataclass(frozen=True, kw_only=True)
class Metrics:
    """Rows of the metric tables, names first; those by tag and by video with intervals of F1."""

    label_based: Sequence[Sequence[str]]
    example_based: Sequence[Sequence[str]]


def metrics(evaluation: Evaluation) -> Metrics:
    """Label-based and example-based metrics."""
    drawn, scores = DrawnF1.of(evaluation), evaluation.scores
    label_based = scores["label_based"]
    groups: tuple[tuple[str, Group, GroupRates], ...] = (
        ("All", "full", label_based["full"]),
        ("Rare", "rare", label_based["rare"]),
        ("Common", "common", label_based["common"]),
    )
    return Metrics(
        label_based=[
            (name, *_rates(rates), between(drawn.estimate(group)), f"{rates['tags']:,}")
            for name, group, rates in groups
        ],
        example_based=[
            ("Tags seen in training", *_rates(scores["example_based"]), between(drawn.estimate("example"))),
            ("Every tag", *_rates(scores["example_based_unfiltered"]), "–"),
        ],
    )


def _rates(rates: Rates | GroupRates) -> tuple[str, str, str]:
    return percent(rates["precision"]), percent(rates["recall"]), percent(rates["f1"])


BIN_STARTS = (1, 2, 3, 6, 11, 21, 51, 101, 201, 501, 1001, 2001, 5001, 10001)
"""Lower ends of the training-frequency bins; the last one is open."""


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


@dataclass(frozen=True, kw_only=True)
class FrequencyRow:
    """Mean rates of the tags of one bin."""

    name: str
    tags: int
    f1: float
    precision: float
    recall: float


def frequency_rows(bins: Sequence[tuple[str, Sequence[TagScore]]]) -> list[FrequencyRow]:
    """Mean F1, precision and recall of tags by how often they were seen in training."""
    return [
        FrequencyRow(
            name=name,
            tags=len(tags),
            f1=fmean(tag.f1 for tag in tags),
            precision=fmean(tag.precision for tag in tags),
            recall=fmean(tag.recall for tag in tags),
        )
        for name, tags in bins
    ]


def long_tail(rows_of: Mapping[str, Sequence[FrequencyRow]]) -> Chart:
    """Mean F1 over the same bins, a line for each name; at least one bin."""
    lines = [
        Series(name, [(float(number), 100 * row.f1) for number, row in enumerate(rows)])
        for name, rows in rows_of.items()
    ]
    bins = next(iter(rows_of.values()))
    return long_tail_chart([row.name for row in bins], [row.tags for row in bins], lines, title="The long tail")


def tag_table(per_tag: Sequence[TagScore], spellings: Mapping[str, str]) -> SortableTable:
    """A row per tag of the group *full*."""
    return SortableTable(
        id="tag-table",
        columns=("Tag", "Group", "Train", "Test", "Predicted", "Hits", "P", "R", "F1"),
        rows=[_tag_row(tag, spellings.get(tag.key, tag.key)) for tag in per_tag],
        sorted_by="Train",
        label="Results by tag",
        things="tag",
    )


def _tag_row(tag: TagScore, spelling: str) -> list[Cell]:
    counts = (tag.train_count, tag.test_count, tag.predicted, tag.hits)
    return [
        Cell(spelling, is_name=True),
        Cell(tag.group, is_name=True, kind=f"group {tag.group}"),
        *(Cell(f"{count:,}", count) for count in counts),
        *(Cell(percent(rate), rate) for rate in (tag.precision, tag.recall)),
        Cell(percent(tag.f1), tag.f1, kind="barcell", has_bar=True),
    ]


UNIT = Axis(0.0, 1.0, (0.0, 0.2, 0.4, 0.6, 0.8, 1.0))


def confidence_charts(confidence: Confidence) -> list[Chart]:
    """Reliability plot, and precision–recall curve with the operating point; none where no tag was predicted."""
    if not len(confidence.predicted):
        return []
    return [_reliability(confidence), _precision_recall(confidence)]


def _reliability(confidence: Confidence) -> Chart:
    after = Series("calibrated", _shares(confidence.reliability))
    before = Series("as the model gives it", _shares(confidence.reliability_before))
    ideal = Series("a score that is a chance", [(0.0, 0.0), (1.0, 1.0)])
    return line_chart(
        [before, ideal] if confidence.calibration is None else [after, before, ideal],
        title="Reliability: how often tags of a score are right",
        x_label="score",
        y_label="share that is right",
        axes=(UNIT, UNIT),
    )


def _shares(bins: Sequence[ReliabilityBin]) -> list[Point]:
    return [(each.score, each.precision) for each in bins if each.tags >= ENOUGH]


def _precision_recall(confidence: Confidence) -> Chart:
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


def calibration_rows(confidence: Confidence) -> list[tuple[str, ...]]:
    """Tags, share that is right, calibration error before and after scaling and by chance, for all, known and novel tags."""
    document = confidence.document()
    rows: list[tuple[str, ...]] = []
    for name, part in (("All tags", document), ("Known", document["known"]), ("Novel", document["novel"])):
        before, after, by_chance = (part["ece"][name] for name in ("before", "after", "by_chance"))
        shown = document["operating_point"] if part is document else part
        scaled = "–" if after is None else percent(after)
        shares = [percent(share) for share in (shown["precision"], before)]
        rows.append((name, f"{shown['tags']:,}", *shares, scaled, percent(by_chance)))
    return rows


ENOUGH = 10
"""Tags of a bin of scores of which a share says something."""


def reliability_rows(confidence: Confidence) -> list[tuple[str, ...]]:
    """Scores, how many tags have one in between, and the share of them that is right."""
    return [
        (
            f"{each.low:.2f}–{each.high:.2f}",
            f"{each.tags:,}",
            percent(each.precision) if each.tags >= ENOUGH else "too few",
        )
        for each in confidence.reliability
    ]


BEST_BY = "val_full_f1"
"""Where the log does not say which epoch was kept, it is the one with the highest full F1 on validation."""


LOSS_CURVES = (("training", "train_loss"), ("validation", "val_loss"))


F1_CURVES = (("per tag, all tags", BEST_BY), ("per video", "val_example_f1"))


def training_charts(history: TrainingHistory) -> list[Chart]:
    """Loss and validation F1 over the epochs, the best epoch marked."""
    best = history.best_epoch(BEST_BY)
    return [
        line_chart(series, title=title, x_label="epoch", y_label=unit, best_x=best)
        for title, unit, series in (
            ("Loss", "loss", _series(history, LOSS_CURVES)),
            ("Validation F1", "F1, percent", _series(history, F1_CURVES, scale=100)),
        )
        if any(line.points for line in series)
    ]


def _series(history: TrainingHistory, curves: Sequence[tuple[str, str]], *, scale: float = 1.0) -> list[Series]:
    return [Series(name, [(x, y * scale) for x, y in history.curve(column)]) for name, column in curves]
