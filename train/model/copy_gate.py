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

    def keep(self, rows: Tensor) -> CopySource:
        """What these videos of the batch can copy from."""
        return CopySource(ids=self.ids[rows], keys=self.keys[rows], log_weight=self.log_weight[rows])


class CopyGate(nn.Module):
    """Gate and attention over the source. A video whose source is empty has g = 0, exactly."""

    def __init__(self, width: int):
        super().__init__()
        self.query = nn.Linear(width, width)
        self.gate = nn.Linear(width, 1)

    def forward(self, hidden: Tensor, logits: Tensor, source: CopySource, places: Tensor | None = None) -> Tensor:
        """Log-probabilities of the mixture, in float32 at least.

        Args:
            hidden: (B, T, D) the decoder's hidden states.
            logits: (B, T, V) scores over the vocabulary, or (P, V) with ``places``.
            source: what can be copied.
            places: (P,) flat indices into (B, T) of the places that are wanted; all without it. Nothing of the
                vocabulary's width is then made for padding.

        Returns:
            as ``logits``.
        """
        if places is None:
            places = torch.arange(hidden.shape[0] * hidden.shape[1], device=hidden.device)
        attention, gate, rows = self._attend(hidden, source, places)
        ids = source.ids[rows]
        copied = torch.zeros_like(attention).scatter_add(1, source.first[rows], attention)
        log_vocab = logits.reshape(len(places), -1).to(gate.dtype).log_softmax(dim=-1)
        gain = _log_gain(log_vocab.gather(1, ids), copied, gate)
        return (log_vocab + functional.logsigmoid(-gate)).scatter_add_(1, ids, gain).view_as(logits)

    def cross_entropy(
        self,
        hidden: Tensor,
        logits: Tensor,
        targets: Tensor,
        source: CopySource,
        places: Tensor,
        *,
        label_smoothing: float = 0.0,
        copy_weight: float = 0.0,
    ) -> Tensor:
        """What ``functional.cross_entropy`` gives for :meth:`forward`, (P,), for targets (P,).

        Without label smoothing only the targets' probabilities are mixed. That saves several passes over (P, V), which
        cost more than the decoder's layers where the vocabulary is large.

        Args:
            copy_weight: how much of :meth:`copy_loss` is added.
        """
        if label_smoothing:
            mixed = self(hidden, logits, source, places)
            losses = functional.cross_entropy(mixed, targets, reduction="none", label_smoothing=label_smoothing)
            return losses + copy_weight * self.copy_loss(hidden, targets, source, places) if copy_weight else losses
        attention, gate, rows = self._attend(hidden, source, places)
        copied = _of_targets(attention, targets, source, rows)
        log_vocab = -functional.cross_entropy(logits, targets, reduction="none").to(gate.dtype)[:, None]
        losses = -(log_vocab + functional.logsigmoid(-gate) + _log_gain(log_vocab, copied, gate))[:, 0]
        return losses + copy_weight * _copy_loss(copied, gate) if copy_weight else losses

    def copy_loss(self, hidden: Tensor, targets: Tensor, source: CopySource, places: Tensor) -> Tensor:
        """−log(g · p_copy(target)) at places whose target stands in the source, 0 at the others: (P,).

        Written words that the vocabulary knows well give the gate hardly any gradient: in training the vocabulary soon
        explains everything. This term asks it to copy what can be copied, which is what generalises to unseen words.
        """
        attention, gate, rows = self._attend(hidden, source, places)
        return _copy_loss(_of_targets(attention, targets, source, rows), gate)

    def _attend(self, hidden: Tensor, source: CopySource, places: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Attention (P, K), 0 where there is nothing, the gate's logit (P, 1), and the video of each place (P,)."""
        dtype = torch.promote_types(hidden.dtype, torch.float32)
        rows = places // hidden.shape[1]
        # By video, before places are chosen: the keys are never copied once a place.
        scores = self.query(hidden) @ source.keys.to(hidden.dtype).transpose(1, 2) * hidden.shape[-1] ** -0.5
        gate = self.gate(hidden).flatten(0, 1)[places].to(dtype) + INITIAL_GATE
        usable = source.usable[rows]
        empty = ~usable.any(dim=1, keepdim=True)
        weighted = scores.flatten(0, 1)[places].to(dtype) + source.log_weight[rows].to(dtype)
        # Nothing but -inf has no softmax; any numbers do, for they are taken away again.
        weighted = torch.where(usable, weighted, float("-inf")).masked_fill(empty, 0.0)
        return weighted.softmax(dim=-1).masked_fill(~usable, 0.0), gate.masked_fill(empty, float("-inf")), rows


def _of_targets(attention: Tensor, targets: Tensor, source: CopySource, rows: Tensor) -> Tensor:
    """p_copy of the targets (P,): (P, 1)."""
    return attention.masked_fill(source.ids[rows] != targets[:, None], 0.0).sum(dim=1, keepdim=True)


def _copy_loss(copied: Tensor, gate: Tensor) -> Tensor:
    """−log(g · p_copy) for p_copy (P, 1) and gate logits (P, 1): (P,), 0 where p_copy is 0."""
    some = copied > 0
    # Where there is nothing the logarithm is of 1: the gradient of log 0 is NaN, not 0.
    log_copied = torch.where(some, copied, 1.0).log()
    log_gate = functional.logsigmoid(torch.where(some, gate, 0.0))
    return -(log_copied + log_gate).masked_fill(~some, 0.0)[:, 0]


def _log_gain(log_vocab: Tensor, copied: Tensor, gate: Tensor) -> Tensor:
    """What copying adds to log p_vocab + log(1 − g): log(1 + e^(gate + log p_copy − log p_vocab)), 0 where p_copy is 0.

    Args:
        log_vocab: (P, K) log p_vocab of word pieces.
        copied: (P, K) their p_copy.
        gate: (P, 1) the gate's logit, -inf where there is no source.
    """
    some = copied > 0
    # Both places where a logarithm of 0 would come in are filled with a number first: its gradient is NaN, not 0.
    ratio = torch.where(some, gate, 0.0) + torch.where(some, copied, 1.0).log() - log_vocab
    return torch.logaddexp(ratio, ratio.new_zeros(())).masked_fill(~some, 0.0)
