"""Confidence in the report: are scores chances, and what does a threshold cost?"""

from __future__ import annotations

from .confidence import Confidence, thinned
from .report_charts import Axis, Mark, Series, line_chart
from .report_markup import Html, element
from .report_overview import metric_table, percent

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
