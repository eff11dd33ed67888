"""Prompt encoder P_E (paper §3.2.1, Eq. 1): shared learnable queries become sample-dependent order prompts.

Legend: B videos, S title tokens, N prompts, D width, E tag-embedding width.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .layers import CrossLayer, attention_mask, mask_for_layers


class PromptEncoder(nn.Module):
    """Queries Q (N, D), layers of self-attention, cross-attention to F, feed-forward, and the projection W_p to E.

    There are no positions: a prompt is told from the others by its query alone, so shuffling the queries shuffles the
    prompts and changes nothing else.
    """

    def __init__(self, *, prompts: int, tag_dim: int, width: int, heads: int, layers: int, dropout: float):
        super().__init__()
        self.queries = nn.Parameter(torch.empty(prompts, width).normal_(std=1.0))
        self.layers = nn.ModuleList(CrossLayer(width, heads, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.projection = nn.Linear(width, tag_dim)

    def forward(self, features: Tensor, mask: Tensor) -> Tensor:
        """F (B, S, D) with mask (B, S) -> order prompts P (B, N, E)."""
        # Laid out like the input of every other layer: a compiled layer would be compiled once more for the first.
        prompts = self.queries.expand(features.shape[0], -1, -1).contiguous()
        memory_mask = mask_for_layers(attention_mask(mask), features)
        for layer in self.layers:
            assert isinstance(layer, CrossLayer)
            prompts = layer(prompts, memory=layer.memory_key_value(features), memory_mask=memory_mask)
        projected: Tensor = self.projection(self.norm(prompts))
        return projected
