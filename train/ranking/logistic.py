"""Logistic regression on standardised features, in plain numbers: what is fitted with scikit-learn needs NumPy alone to predict."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...data.foreign.json_reader import number_of
from ..confidence.calibration import sigmoid

PENALTY = 0.1
"""scikit-learn's C: strong, for a validation split of some hundred videos has few right tags."""

ROUNDING = 1e-5
"""Share of a feature's largest value that float32 computations may be off by: a memory's votes for a tag that all have are 1 ± 10⁻⁷."""


@dataclass(frozen=True, kw_only=True)
class LogisticModel:
    """p = σ(w·(x − m)/s + b) of features (F,).

    Attributes:
        mean, scale: (F,) m and s.
        weights: (F,) w.
        bias: b.
    """

    mean: NDArray[np.float64]
    scale: NDArray[np.float64]
    weights: NDArray[np.float64]
    bias: float

    @classmethod
    def fit(cls, features: NDArray[np.float32], right: NDArray[np.bool_]) -> LogisticModel:
        """Of examples (T, F) and whether each is right (T,). With examples of one kind alone p is their share, softened."""
        wide = features.astype(np.float64)
        mean, spread = wide.mean(0), wide.std(0)
        # What differs by rounding alone says nothing; made as large as other features, it would decide where it does differ.
        scale = np.where(spread > ROUNDING * np.abs(wide).max(0, initial=0.0), spread, 1.0) + 1e-9
        if len(np.unique(right)) < 2:
            share = (right.sum() + 0.5) / (len(right) + 1)
            return cls(mean=mean, scale=scale, weights=np.zeros_like(mean), bias=float(np.log(share / (1 - share))))
        from sklearn.linear_model import LogisticRegression

        found = LogisticRegression(C=PENALTY, max_iter=1000).fit((wide - mean) / scale, right)
        return cls(mean=mean, scale=scale, weights=found.coef_[0], bias=float(found.intercept_[0]))

    def logits(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """(T,) log-odds of examples with features (T, F)."""
        # Example by example: a product of matrices would round one differently with others beside it.
        found: NDArray[np.float64] = ((features - self.mean) / self.scale * self.weights).sum(1) + self.bias
        return found

    def probabilities(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """(T,) p of examples with features (T, F)."""
        return sigmoid(self.logits(features))

    def to_json(self) -> dict[str, Any]:
        """JSON types, for :meth:`from_json`."""
        return {
            "mean": self.mean.tolist(),
            "scale": self.scale.tolist(),
            "weights": self.weights.tolist(),
            "bias": self.bias,
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any], features: int) -> LogisticModel:
        """Raises KeyError, TypeError or ValueError for anything but what :meth:`to_json` gave for so many features."""
        mean, scale, weights = (np.array(values[name], np.float64) for name in ("mean", "scale", "weights"))
        bias = number_of(values["bias"])
        if not mean.shape == scale.shape == weights.shape == (features,):
            raise ValueError(f"expected {features} features")
        if not (np.isfinite([*mean, *scale, *weights, bias]).all() and (scale > 0).all()):
            raise ValueError("a number that is none")
        return cls(mean=mean, scale=scale, weights=weights, bias=bias)


def cross_fitted(
    features: NDArray[np.float32], right: NDArray[np.bool_], groups: NDArray[np.int64], folds: int = 5
) -> NDArray[np.float64]:
    """(T,) probabilities of examples by models that have not seen their group.

    Args:
        groups: (T,) the video of each example; a fold is whole videos, those whose number leaves the same rest.
    """
    found = np.zeros(len(right))
    for fold in range(folds):
        held_out = groups % folds == fold
        if held_out.any() and not held_out.all():
            found[held_out] = LogisticModel.fit(features[~held_out], right[~held_out]).probabilities(features[held_out])
        elif held_out.all():
            found = LogisticModel.fit(features, right).probabilities(features)
    return found
