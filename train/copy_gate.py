"""A copy gate: the decoder may copy word pieces from a source beside writing them from the vocabulary.

p(w) = (1 − g) · p_vocab(w) + g · p_copy(w), with g = σ(gate) of the hidden state and p_copy the hidden state's attention
over the source, added up per word piece (See et al., ACL 2017, Eq. 9; Zhang et al., CVPR 2021, Eq. 10).

Legend: B videos, T text places, P chosen places, K places of the source, D width, V vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn
from torch.nn import functional

INITIAL_GATE = -2.2
"""What the gate adds to its logit: g starts at about 0.1, the vocabulary in charge, whatever draws the weights."""


@dataclass(frozen=True, kw_only=True)
class CopySource:
    """What each video of a batch can copy from.

    Attributes:
        ids: (B, K) decoder ids of the word pieces; any id where there is nothing.
        keys: (B, K, D) their memory vectors.
        log_weight: (B, K) added to the attention's scores; -inf where there is nothing.
    """

    ids: Tensor
    keys: Tensor
    log_weight: Tensor

    @cached_property
    def usable(self) -> Tensor:
        """(B, K) where there is something to copy."""
        return self.log_weight > float("-inf")

    @cached_property
    def first(self) -> Tensor:
        """(B, K) at which place the same word piece stands first."""
        if not self.ids.shape[1]:
            return self.ids
        # argmax takes the first of equal values.
        return (self.ids[:, :, None] == self.ids[:, None, :]).byte().argmax(dim=-1)


class CopyGate(nn.Module):
    """Gate and attention over the source."""

    def __init__(self, width: int):
        super().__init__()
        self.query = nn.Linear(width, width)
        self.gate = nn.Linear(width, 1)

    def forward(self, hidden: Tensor, logits: Tensor, source: CopySource, places: Tensor | None = None) -> Tensor:
        """Log-probabilities of the mixture, in float32 at least.

        A video whose source is empty has g = 0, exactly. Only tensors as large as ``logits`` have the vocabulary's
        width: with ``places`` nothing is computed over it for padding.

        Args:
            hidden: (B, T, D) the decoder's hidden states.
            logits: (B, T, V) scores over the vocabulary, or (P, V) with ``places``.
            source: what can be copied.
            places: (P,) flat indices into (B, T) of the places that are wanted; all without it.

        Returns:
            as ``logits``.
        """
        every, dtype = hidden.shape[1], torch.promote_types(logits.dtype, torch.float32)
        # By video, before places are chosen: the keys are never copied once a place.
        scores = self.query(hidden) @ source.keys.to(hidden.dtype).transpose(1, 2) * hidden.shape[-1] ** -0.5
        scores, gate = scores.flatten(0, 1), self.gate(hidden).flatten(0, 1).to(dtype) + INITIAL_GATE
        if places is None:
            places = torch.arange(len(scores), device=scores.device)
        rows = places // every
        attention = _attend(scores[places].to(dtype), source, rows)
        mixed = _mix(
            logits.reshape(len(places), -1).to(dtype).log_softmax(dim=-1), attention, gate[places], source, rows
        )
        return mixed.view_as(logits)


def _attend(scores: Tensor, source: CopySource, rows: Tensor) -> Tensor:
    """(P, K) scores -> (P, K) attention with the source's weights; 0 where there is nothing."""
    usable = source.usable[rows]
    weighted = torch.where(usable, scores + source.log_weight[rows].to(scores.dtype), float("-inf"))
    # A row of nothing but -inf has no softmax; any numbers do, for they are taken away again.
    weighted = weighted.masked_fill(~usable.any(dim=1, keepdim=True), 0.0)
    return weighted.softmax(dim=-1).masked_fill(~usable, 0.0)


def _mix(log_vocab: Tensor, attention: Tensor, gate: Tensor, source: CopySource, rows: Tensor) -> Tensor:
    """log((1 − g) · p_vocab + g · p_copy), (P, V), for gate logits (P, 1).

    Written as log p_vocab + log(1 − g) + log(1 + e^(gate + log p_copy − log p_vocab)): the last term is 0 for word pieces
    that are not in the source, so that it is worked out for those of the source alone.
    """
    ids = source.ids[rows]
    copied = torch.zeros_like(attention).scatter_add(1, source.first[rows], attention)
    some = copied > 0
    log_copied = torch.where(some, copied, 1.0).log()
    gain = torch.logaddexp(gate + log_copied - log_vocab.gather(1, ids), gate.new_zeros(()))
    empty = ~source.usable.any(dim=1)[rows, None]
    mixed = log_vocab + functional.logsigmoid(-gate).masked_fill(empty, 0.0)
    return mixed.scatter_add_(1, ids, gain.masked_fill(~some, 0.0))
