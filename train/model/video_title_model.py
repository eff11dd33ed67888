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
from .layers import init_weights
from .title_encoder import TitleEncoder, read_word_embeddings


class VideoTitleModel(nn.Module):
    """A model with a title encoder and a hybrid encoder, which in every system have these names and these weights' names.

    Both are drawn before anything else: with one seed every system starts with the same encoder. With the modality ``video``
    there is no title encoder.

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
        self.hybrid_encoder = HybridEncoder(
            frame_dim=inputs.frame_dim,
            patch_dim=inputs.patch_dim,
            max_patches=inputs.max_patches,
            width=model.width,
            heads=model.heads,
            layers=model.hybrid_layers,
            dropout=model.dropout,
            modality=model.modality,
        ).apply(init_weights)
        self.title_encoder = None
        if model.modality != "video":
            self.title_encoder = TitleEncoder(_text_config(inputs), model.width, model.dropout)
            freeze_layers(self.title_encoder, model.frozen_title_layers)

    def encode(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Multimodal hybrid features F (B, S, D) and their mask (B, S)."""
        title = None if self.title_encoder is None else self.title_encoder(batch.title_tokens, batch.title_mask)
        features, mask = self.hybrid_encoder(title, batch)
        return features, mask

    @torch.no_grad()
    def load_text_encoder(self, weights: Mapping[str, NDArray[np.float32]]) -> Tensor:
        """Starts the title encoder from the store's text model, of whose layers it has the first.

        Args:
            weights: of the text model, by name; those that the title encoder does not have are not read.

        Returns:
            the text model's word embeddings (pieces, text width), for a decoder to start from.

        Raises:
            StoreError: the weights do not fit the configuration.
        """
        if self.title_encoder is None:
            return read_word_embeddings(_text_config(self.inputs), weights)
        own = self.title_encoder.model.state_dict().keys()
        self.title_encoder.load_pretrained({name: weight for name, weight in weights.items() if name in own})
        return self.title_encoder.word_embeddings()

    def parameter_count(self) -> int:
        """Number of trained parameters."""
        return sum(parameter.numel() for parameter in self.parameters() if parameter.requires_grad)


def _text_config(inputs: InputConfig) -> str:
    return json.dumps(dict(inputs.title_encoder))


def freeze_layers(encoder: TitleEncoder, layers: int) -> None:
    """Freezes a text model's word embeddings and first layers; -1 freezes nothing."""
    if layers < 0:
        return
    frozen = ["embeddings.", *(f"layer.{number}." for number in range(layers))]
    for name, parameter in encoder.model.named_parameters():
        if any(part in name for part in frozen):
            parameter.requires_grad_(False)
