"""A classifier over the training tags on the shared encoder: F pooled, one logit per tag (``method.md`` §6).

Legend: B videos, S title tokens, D width, K training tags.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from ..data.batching import Batch
from .config import InputConfig, ModelConfig
from .layers import Dropout, init_weights
from .shared_encoder import VideoTitleModel, build_hybrid_encoder, build_title_encoder


class TagClassifier(VideoTitleModel):
    """Shared encoder and a linear head."""

    def __init__(self, model: ModelConfig, inputs: InputConfig, tags: int):
        super().__init__(model, inputs)
        self.hybrid_encoder = build_hybrid_encoder(model, inputs)
        self.dropout = Dropout(model.dropout)
        self.head = nn.Linear(model.width, tags)
        self.apply(init_weights)
        self.title_encoder = build_title_encoder(model, inputs)

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
        self.head.bias.copy_(torch.from_numpy(np.log(share / (1 - share))))

    def forward(self, batch: Batch) -> Tensor:
        """Logits (B, K), float32 whatever the weights are: near a threshold bfloat16 cannot tell scores apart."""
        features, mask = self.encode(batch)
        pooled = self.dropout(mean_over_valid(features.float(), mask))
        return functional.linear(pooled, self.head.weight.float(), self.head.bias.float())


def mean_over_valid(features: Tensor, mask: Tensor) -> Tensor:
    """Mean of F (B, S, D) over the positions where mask (B, S) is true: (B, D); 0 where there is none."""
    weights = mask.to(features.dtype)[..., None]
    pooled: Tensor = (features * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1.0)
    return pooled
