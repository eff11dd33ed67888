"""From the decoder's hidden states to scores of the next token, for a batch that shrinks while it is being decoded.

With a copy gate over the title, a tag that stands there can be taken over piece by piece.

Legend: B videos, S title tokens, T places, P chosen places, K places of the source, D width, V vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from ...data.batching import Batch
from ...data.word_pieces import MARKS, PAD
from ..config import InputConfig
from .copy_gate import CopyGate, CopySource
from .tag_decoder import TagDecoder


class TokenOutput(Protocol):
    """Scores of the vocabulary for hidden states."""

    def __call__(self, hidden: Tensor) -> Tensor:
        """(B, T, D) -> (B, T, V)."""
        ...

    def keep(self, rows: Tensor) -> TokenOutput:
        """The same for these videos of the batch alone."""
        ...


@dataclass(frozen=True)
class PlainOutput:
    """The decoder's own output."""

    decoder: TagDecoder

    def __call__(self, hidden: Tensor) -> Tensor:
        """Logits."""
        return self.decoder.logits(hidden)

    def keep(self, rows: Tensor) -> PlainOutput:
        """Itself: no video has anything of its own."""
        del rows
        return self


@dataclass(frozen=True)
class CopyingOutput:
    """The mixture of the decoder's output and what can be copied."""

    decoder: TagDecoder
    gate: CopyGate
    source: CopySource

    def __call__(self, hidden: Tensor) -> Tensor:
        """Log-probabilities."""
        log_probs: Tensor = self.gate(hidden, self.decoder.logits(hidden), self.source)
        return log_probs

    def keep(self, rows: Tensor) -> CopyingOutput:
        """With the sources of these videos."""
        return replace(self, source=self.source.keep(rows))


class TitleCopier(nn.Module):
    """The gate, and what of a title it reads: the hybrid features of the title's tokens."""

    def __init__(self, inputs: InputConfig, width: int):
        super().__init__()
        self.key = nn.Linear(width, width)
        self.gate = CopyGate(width)
        decoder_ids = np.full(
            max(inputs.pieces) + 1, PAD
        )  # PyTorch would import its compiler for it, where a model is outlined
        decoder_ids[np.array(inputs.pieces)] = np.arange(len(inputs.pieces)) + MARKS
        self.register_buffer("_decoder_ids", torch.from_numpy(decoder_ids), persistent=False)
        self._decoder_ids: Tensor

    def source(self, batch: Batch, features: Tensor) -> CopySource:
        """F (B, S, D) -> the title's pieces that the decoder can write; the tokenizer's own marks are none of them."""
        tokens = batch.title_tokens
        known = tokens < len(self._decoder_ids)
        ids = torch.where(known, self._decoder_ids[tokens.masked_fill(~known, 0)], PAD)
        usable = batch.title_mask & (ids != PAD)
        log_weight = torch.zeros(ids.shape, device=ids.device).masked_fill(~usable, float("-inf"))
        return CopySource(ids=ids, keys=self.key(features), log_weight=log_weight)

    def output(self, decoder: TagDecoder, batch: Batch, features: Tensor) -> CopyingOutput:
        """What turns hidden states (B, ·, D) into log-probabilities (B, ·, V) of the mixture."""
        return CopyingOutput(decoder, self.gate, self.source(batch, features))
