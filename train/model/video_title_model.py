"""The video–title encoder that every system shares (paper §3.1): the base of all their models.

Legend: B videos, S title tokens, D width.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ...data.batching import Batch
from ..config import InputConfig, ModelConfig
from .hybrid_encoder import HybridEncoder
from .title_encoder import TitleEncoder


class VideoTitleModel(nn.Module):
    """A model with a title encoder and a hybrid encoder, which in every system have these names and these weights' names.

    A subclass builds both, in its own order, with :func:`build_hybrid_encoder` and :func:`build_title_encoder`. With the
    modality ``video`` there is no title encoder.

    Attributes:
        training_only: what the names of weights begin with that nothing but training needs: they are part of the state
            for ``--resume`` and not of a run's ``model.safetensors``.
    """

    training_only: ClassVar[tuple[str, ...]] = ()

    title_encoder: TitleEncoder | None
    hybrid_encoder: HybridEncoder

    def __init__(self, model: ModelConfig, inputs: InputConfig):
        super().__init__()
        self.config = model
        self.inputs = inputs

    def encode(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Multimodal hybrid features F (B, S, D) and their mask (B, S)."""
        title = None if self.title_encoder is None else self.title_encoder(batch.title_tokens, batch.title_mask)
        features, mask = self.hybrid_encoder(title, batch)
        return features, mask

    def text_model(self) -> TitleEncoder:
        """The title encoder; where titles are not read, a new one, for the words that a decoder starts from."""
        return new_title_encoder(self.config, self.inputs) if self.title_encoder is None else self.title_encoder

    @torch.no_grad()
    def load_text_encoder(self, weights: Mapping[str, NDArray[np.float32]]) -> Tensor:
        """Starts the title encoder from the store's text model; returns its word embeddings (pieces, text width)."""
        encoder = self.text_model()
        encoder.load_pretrained(weights)
        return encoder.word_embeddings()

    @torch.no_grad()
    def copy_encoder(self, other: VideoTitleModel) -> None:
        """Takes over the weights of another model's title encoder and hybrid encoder, which have the same sizes."""
        if self.title_encoder is not None and other.title_encoder is not None:
            self.title_encoder.load_state_dict(other.title_encoder.state_dict())
        self.hybrid_encoder.load_state_dict(other.hybrid_encoder.state_dict())

    def parameter_count(self) -> int:
        """Number of trained parameters."""
        return sum(parameter.numel() for parameter in self.parameters() if parameter.requires_grad)


def build_hybrid_encoder(model: ModelConfig, inputs: InputConfig) -> HybridEncoder:
    """The hybrid encoder of these sizes, its weights as PyTorch draws them."""
    return HybridEncoder(
        frame_dim=inputs.frame_dim,
        patch_dim=inputs.patch_dim,
        max_patches=inputs.max_patches,
        width=model.width,
        heads=model.heads,
        layers=model.hybrid_layers,
        dropout=model.dropout,
        modality=model.modality,
    )


def build_title_encoder(model: ModelConfig, inputs: InputConfig) -> TitleEncoder | None:
    """:func:`new_title_encoder`, or ``None`` where titles are not read."""
    return None if model.modality == "video" else new_title_encoder(model, inputs)


def new_title_encoder(model: ModelConfig, inputs: InputConfig) -> TitleEncoder:
    """The title encoder of these sizes, its weights random, ``frozen_title_layers`` frozen."""
    encoder = TitleEncoder(json.dumps(dict(inputs.title_encoder)), model.width, model.dropout)
    freeze_layers(encoder, model.frozen_title_layers)
    return encoder


def freeze_layers(encoder: TitleEncoder, layers: int) -> None:
    """Freezes a text model's word embeddings and first layers; -1 freezes nothing."""
    if layers < 0:
        return
    frozen = ["embeddings.", *(f"layer.{number}." for number in range(layers))]
    for name, parameter in encoder.model.named_parameters():
        if any(part in name for part in frozen):
            parameter.requires_grad_(False)
