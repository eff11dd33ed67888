"""Temperature scaling: a monotone map from a score to the chance that its tag is right.

A system's score orders its tags and is no probability of being right: a classifier with the asymmetric loss gives 0.4 to tags
that hardly ever are, a geometric mean of token probabilities knows nothing of tags that fit and are not annotated.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

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
        """What takes calibrated scores back."""
        return Scaling(temperature=1 / self.temperature, offset=-self.offset * self.temperature)

    def apply(self, scores: Scores) -> Scores:
        """Calibrated scores of any shape."""
        if self == UNSCALED:
            return scores
        return _sigmoid(_logit(scores) / self.temperature + self.offset)


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
    logits, hits = _logit(scores), int(right.sum())
    targets = np.where(right, (hits + 1) / (hits + 2), 1 / (len(right) - hits + 2))

    def loss(parameters: Scores) -> tuple[float, Scores]:
        scaled = parameters[0] * logits + parameters[1]
        residual = _sigmoid(scaled) - targets
        mean = float(np.mean(np.logaddexp(0.0, scaled) - targets * scaled))
        return mean, np.array([np.mean(residual * logits), np.mean(residual)])

    slopes = (1 / TEMPERATURES[1], 1 / TEMPERATURES[0])
    found = minimize(loss, np.array([1.0, 0.0]), jac=True, method="L-BFGS-B", bounds=[slopes, OFFSETS])
    return Scaling(temperature=float(1 / found.x[0]), offset=float(found.x[1]))


def _logit(scores: Scores) -> Scores:
    clipped = np.clip(scores, EDGE, 1 - EDGE)
    return np.log(clipped) - np.log1p(-clipped)


def _sigmoid(values: Scores) -> Scores:
    # Both tails without overflow.
    return np.exp(-np.logaddexp(0.0, -values))
