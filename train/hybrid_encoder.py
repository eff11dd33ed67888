"""Video–title hybrid encoder M_E (paper §3.1, Figure 2): title tokens ask, frames answer.

Legend: B videos, M frames, Q image patches, S title tokens, D width.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..data.batching import Batch
from .layers import CrossLayer, Dropout, attention_mask

MAX_FRAMES = 60
"""Extraction keeps at most 60 frames of a video (paper §4.3)."""


class VisualProjection(nn.Module):
    """Projects frames and patches to the model's width and adds learned positions (temporal, or in the picture)."""

    def __init__(self, dim: int, width: int, positions: int, dropout: float):
        super().__init__()
        self.projection = nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, width), nn.LayerNorm(width))
        self.position = nn.Embedding(positions, width)
        self.dropout = Dropout(dropout)

    def forward(self, features: Tensor) -> Tensor:
        """(B, M, dim) -> (B, M, D). More features than positions share the last one."""
        last = self.position.num_embeddings - 1
        index = torch.arange(features.shape[1], device=features.device).clamp(max=last)
        features = features.to(self.position.weight.dtype)
        projected: Tensor = self.dropout(self.projection(features) + self.position(index))
        return projected


class HybridEncoder(nn.Module):
    """Layers of self-attention over title tokens, cross-attention to the visual features, feed-forward."""

    def __init__(
        self, *, frame_dim: int, patch_dim: int, max_patches: int, width: int, heads: int, layers: int, dropout: float
    ):
        super().__init__()
        self.frame_projection = VisualProjection(frame_dim, width, MAX_FRAMES, dropout)
        self.patch_projection = VisualProjection(patch_dim, width, max_patches, dropout) if patch_dim else None
        self.layers = nn.ModuleList(CrossLayer(width, heads, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(width)

    def project_visual(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Visual features of a batch: (B, M + Q, D) and their mask (B, M + Q)."""
        features, masks = [self.frame_projection(batch.frames)], [batch.frame_mask]
        if self.patch_projection is not None and batch.patches.shape[1]:
            features.append(self.patch_projection(batch.patches))
            masks.append(batch.patch_mask)
        return torch.cat(features, dim=1), torch.cat(masks, dim=1)

    def forward(self, title: Tensor, batch: Batch) -> Tensor:
        """Title features (B, S, D) -> multimodal hybrid features F (B, S, D)."""
        visual, visual_mask = self.project_visual(batch)
        self_mask, memory_mask = attention_mask(batch.title_mask), attention_mask(visual_mask)
        for layer in self.layers:
            assert isinstance(layer, CrossLayer)
            title = layer(title, self_mask=self_mask, memory=layer.memory_key_value(visual), memory_mask=memory_mask)
        normed: Tensor = self.norm(title)
        return normed
