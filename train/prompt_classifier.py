"""Order prompts that are classified, not written out (paper Table 7, G: "prompts for classification").

Legend: B videos, N prompts, K training tags, U tags of the store's tag table, D width, E tag-embedding width.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from ..data.batching import Batch
from .config import InputConfig, ModelConfig
from .layers import Dropout, init_weights
from .op_tsg import INITIAL_TEMPERATURE, OPTSG
from .prompt_encoder import PromptEncoder
from .shared_encoder import VideoTitleModel, build_hybrid_encoder, build_title_encoder

NIL_COLUMN = 0
"""Logits are (NIL, tag 1, …, tag K)."""


class PromptClassifier(VideoTitleModel):
    """Shared encoder, OP-TSG's prompt encoder, and one linear head for all prompts."""

    def __init__(self, model: ModelConfig, inputs: InputConfig, tags: int):
        super().__init__(model, inputs)
        self.hybrid_encoder = build_hybrid_encoder(model, inputs)
        self.prompt_encoder = PromptEncoder(
            prompts=model.prompts,
            tag_dim=inputs.tag_dim,
            width=model.width,
            heads=model.heads,
            layers=model.prompt_layers,
            dropout=model.dropout,
        )
        self.dropout = Dropout(model.dropout)
        self.head = nn.Linear(inputs.tag_dim, 1 + tags)
        self.log_inverse_temperature = nn.Parameter(torch.tensor(math.log(1 / INITIAL_TEMPERATURE)))
        self.apply(init_weights)
        self.title_encoder = build_title_encoder(model, inputs)

    @torch.no_grad()
    def copy_encoder(self, other: VideoTitleModel) -> None:
        """Takes over the prompt encoder too where the other model is OP-TSG."""
        super().copy_encoder(other)
        if isinstance(other, OPTSG):
            self.prompt_encoder.load_state_dict(other.prompt_encoder.state_dict())

    @torch.no_grad()
    def set_priors(self, counts: NDArray[np.int64], videos: int, nil_weight: float) -> None:
        """Starts every bias at the logarithm of its share of the prompts, as the classifiers' start at their tags' shares.

        Args:
            counts: (K,) training occurrences.
            videos: number of training videos.
            nil_weight: λ, by which the loss counts prompts without a tag less.
        """
        prompts = videos * self.config.prompts
        # Videos may have more tags than there are prompts; half a prompt at least is left to NIL.
        nil = nil_weight * max(0.5, prompts - int(counts.sum())) / prompts
        shares = np.concatenate([[max(nil, 1e-6)], counts / prompts])
        self.head.bias.copy_(torch.from_numpy(np.log(shares)))

    def prompts(self, batch: Batch) -> Tensor:
        """Order prompts P (B, N, E), in their natural order (Eq. 1)."""
        prompts: Tensor = self.prompt_encoder(*self.encode(batch))
        return prompts

    def classify(self, prompts: Tensor) -> Tensor:
        """(B, N, E) -> logits (B, N, 1 + K), float32 whatever the weights are."""
        dropped = self.dropout(prompts.float())
        return functional.linear(dropped, self.head.weight.float(), self.head.bias.float())
