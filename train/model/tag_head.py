"""A linear head over the training tags on the pooled hybrid features, and the tags of a store as its targets.

All of a classifier (``bin`` and ``asy``, Tables 1–2), a help beside the decoder in OP-TSG. Legend: B videos, S title
tokens, D width, K training tags, U tags of the store.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from ...data.batching import Batch
from ...data.store import FeatureStore
from ...data.tag_table import TagTable
from ..device import send
from .layers import Dropout

FEWEST_COLUMNS = 4
"""Of the head's matrix product: with two or three, some CPUs compute rows in ways that differ in the last digit, so that a video's
scores would depend on its place in a batch."""


class TagHead(nn.Linear):
    """Mean of F over its valid positions, one logit per training tag."""

    def __init__(self, width: int, tags: int, dropout: float):
        super().__init__(width, tags)
        self.dropout = Dropout(dropout)

    @torch.no_grad()
    def set_priors(self, counts: NDArray[np.int64], videos: int) -> None:
        """Starts every tag's bias at the log-odds of its share of the training videos.

        From biases of 0 every tag begins at p = 0.5. Most tags belong at p < 0.01, log-odds below −5, and in a run of
        some thousand steps at a learning rate below 0.001 Adam takes a bias nowhere near that.

        Args:
            counts: (K,) training occurrences, at most ``videos``.
            videos: number of training videos. A tag that all of them have counts for half a video less.
        """
        share = np.minimum(counts, videos - 0.5) / videos
        self.bias.copy_(torch.from_numpy(np.log(share / (1 - share))))

    def score(self, features: Tensor, mask: Tensor) -> Tensor:
        """F (B, S, D) with mask (B, S) -> logits (B, K).

        In float32 whatever the weights are: near a threshold bfloat16 cannot tell scores apart.
        """
        pooled = self.dropout(mean_over_valid(features.float(), mask))
        weight, bias, tags = self.weight.float(), self.bias.float(), self.out_features
        if missing := max(0, FEWEST_COLUMNS - tags):
            weight, bias = functional.pad(weight, (0, 0, 0, missing)), functional.pad(bias, (0, missing))
        return functional.linear(pooled, weight, bias)[:, :tags]


def mean_over_valid(features: Tensor, mask: Tensor) -> Tensor:
    """Mean of F (B, S, D) over the positions where mask (B, S) is true: (B, D); 0 where there is none."""
    weights = mask.to(features.dtype)[..., None]
    pooled: Tensor = (features * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1.0)
    return pooled


def columns_of(tag_table: TagTable, store: FeatureStore) -> NDArray[np.int64]:
    """(U,) the column of every tag of a store, -1 for tags outside the training split."""
    return np.array([tag_table.column_of.get(key, -1) for key in store.tag_keys], np.int64)


def multi_hot(batch: Batch, columns: NDArray[np.int64], tags: int) -> Tensor:
    """(B, K) on the batch's device: 1 where a video has the tag, else 0."""
    targets = np.zeros((len(batch), tags), np.float32)
    found = columns[np.concatenate(batch.tags)]
    rows = np.repeat(np.arange(len(batch)), [len(own) for own in batch.tags])
    targets[rows[found >= 0], found[found >= 0]] = 1.0
    return send(torch.from_numpy(targets), batch.title_tokens.device)


def ranked_columns(probabilities: NDArray[np.float32], least: float) -> Sequence[int]:
    """Columns of one video (K,) with at least this probability, best first, ties in the order of the tag table."""
    columns = np.flatnonzero(probabilities >= least)
    order: list[int] = columns[np.argsort(-probabilities[columns], kind="stable")].tolist()
    return order
