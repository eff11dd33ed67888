"""A linear probe on frozen summaries: ridge regression to the training tags, in closed form.

Legend: I training videos, B videos, K training tags, W width of a summary.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import solve
from torch import Tensor

from .source import Scores, Summary

RIDGE = 0.5
"""λ beside a video's summary, whose length is about 1.5: what a tag's weights may cost."""


class LinearProbe:
    """ŷ = ȳ + (x − x̄)ᵀ A with A = (XᵀX + λI)⁻¹ Xᵀ(Y − ȳ); negative scores are 0.

    Args:
        mean: (W,) x̄.
        priors: (K,) ȳ, each tag's share of the training videos.
        weights: (W, K) A.
    """

    name: ClassVar[str] = "linear"

    def __init__(self, mean: Scores, priors: Scores, weights: Scores):
        self._mean, self._priors, self._weights = mean, priors, weights

    @classmethod
    def fit(cls, videos: Iterable[tuple[Scores, Scores]], ridge: float = RIDGE) -> LinearProbe:
        """Reads the training videos once.

        Args:
            videos: batches of summaries (B, W) and multi-hot tags (B, K).
        """
        count = 0
        moments: Sequence[NDArray[np.float64]] | None = None
        for vectors, tags in videos:
            wide = vectors.astype(np.float64)
            parts = (wide.sum(0), tags.sum(0, dtype=np.float64), wide.T @ wide, wide.T @ tags)
            moments = parts if moments is None else tuple(old + new for old, new in zip(moments, parts, strict=True))
            count += len(vectors)
        assert moments is not None
        sum_x, sum_y, products, targets = moments
        mean, priors = sum_x / count, sum_y / count
        scatter = products - count * np.outer(mean, mean) + ridge * np.eye(len(mean))
        weights = solve(scatter, targets - count * np.outer(mean, priors), assume_a="pos")
        # As they are kept, so that a run predicts the same before and after it is opened again.
        return cls(mean.astype(np.float32), priors.astype(np.float32), weights.astype(np.float16).astype(np.float32))

    def score(self, summary: Summary) -> Scores:
        """(B, K)."""
        found = (summary.vectors - self._mean) @ self._weights + self._priors
        return np.maximum(found, 0.0, dtype=np.float32)

    def tensors(self) -> dict[str, Tensor]:
        """What :meth:`from_tensors` reads."""
        return {
            "linear.mean": torch.from_numpy(self._mean),
            "linear.priors": torch.from_numpy(self._priors),
            "linear.weights": torch.from_numpy(self._weights).half(),
        }

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> LinearProbe:
        """Raises KeyError or ValueError where they are missing or do not fit each other."""
        mean, priors, weights = (tensors[f"linear.{name}"].float().numpy() for name in ("mean", "priors", "weights"))
        if weights.shape != (*mean.shape, *priors.shape):
            raise ValueError("the linear probe's tensors do not fit each other")
        return cls(mean, priors, weights)
