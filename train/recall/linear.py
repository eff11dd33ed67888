"""A linear probe on frozen summaries: ridge regression to the training tags, in closed form.

Legend: B videos, K training tags, W width of a summary, A examples that come after training.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import solve
from scipy.sparse import csr_array
from torch import Tensor

from .source import Floats, Scores, Summary, product

RIDGE = 0.5
"""λ beside a video's summary, whose length is about 1.5: what a tag's weights may cost."""


AT_ONCE = 256
"""Examples whose tags are looked at together."""


class LinearProbe:
    """ŷ = ȳ + (x − x̄)ᵀ A with A = (XᵀX + λI)⁻¹ Xᵀ(Y − ȳ); negative scores are 0.

    Args:
        mean: (W,) x̄.
        priors: (K,) ȳ, each tag's share of the training videos.
        weights: (W, K) A.
        scatter: (W, W) XᵀX + λI, from which it goes on with further examples; ``None`` where nobody kept it.
    """

    name: ClassVar[str] = "linear"

    def __init__(self, mean: Floats, priors: Floats, weights: Floats, scatter: Floats | None = None):
        self._mean, self._priors, self._weights, self._scatter = mean, priors, weights, scatter

    @classmethod
    def fit(cls, videos: Iterable[tuple[Floats, Floats]], ridge: float = RIDGE) -> LinearProbe:
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
        kept = weights.astype(np.float16).astype(np.float32)
        return cls(mean.astype(np.float32), priors.astype(np.float32), kept, scatter.astype(np.float32))

    def with_examples(self, vectors: Floats, tags: csr_array, had: csr_array, fresh: NDArray[np.bool_]) -> LinearProbe:
        """The probe of all videos, in closed form (recursive least squares): only x̄ and ȳ stay as they were.

        A' = A + S'⁻¹ Uᵀ R, with S' = S + UᵀU over fresh examples. A fresh example's row of R is what A says wrong of
        it, that of another the difference of its tags.

        Args:
            vectors: (A, W) summaries.
            tags: (A, K') multi-hot, the K' − K tags that the probe does not know last.
            had: (A, K') tags that it has learned of these videos before.
            fresh: (A,) videos that it has not seen.
        """
        more = tags.shape[1] - self._weights.shape[1]
        weights, priors = np.pad(self._weights, ((0, 0), (0, more))), np.pad(self._priors, (0, more))
        if self._scatter is None or not len(vectors):
            return LinearProbe(self._mean, priors, weights, self._scatter)
        wide = (vectors - self._mean).astype(np.float64)
        scatter = self._scatter.astype(np.float64) + wide[fresh].T @ wide[fresh]
        gain = solve(scatter, wide.T, assume_a="pos")
        learned = weights.astype(np.float64)
        for start in range(0, len(vectors), AT_ONCE):
            rows = slice(start, start + AT_ONCE)
            before = np.where(fresh[rows, None], priors + wide[rows] @ weights, had[rows].toarray())
            learned += gain[:, rows] @ (tags[rows].toarray() - before)
        return LinearProbe(self._mean, priors, learned.astype(np.float32), scatter.astype(np.float32))

    def score(self, summary: Summary) -> Scores:
        """(B, K) predicted shares of every tag, at least 0."""
        found = product(summary.vectors - self._mean, self._weights) + self._priors
        positive: Floats = np.maximum(found, 0.0, dtype=np.float32)
        return positive

    @property
    def shape(self) -> tuple[int, int]:
        """(W, K): width of a summary and number of tags."""
        width, tags = self._weights.shape
        return width, tags

    def tensors(self) -> dict[str, Tensor]:
        """What :meth:`from_tensors` reads."""
        return {
            "linear.mean": torch.from_numpy(self._mean),
            "linear.priors": torch.from_numpy(self._priors),
            "linear.weights": torch.from_numpy(self._weights).half(),
            **({} if self._scatter is None else {"linear.scatter": torch.from_numpy(self._scatter)}),
        }

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> LinearProbe:
        """Raises KeyError or ValueError where they are missing or do not fit each other."""
        mean, priors, weights = (tensors[f"linear.{name}"].float().numpy() for name in ("mean", "priors", "weights"))
        scatter = tensors["linear.scatter"].float().numpy() if "linear.scatter" in tensors else None
        fits = scatter is None or scatter.shape == (*mean.shape, *mean.shape)
        if weights.ndim != 2 or weights.shape != (*mean.shape, *priors.shape) or not fits:
            raise ValueError("the linear probe's tensors do not fit each other")
        return cls(mean, priors, weights, scatter)
