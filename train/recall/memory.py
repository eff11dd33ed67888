"""The tags of similar training videos.

Legend: I training videos, B videos, K training tags, W width of a summary, N neighbours.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor

from .source import Scores, Summary

NEIGHBOURS = 30

TEMPERATURE = 0.1
"""A neighbour's vote is softmax(cosine / τ) over the neighbours."""


class Memory:
    """Votes of the nearest training videos for their tags.

    Args:
        centre: (W,) mean summary; cosines are taken from there.
        vectors: (I, W) of length 1.
        tags: (I, K) 1 where a video has the tag.
    """

    name: ClassVar[str] = "memory"

    def __init__(self, centre: Scores, vectors: Scores, tags: csr_array):
        self._centre, self._vectors, self._tags = centre, vectors, tags

    @classmethod
    def of_videos(cls, vectors: Scores, tags: csr_array) -> Memory:
        """Keeps (I, W) summaries, in half precision, and (I, K) tags."""
        centre = vectors.mean(0)
        kept = _directions(vectors - centre).astype(np.float16).astype(np.float32)
        return cls(centre, kept, tags)

    def score(self, summary: Summary) -> Scores:
        """(B, K) in [0, 1]: the neighbours' votes."""
        similarity = _directions(summary.vectors - self._centre) @ self._vectors.T
        nearest = np.argsort(-similarity, axis=1, kind="stable")[:, :NEIGHBOURS]
        votes = np.take_along_axis(similarity, nearest, axis=1)
        votes = np.exp((votes - votes.max(1, keepdims=True)) / TEMPERATURE)
        votes /= votes.sum(1, keepdims=True)
        ends = np.arange(len(nearest) + 1) * nearest.shape[1]
        weights = csr_array((votes.ravel(), nearest.ravel(), ends), shape=(len(nearest), len(self._vectors)))
        return np.asarray((weights @ self._tags).toarray(), np.float32)

    def tensors(self) -> dict[str, Tensor]:
        """What :meth:`from_tensors` reads."""
        return {
            "memory.centre": torch.from_numpy(self._centre),
            "memory.vectors": torch.from_numpy(self._vectors).half(),
            "memory.ends": torch.from_numpy(self._tags.indptr[1:].astype(np.int64)),
            "memory.tags": torch.from_numpy(self._tags.indices.astype(np.int32)),
        }

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor], tags: int) -> Memory:
        """Raises KeyError or ValueError where they are missing or do not fit each other.

        Args:
            tags: K.
        """
        centre, vectors = (tensors[f"memory.{name}"].float().numpy() for name in ("centre", "vectors"))
        ends, columns = (tensors[f"memory.{name}"].numpy() for name in ("ends", "tags"))
        starts = np.concatenate([[0], ends])
        if len(ends) != len(vectors) or vectors.shape[1:] != centre.shape:
            raise ValueError("the memory's tensors do not fit each other")
        if starts[-1] != len(columns) or (np.diff(starts) < 0).any():
            raise ValueError("the memory's tags do not fit its videos")
        if len(columns) and not 0 <= int(columns.min()) <= int(columns.max()) < tags:
            raise ValueError("the memory has tags that the run does not have")
        ones = np.ones(len(columns), np.float32)
        return cls(centre, vectors, csr_array((ones, columns, starts), shape=(len(ends), tags)))


def _directions(vectors: Scores) -> Scores:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    directions: Scores = vectors / np.maximum(lengths, 1e-12)
    return directions
