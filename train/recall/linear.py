"""A linear probe on frozen summaries: ridge regression to the training tags, in closed form.

Legend: I training videos, B videos, K training tags, W width of a summary.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve
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
        inverse: (W, W) (XᵀX + λI)⁻¹, of a probe that has just been fitted.
        videos: I.
    """

    name: ClassVar[str] = "linear"

    def __init__(
        self,
        mean: Scores,
        priors: Scores,
        weights: Scores,
        *,
        inverse: NDArray[np.float64] | None = None,
        videos: int = 0,
    ):
        self._mean, self._priors, self._weights = mean, priors, weights
        self._inverse, self._videos = inverse, videos

    @classmethod
    def fit(cls, videos: Iterable[tuple[Scores, Scores]], ridge: float = RIDGE) -> LinearProbe:
        """Reads the training videos once.

        Args:
            videos: batches of summaries (B, W) and multi-hot tags (B, K).
        """
        count, moments = 0, None
        for vectors, tags in videos:
            wide = vectors.astype(np.float64)
            parts = (wide.sum(0), tags.sum(0, dtype=np.float64), wide.T @ wide, wide.T @ tags)
            moments = parts if moments is None else tuple(old + new for old, new in zip(moments, parts, strict=True))
            count += len(vectors)
        assert moments is not None
        sum_x, sum_y, products, targets = moments
        mean, priors = sum_x / count, sum_y / count
        scatter = products - count * np.outer(mean, mean) + ridge * np.eye(len(mean))
        factor = cho_factor(scatter)
        weights = cho_solve(factor, targets - count * np.outer(mean, priors))
        return cls(
            mean.astype(np.float32),
            priors.astype(np.float32),
            weights.astype(np.float16).astype(np.float32),
            inverse=cho_solve(factor, np.eye(len(mean))),
            videos=count,
        )

    def score(self, summary: Summary, *, own: Scores | None = None) -> Scores:
        """(B, K); a training video is left out in closed form, ŷ₋ᵢ = (ŷᵢ − hᵢ yᵢ) / (1 − hᵢ) with its leverage hᵢ."""
        centred = summary.vectors - self._mean
        found: Scores = centred @ self._weights + self._priors
        if own is not None:
            leverage = self._leverage(centred)[:, None]
            found = (found - leverage * own) / (1 - leverage)
        return np.maximum(found, 0.0)

    def _leverage(self, centred: Scores) -> Scores:
        assert self._inverse is not None, "only a probe that has just been fitted knows its training videos"
        leverage = np.einsum("bi,ij,bj->b", centred, self._inverse, centred, optimize=True) + 1 / self._videos
        return np.minimum(leverage, 0.99).astype(np.float32)

    def tensors(self) -> dict[str, Tensor]:
        """What :meth:`from_tensors` reads."""
        return {
            "linear.mean": torch.from_numpy(self._mean),
            "linear.priors": torch.from_numpy(self._priors),
            "linear.weights": torch.from_numpy(self._weights).half(),
        }

    @classmethod
    def from_tensors(cls, tensors: dict[str, Tensor]) -> LinearProbe:
        """Raises KeyError or ValueError where they are missing or do not fit each other."""
        mean, priors, weights = (tensors[f"linear.{name}"].float().numpy() for name in ("mean", "priors", "weights"))
        if weights.shape != (*mean.shape, *priors.shape):
            raise ValueError("the linear probe's tensors do not fit each other")
        return cls(mean, priors, weights)
