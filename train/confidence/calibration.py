"""A run's calibration: ``calibration.json``, fitted on the validation split when training ends.

Known and novel tags are scaled apart where there are enough of both: a fitting novel tag is seldom annotated, so that the
same score promises less. The document also keeps how many tags of which calibrated score were right: the curve that a wanted
precision's threshold is read off.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ...data.errors import RunError
from ...data.whole_files import write_text
from ..generation import PredictedTag
from .precision_curve import PrecisionCurve
from .rated_tags import RatedTags
from .reliability import expected_calibration_error, reliability_bins
from .scaling import UNSCALED, Scaling, fit_scaling

CALIBRATION = "calibration.json"

MIN_TAGS = 30
"""Fewer tags are not worth a fit of their own: they share that of all tags, and fewer of all leave scores as they are."""


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """How a run's scores are scaled.

    Attributes:
        known, novel: the scalings of both kinds of tags.
        curve: precision and recall on validation by calibrated score, of candidate tags far below the operating point.
        ece_before, ece_after: expected calibration error of these candidates.
    """

    known: Scaling
    novel: Scaling
    curve: PrecisionCurve
    ece_before: float
    ece_after: float

    @classmethod
    def fit(cls, rated: RatedTags) -> Calibration:
        """From the candidate tags of the validation split."""
        together = fit_scaling(rated.scores, rated.right) if len(rated) >= MIN_TAGS else UNSCALED
        known, novel = (
            fit_scaling(group.scores, group.right) if len(group) >= MIN_TAGS else together
            for group in (rated.group(novel=False), rated.group(novel=True))
        )
        scaled = scale(rated, known, novel)
        return cls(
            known=known,
            novel=novel,
            curve=PrecisionCurve.of(scaled),
            ece_before=calibration_error(rated),
            ece_after=calibration_error(scaled),
        )

    def scale(self, rated: RatedTags) -> RatedTags:
        """Rated tags with calibrated scores."""
        return scale(rated, self.known, self.novel)

    def unscale(self, rated: RatedTags) -> RatedTags:
        """Rated tags with the scores that they had before :meth:`scale`."""
        return scale(rated, self.known.inverse, self.novel.inverse)

    def calibrate(self, tags: Sequence[PredictedTag]) -> list[PredictedTag]:
        """The tags of one video with calibrated scores, best first."""
        if not tags:
            return []
        scores = np.array([tag.score for tag in tags])
        scaled = np.where([tag.novel for tag in tags], self.novel.apply(scores), self.known.apply(scores))
        calibrated = [replace(tag, score=score) for tag, score in zip(tags, scaled.tolist(), strict=True)]
        return sorted(calibrated, key=lambda tag: -tag.score)

    def save(self, path: Path) -> None:
        """Writes ``calibration.json``; errors as :func:`write_text`."""
        values = {
            "fitted_on": "val",
            "known": asdict(self.known),
            "novel": asdict(self.novel),
            "ece": {"before": self.ece_before, "after": self.ece_after},
            "curve": self.curve.to_json(),
        }
        write_text(path, [json.dumps(values), "\n"])

    @classmethod
    def load(cls, path: Path) -> Calibration:
        """Reads what :meth:`save` wrote.

        Raises:
            RunError: the file is damaged.
        """
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            return cls(
                known=_scaling(values["known"]),
                novel=_scaling(values["novel"]),
                curve=PrecisionCurve.from_json(values["curve"]),
                ece_before=float(values["ece"]["before"]),
                ece_after=float(values["ece"]["after"]),
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise RunError(
                f"{path} is not a readable calibration ({error}); delete it and make it with: "
                f"optsg-eval --run {path.parent} --split val"
            ) from error


def _scaling(values: dict[str, Any]) -> Scaling:
    return Scaling(temperature=float(values["temperature"]), offset=float(values["offset"]))


def scale(rated: RatedTags, known: Scaling, novel: Scaling) -> RatedTags:
    """Rated tags with scaled scores."""
    return replace(rated, scores=np.where(rated.novel, novel.apply(rated.scores), known.apply(rated.scores)))


def calibration_error(rated: RatedTags) -> float:
    """Expected calibration error of rated tags."""
    return expected_calibration_error(reliability_bins(rated.scores, rated.right))


def read_calibration(run: Path) -> Calibration | None:
    """The calibration of a run folder; ``None`` where it has none: no validation split, or it is older."""
    path = run / CALIBRATION
    return Calibration.load(path) if path.exists() else None
