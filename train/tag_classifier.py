"""A classifier over the training tags: the shared encoder and a head (``method.md`` §6).

Legend: B videos, K training tags.
"""

from __future__ import annotations

from torch import Tensor

from ..data.batching import Batch
from .config import InputConfig, ModelConfig
from .layers import init_weights
from .shared_encoder import VideoTitleModel, build_hybrid_encoder, build_title_encoder
from .tag_head import TagHead


class TagClassifier(VideoTitleModel):
    """Shared encoder and a linear head."""

    def __init__(self, model: ModelConfig, inputs: InputConfig, tags: int):
        super().__init__(model, inputs)
        self.hybrid_encoder = build_hybrid_encoder(model, inputs)
        self.head = TagHead(model.width, tags, model.dropout)
        self.apply(init_weights)
        self.title_encoder = build_title_encoder(model, inputs)

    def forward(self, batch: Batch) -> Tensor:
        """Logits (B, K)."""
        return self.head.score(*self.encode(batch))
