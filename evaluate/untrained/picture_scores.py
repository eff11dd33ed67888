"""How much of what a picture model sees is each tag.

Two kinds of models know names without being trained for tags: a classifier knows its classes, and what they mean is carried over to
tags by a text model (ConSE: Norouzi et al., ICLR 2014); an image tower with a text tower knows any name in a sentence.

Legend: M frames, D width of their features, C classes, E width of text embeddings, N names.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from .tag_names import Scores

Features = NDArray[np.float16] | NDArray[np.float32]

UNRELATED = 0.3
"""Cosine of two short texts' embeddings (all-MiniLM-L6-v2) that have nothing to do with each other, at most."""

TEMPLATES = ("a photo of {}.", "a photo of a {}.", "a video of {}.", "a picture about {}.", "{}")
"""Sentences that stand for a name; their features are averaged (Radford et al., ICML 2021, §3.1.4)."""


class PictureScores(Protocol):
    """What a picture model says of names.

    Attributes:
        least: what a score is worth giving out from.
    """

    least: float

    def scores(self, frames: Features) -> Scores:
        """(N,) in [0, 1], of the features (M, D) of a video's frames or of an image, M ≥ 1."""
        ...


def agreement(cosines: NDArray[np.float32]) -> Scores:
    """0 for texts that have nothing to do with each other, 1 for the same; a step up for what is near."""
    return np.asarray(np.sqrt(np.clip((cosines - UNRELATED) / (1 - UNRELATED), 0.0, 1.0)), dtype=np.float32)


class CarriedOver:
    """The probabilities of a classifier's classes, carried over to names of about the same meaning.

    A name's score is Σ p(c) · agreement(c, name), where p is the mean of a class's mean and greatest probability over frames:
    what shows for a moment counts too. ConSE takes the nearest names of Σ p(c) · embedding(c), which gives names also where the
    classifier has no idea; here they get low scores.

    Args:
        weight, bias: (C, D) and (C,), the last layer.
        meant: (C, E) embeddings of what the classes mean.
        named: (N, E) embeddings of the names.
    """

    least = 0.25

    def __init__(
        self,
        weight: NDArray[np.float32],
        bias: NDArray[np.float32],
        *,
        meant: NDArray[np.float32],
        named: NDArray[np.float32],
    ):
        self._weight, self._bias = weight, bias
        self._agreement = agreement(unit(meant) @ unit(named).T)

    def scores(self, frames: Features) -> Scores:
        """See :class:`PictureScores`."""
        shares = softmax(frames.astype(np.float32) @ self._weight.T + self._bias)
        over_frames = (shares.mean(axis=0) + shares.max(axis=0)) / 2
        found: Scores = np.minimum(over_frames @ self._agreement, np.float32(1.0))
        return found


class Prompted:
    """Cosines of frames and sentences with the names, read as the checkpoint reads them.

    A model that was trained to choose one sentence of many (CLIP) gives shares of all names together, one that was trained to say
    yes or no to each (SigLIP, which has a bias) a probability of each. Both are the mean of what the mean and the greatest cosine
    over frames give.

    Args:
        named: (N, D) features of the names.
        scale: what cosines are multiplied with.
        bias: what is added then; ``None`` in CLIP.
    """

    least = 0.05

    def __init__(self, named: NDArray[np.float32], *, scale: float, bias: float | None = None):
        self._named = unit(named)
        self._scale, self._bias = scale, bias

    def scores(self, frames: Features) -> Scores:
        """See :class:`PictureScores`."""
        cosines = unit(frames.astype(np.float32)) @ self._named.T
        logits = np.float32(self._scale) * np.stack([cosines.mean(axis=0), cosines.max(axis=0)])
        if self._bias is None:
            return np.asarray(softmax(logits).mean(axis=0), np.float32)
        return np.asarray((1 / (1 + np.exp(-(logits + self._bias)))).mean(axis=0), dtype=np.float32)


def prompt_features(
    embed: Callable[[Sequence[str]], NDArray[np.float32]], names: Sequence[str], templates: Sequence[str] = TEMPLATES
) -> NDArray[np.float32]:
    """(N, D) mean over templates of the unit features of the names in them."""
    every = [unit(embed([template.format(name) for name in names])) for template in templates]
    return np.asarray(np.mean(every, axis=0), np.float32)


def unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rows of length 1; a row of zeros stays one."""
    directions: NDArray[np.float32] = rows / np.maximum(
        np.linalg.norm(rows, axis=-1, keepdims=True), np.finfo(np.float32).tiny
    )
    return directions


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Softmax along the last axis."""
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True), dtype=np.float32)
