"""The loss of a tag head that stands beside a decoder.

Legend: B videos, S title tokens, D width, U tags of the store.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ...data.batching import Batch
from ..config import TrainingConfig
from ..model.tag_head import TagHead, multi_hot
from .losses import binary_cross_entropy
from .shares import Exchange


def recognition_loss(
    head: TagHead,
    features: Tensor,
    mask: Tensor,
    batch: Batch,
    columns: NDArray[np.int64],
    training: TrainingConfig,
    exchange: Exchange,
) -> Tensor:
    """``training.head_weight`` times the head's binary cross-entropy, summed over tags and divided by the batch.

    Args:
        features: F (B, S, D) with mask (B, S) of the batch.
        columns: (U,) number of every tag of the store among the training tags, -1 for others.
        exchange: with the other shares of the joint batch.
    """
    wanted = multi_hot(batch, columns, head.out_features)
    loss = binary_cross_entropy(head.score(features, mask), wanted, count_mean=exchange.mean)
    return training.head_weight * loss
