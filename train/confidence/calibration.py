"""A run's calibration: ``calibration.json``, fitted on the validation split when training ends.

A system's score orders its tags and is no probability of being right: a classifier with the asymmetric loss gives 0.4 to tags
that hardly ever are, a geometric mean of token probabilities knows nothing of tags that fit and are not annotated. Temperature
scaling is a monotone map from the score to that chance. Known and novel tags are scaled apart where there are enough of both:
a fitting novel tag is seldom annotated, so that the same score promises less. The document also keeps how many tags of which
calibrated score were right: the curve that a wanted precision's threshold is read off.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...data.errors import RunError, reason_of
from ...data.foreign.json_reader import JSON_DAMAGE, number_of, read_json
from ...data.predicted_tag import PredictedTag
from ...data.whole_files import write_text
from ..run_files import CALIBRATION
from .precision_curve import PrecisionCurve
from .rated_tags import RatedTags, expected_calibration_error, reliability_bins

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
        """Rated tags with calibrated scores, known and novel ones each by its scaling."""
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
            values = read_json(path)
            return cls(
                known=_scaling(values["known"]),
                novel=_scaling(values["novel"]),
                curve=PrecisionCurve.from_json(values["curve"]),
                ece_before=number_of(values["ece"]["before"]),
                ece_after=number_of(values["ece"]["after"]),
            )
        except JSON_DAMAGE as error:
            remedy = "train the run again"
            if path.name == CALIBRATION:
                remedy = f"delete it and make it with: optsg-eval --run {path.parent} --split val"
            raise RunError(f"{path} is not a readable calibration ({reason_of(error)}); {remedy}") from error


def _scaling(values: dict[str, Any]) -> Scaling:
    scaling = Scaling(temperature=number_of(values["temperature"]), offset=number_of(values["offset"]))
    if not scaling.temperature > 0:
        raise ValueError("a temperature that is not above 0")
    return scaling


def scale(rated: RatedTags, known: Scaling, novel: Scaling) -> RatedTags:
    """Rated tags with known and novel tags' scores scaled apart."""
    return replace(rated, scores=np.where(rated.novel, novel.apply(rated.scores), known.apply(rated.scores)))


def calibration_error(rated: RatedTags) -> float:
    """Expected calibration error of rated tags."""
    return expected_calibration_error(reliability_bins(rated.scores, rated.right))


def read_calibration(run: Path, name: str = CALIBRATION) -> Calibration | None:
    """The calibration of a run folder; ``None`` where it has none: no validation split, or it is older.

    Args:
        name: of its file.
    """
    path = run / name
    return Calibration.load(path) if path.exists() else None


EDGE = 1e-6
"""Scores are kept this far from 0 and 1, whose logits are infinite."""


TEMPERATURES, OFFSETS = (0.05, 20.0), (-10.0, 10.0)


Scores = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Scaling:
    """σ(logit(score) / temperature + offset).

    Attributes:
        temperature: above 1 it takes scores towards the middle, below 1 away from it.
        offset: of the logit. One temperature for a softmax (Guo et al., ICML 2017, §4.2) needs none; for a yes-or-no
            score a temperature alone cannot move 0.5, which is far off for some systems. With it this is Platt scaling
            (ibid. §4.1; Platt 1999).
    """

    temperature: float = 1.0
    offset: float = 0.0

    @property
    def inverse(self) -> Scaling:
        """The scaling that takes calibrated scores back."""
        return Scaling(temperature=1 / self.temperature, offset=-self.offset * self.temperature)

    def apply(self, scores: Scores) -> Scores:
        """Calibrated scores of any shape."""
        if self == UNSCALED:
            return scores
        return sigmoid(_logit(scores) / self.temperature + self.offset)


UNSCALED = Scaling()
"""Scores as they are."""


def fit_scaling(scores: Scores, right: NDArray[np.bool_]) -> Scaling:
    """The scaling that minimises the binary negative log-likelihood of "this predicted tag is right" (Guo et al., 2017).

    The targets are Platt's (N₊ + 1)/(N₊ + 2) and 1/(N₋ + 2) instead of 1 and 0, so that few tags, all right or well
    separated, do not make it certain.

    Args:
        scores: (T,) in [0, 1], at least one.
        right: (T,).
    """
    from scipy.optimize import minimize  # takes long to import, and predicting does without

    logits, hits = _logit(scores), int(right.sum())
    targets = np.where(right, (hits + 1) / (hits + 2), 1 / (len(right) - hits + 2))

    def loss(parameters: Scores) -> tuple[float, Scores]:
        scaled = parameters[0] * logits + parameters[1]
        residual = sigmoid(scaled) - targets
        mean = float(np.mean(np.logaddexp(0.0, scaled) - targets * scaled))
        return mean, np.array([np.mean(residual * logits), np.mean(residual)])

    slopes = (1 / TEMPERATURES[1], 1 / TEMPERATURES[0])
    found = minimize(loss, np.array([1.0, 0.0]), jac=True, method="L-BFGS-B", bounds=[slopes, OFFSETS])
    return Scaling(temperature=float(1 / found.x[0]), offset=float(found.x[1]))


def _logit(scores: Scores) -> Scores:
    clipped = np.clip(scores, EDGE, 1 - EDGE)
    return np.log(clipped) - np.log1p(-clipped)


def sigmoid(values: Scores) -> Scores:
    """1 / (1 + e⁻ˣ) of values of any shape."""
    # Both tails without overflow.
    return np.exp(-np.logaddexp(0.0, -values))
