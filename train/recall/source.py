"""What a source of tags is, and what it reads of a video.

Legend: B videos, K tags (of training, behind them those added since), E width of the text model, W width of a summary.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

Floats = NDArray[np.float32]
"""Vectors, weights, votes and whatever else is computed on the way."""

Scores = Floats
"""(B, K) what a source says of every tag of every video, each at least 0."""


@dataclass(frozen=True, kw_only=True)
class Summary:
    """Videos as frozen vectors.

    Attributes:
        titles: per video, the word pieces of its title without special tokens.
        sentences: (B, E) the text model's vector of each title, of length 1, or 0 where there is no title; E is 0 where the
            store's text model has not been trained, or titles are not read.
        vectors: (B, W) titles' vectors and n-grams and mean pictures, side by side.
    """

    titles: Sequence[Sequence[int]]
    sentences: Floats
    vectors: Floats

    def __len__(self) -> int:
        return len(self.titles)


def product(left: Floats, right: Floats) -> Floats:
    """(B, W) @ (W, K), by the threads that compute the model.

    NumPy has threads of its own, which would wait for work beside those.
    """
    found: Floats = (torch.from_numpy(left) @ torch.from_numpy(right)).numpy()
    return found


def highest(values: Floats, count: int) -> NDArray[np.int64]:
    """(B, at most ``count``) columns of the highest of (B, K) values, highest first, the first of equal ones first.

    Of many equal ones too: a partition alone takes any of those that are as high as the last one.
    """
    count = min(count, values.shape[1])
    if values.shape[1] > 4 * count:
        least = -np.partition(-values, count - 1, axis=1)[:, count - 1]
        if not np.isnan(least).any():
            return _down_to(least, values, count)
    return np.argsort(-values, axis=1, kind="stable")[:, :count]


def _down_to(least: Floats, values: Floats, count: int) -> NDArray[np.int64]:
    """(B, ``count``) columns of the values above the least one (B,) that counts, highest first, and the first that equal it."""
    found = np.empty((len(values), count), np.int64)
    for row, own in enumerate(values):
        above = np.flatnonzero(own > least[row])
        found[row, : len(above)] = above[np.argsort(-own[above], kind="stable")]
        # Where most tags have no score, all of these are equal.
        found[row, len(above) :] = np.flatnonzero(own == least[row])[: count - len(above)]
    return found


class Source(Protocol):
    """Gives every training tag a score for every video."""

    @property
    def name(self) -> str:
        """In the ranker's file, for people."""
        ...

    def score(self, summary: Summary) -> Scores:
        """(B, K), each at least 0, higher for tags that fit better; comparable between videos."""
        ...
