"""Confusion of near-synonyms: a wrong tag beside a missed tag of the same video, counted over videos."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...data.store import FeatureStore
from ..evaluation import Evaluation
from .causes import texts_by_key

Embedding = Callable[[str], NDArray[np.float32] | None]
"""A tag's embedding by its key, ``None`` where there is none."""

MOST_PAIRS = 20_000
"""The most frequent pairs; similarities are computed of these."""


@dataclass(frozen=True, kw_only=True)
class Confusion:
    """A pair of tags.

    Attributes:
        wrong, missed: how the tags are written.
        videos: that were given the first and have the second.
        similarity: cosine of the tags' embeddings, where both have one.
    """

    wrong: str
    missed: str
    videos: int
    similarity: float | None = None


def confusions(evaluation: Evaluation, embedding: Embedding | None, *, most: int) -> list[Confusion]:
    """The pairs to look at first: the most similar ones where embeddings are at hand, or else the most frequent ones."""
    counts: Counter[tuple[str, str]] = Counter()
    texts: dict[str, str] = {}
    for item in evaluation.items:
        true, predicted = texts_by_key(item)
        texts |= {**true, **predicted}
        missed = sorted(true.keys() - predicted.keys())
        counts.update((wrong, tag) for wrong in sorted(predicted.keys() - true.keys()) for tag in missed)
    pairs = [
        Confusion(
            wrong=texts[wrong],
            missed=texts[missed],
            videos=videos,
            similarity=None if embedding is None else _cosine(embedding(wrong), embedding(missed)),
        )
        for (wrong, missed), videos in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))[:MOST_PAIRS]
    ]
    if embedding is not None:
        pairs = [pair for pair in pairs if pair.similarity is not None]
        pairs.sort(key=lambda pair: -(pair.similarity or 0.0))
    return pairs[:most]


def _cosine(one: NDArray[np.float32] | None, other: NDArray[np.float32] | None) -> float | None:
    if one is None or other is None:
        return None
    length = float(np.linalg.norm(one) * np.linalg.norm(other))
    return float(one @ other) / length if length else None


def store_embeddings(store: FeatureStore) -> Embedding:
    """Embeddings of the tags that occur in a store."""
    rows = {key: row for row, key in enumerate(store.tag_keys)}
    embeddings = store.tag_embeddings
    return lambda key: embeddings[rows[key]] if key in rows else None
