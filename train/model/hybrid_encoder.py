"""Video–title hybrid encoder M_E (paper §3.1, Figure 2): title tokens ask, frames answer.

With one modality (Table 8) there is nobody to ask: the same layers without cross-attention read titles or frames alone.

Legend: B videos, M frames, Q image patches, S title tokens (M + Q where F is made of the visual features), D width.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ...data.batching import Batch
from ..config import Modality
from .layers import CrossLayer, Dropout, attention_mask, mask_for_layers

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
    """Layers of self-attention over title tokens, cross-attention to the visual features, feed-forward.

    Args:
        modality: ``video`` runs the layers over the visual features, ``title`` over the title; neither has
            cross-attention, and what reads the other modality is not built.
    """

    def __init__(
        self,
        *,
        frame_dim: int,
        patch_dim: int,
        max_patches: int,
        width: int,
        heads: int,
        layers: int,
        dropout: float,
        modality: Modality,
    ):
        super().__init__()
        self.modality = modality
        visual = modality != "title"
        self.frame_projection = VisualProjection(frame_dim, width, MAX_FRAMES, dropout) if visual else None
        self.patch_projection = (
            VisualProjection(patch_dim, width, max_patches, dropout) if visual and patch_dim else None
        )
        self.layers = nn.ModuleList(CrossLayer(width, heads, dropout, cross=modality == "both") for _ in range(layers))
        self.norm = nn.LayerNorm(width)

    def project_visual(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Visual features of a batch: (B, M + Q, D) and their mask (B, M + Q)."""
        assert self.frame_projection is not None
        features, masks = [self.frame_projection(batch.frames)], [batch.frame_mask]
        if self.patch_projection is not None and batch.patches.shape[1]:
            features.append(self.patch_projection(batch.patches))
            masks.append(batch.patch_mask)
        return torch.cat(features, dim=1), torch.cat(masks, dim=1)

    def forward(self, title: Tensor | None, batch: Batch) -> tuple[Tensor, Tensor]:
        """Title features (B, S, D), ``None`` for ``video`` -> hybrid features F (B, S, D) and their mask (B, S)."""
        features, mask = (title, batch.title_mask) if title is not None else self.project_visual(batch)
        memory, memory_mask = None, None
        if self.modality == "both":
            memory, visual_mask = self.project_visual(batch)
            memory_mask = mask_for_layers(attention_mask(visual_mask), memory)
        self_mask = mask_for_layers(attention_mask(mask), features)
        for layer in self.layers:
            assert isinstance(layer, CrossLayer)
            key_value = None if memory is None else layer.memory_key_value(memory)
            features = layer(features, self_mask=self_mask, memory=key_value, memory_mask=memory_mask)
        return self.norm(features), mask
