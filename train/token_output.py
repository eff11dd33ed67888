"""From the decoder's hidden states to scores of the next token, for a batch that shrinks while it is being decoded.

Legend: B videos, T places, K places of the source, D width, V vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

from torch import Tensor

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
