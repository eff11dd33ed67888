"""What the scores of an evaluation are worth: calibration error, reliability, precision and recall by score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from ...data.foreign.json_reader import number_of
from ...data.tags import tag_key
from ...train.confidence.calibration import Calibration, calibration_error
from ...train.confidence.precision_curve import CurvePoint, PrecisionCurve
from ...train.confidence.rated_tags import (
    RatedTags,
    ReliabilityBin,
    chance_calibration_error,
    rate_tags,
    reliability_bins,
)
from .predictions import ItemPrediction

MOST_POINTS = 100
"""Of a curve in ``metrics.json``."""


@dataclass(frozen=True, kw_only=True)
class Confidence:
    """Scores of one evaluation.

    Attributes:
        predicted: the predicted tags.
        curve: precision and recall of all that the run can be brought to give, from the lowest threshold to the highest.
        average_precision: area under the curve.
        calibration: the run's, if it has one; the scores are then calibrated.
    """

    predicted: RatedTags
    curve: Sequence[CurvePoint]
    average_precision: float
    calibration: Calibration | None

    @property
    def before(self) -> RatedTags:
        """The predicted tags with the scores that they had before calibration."""
        return self.predicted if self.calibration is None else self.calibration.unscale(self.predicted)

    @property
    def reliability(self) -> list[ReliabilityBin]:
        """Bins of the predicted tags by calibrated score."""
        return reliability_bins(self.predicted.scores, self.predicted.right)

    @property
    def reliability_before(self) -> list[ReliabilityBin]:
        """Bins of the predicted tags by the score that they had before calibration."""
        return reliability_bins(self.before.scores, self.before.right)

    @property
    def operating_point(self) -> dict[str, float]:
        """Precision and recall of the predicted tags, over all pairs of a video and a tag."""
        hits = int(self.predicted.right.sum())
        return {
            "tags": len(self.predicted),
            "precision": hits / max(len(self.predicted), 1),
            "recall": hits / max(self.predicted.true_tags, 1),
        }

    def document(self) -> dict[str, Any]:
        """What ``metrics.json`` says of it; ``after`` is null where the run has no calibration.

        ``by_chance`` is what the error would be if the scores were exactly chances.
        """
        return {
            "ece": self._errors(self.before, self.predicted),
            **{
                name: {
                    "tags": len(after),
                    "precision": float(after.right.mean()) if len(after) else 0.0,
                    "ece": self._errors(before, after),
                }
                for name, before, after in (
                    ("known", self.before.group(novel=False), self.predicted.group(novel=False)),
                    ("novel", self.before.group(novel=True), self.predicted.group(novel=True)),
                )
            },
            "operating_point": self.operating_point,
            "average_precision": self.average_precision,
            "reliability": [asdict(each) for each in self.reliability],
            "precision_recall": [asdict(point) for point in thinned(self.curve)],
        }

    def _errors(self, before: RatedTags, after: RatedTags) -> dict[str, float | None]:
        return {
            "before": calibration_error(before),
            "after": None if self.calibration is None else calibration_error(after),
            "by_chance": chance_calibration_error(after.scores),
        }


def measure_confidence(
    items: Sequence[ItemPrediction], candidates: Sequence[ItemPrediction], calibration: Calibration | None
) -> Confidence:
    """From the predictions of an evaluation, and the candidates of the same videos."""
    curve = PrecisionCurve.of(rate_items(candidates)).points()
    return Confidence(
        predicted=rate_items(items), curve=curve, average_precision=average_precision(curve), calibration=calibration
    )


def read_confidence(
    document: Mapping[str, Any], items: Sequence[ItemPrediction], calibration: Calibration | None
) -> Confidence:
    """From what ``metrics.json`` says of it, and the predictions that it was measured on.

    Args:
        document: as :meth:`Confidence.document` made it; the curve has at most :data:`MOST_POINTS` points.
        calibration: of the run; not used where the scores were not calibrated yet.

    Raises:
        KeyError, TypeError, ValueError: it is no such document.
    """
    calibrated = document["ece"]["after"] is not None
    return Confidence(
        predicted=rate_items(items),
        curve=[_point(point) for point in document["precision_recall"]],
        average_precision=number_of(document["average_precision"]),
        calibration=calibration if calibrated else None,
    )


def _point(values: Mapping[str, Any]) -> CurvePoint:
    for number in values.values():
        number_of(number)
    return CurvePoint(**values)


def rate_items(items: Sequence[ItemPrediction]) -> RatedTags:
    """Predicted tags of videos with whether they are annotated."""
    return rate_tags([{tag_key(tag) for tag in item.true} for item in items], [item.tags for item in items])


def average_precision(curve: Sequence[CurvePoint]) -> float:
    """Area under the steps of the curve: each gain of recall times the precision there."""
    falling = [*curve[::-1]]
    recalls = [0.0, *(point.recall for point in falling)]
    gains = (after - before for before, after in pairwise(recalls))
    return sum(gain * point.precision for gain, point in zip(gains, falling, strict=True))


def thinned(curve: Sequence[CurvePoint]) -> list[CurvePoint]:
    """At most :data:`MOST_POINTS` points, the first and the last among them."""
    if len(curve) <= MOST_POINTS:
        return list(curve)
    last = len(curve) - 1
    return [curve[round(number * last / (MOST_POINTS - 1))] for number in range(MOST_POINTS)]


def fit_calibration(candidates: Sequence[ItemPrediction], path: Path) -> Calibration:
    """Fits a calibration to uncalibrated candidates of the validation split and writes it to ``path``."""
    calibration = Calibration.fit(rate_items(candidates))
    calibration.save(path)
    return calibration
