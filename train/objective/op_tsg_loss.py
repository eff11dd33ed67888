"""The objective of OP-TSG (paper Eq. 2–10): match prompts and tags, order them, contrast, write, recognise.

Legend: B videos, S title tokens, N prompts, T target tokens, P places of targets, D width, E tag-embedding width.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from ...data.batching import Batch
from ..config import TrainingConfig
from ..device import send
from ..model.matching import NO_TAG, assign_tags
from ..model.op_tsg import OPTSG
from ..model.tag_sequence import mean_by_slot, slot_targets, target_batch, written_places
from .losses import SequenceLoss, prompt_tag_contrastive_loss
from .recognition import recognition_loss
from .shares import ALONE, Exchange
from .step_losses import StepLosses
from .tag_targets import TagTargets


@dataclass(frozen=True, kw_only=True)
class MatchedBatch:
    """A batch after matching.

    Attributes:
        features: F (B, S, D), with mask (B, S).
        prompts: (B, N, E), in their natural order.
        assignment: (B, N) tag matched to each prompt, -1 for NIL.
        order: (B, N) the order in which the decoder is given the prompts.
    """

    batch: Batch
    features: Tensor
    mask: Tensor
    prompts: Tensor
    assignment: NDArray[np.int64]
    order: NDArray[np.int64]


class OpTsgLoss:
    """The losses of a batch. ``contrastive`` (Eq. 5), ``generation`` (Eq. 9), ``recognition`` where there is a tag head.

    Without ``training.contrastive`` (ablation E) the prompts learn from writing alone.

    Args:
        model: in training or in evaluation mode; the latter keeps the prompts in their natural order.
        targets: the store's tags.
        training: what is shuffled, weighed and left out.
    """

    def __init__(self, model: OPTSG, targets: TagTargets, training: TrainingConfig):
        self.model, self.targets, self.training = model, targets, training
        self._sequence_loss = SequenceLoss(training)

    def __call__(self, batch: Batch, rng: np.random.Generator, exchange: Exchange = ALONE) -> StepLosses:
        """All losses.

        Args:
            rng: draws the prompts' order and the tags of videos with more than N, alike in every share.
            exchange: with the other shares of the joint batch.
        """
        features, mask = self.model.encode(batch)
        prompts = self.model.order_prompts(features, mask)
        assignment, order = exchange.decide(lambda: self._match_and_order(prompts, batch, rng))
        joint = joint_assignment(assignment, prompts.device, exchange)
        matched = MatchedBatch(
            batch=batch, features=features, mask=mask, prompts=prompts, assignment=assignment, order=order
        )
        # First: the device has waited for the matching, and the decoder keeps it busy while the rest is launched.
        written = self.written(matched, exchange)
        contrast = {"contrastive": self._contrast(prompts, joint, exchange)} if self.training.contrastive else {}
        parts = {**contrast, **written, **self._recognised(matched, exchange)}
        return StepLosses(parts=parts, measures={"prompts_used": prompts_used(joint)})

    def assign(self, prompts: Tensor, batch: Batch, rng: np.random.Generator) -> NDArray[np.int64]:
        """Tag of the store's tag table matched to each prompt, -1 for NIL: (B, N) (Eq. 2–3)."""
        chosen = self.targets.choose_all(batch, prompts.shape[1], rng)
        nil = self.targets.nil if self.training.match_nil else None
        return assign_tags(prompts, chosen, self.targets.embeddings, nil)

    def _match_and_order(
        self, prompts: Tensor, batch: Batch, rng: np.random.Generator
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The assignment (B, N), and the order (B, N): shuffled where it could teach the decoder a meaning (§3.2.3)."""
        assignment = self.assign(prompts, batch, rng)
        order = np.tile(np.arange(assignment.shape[1]), (len(batch.every_tags), 1))
        if self.training.shuffle and self.model.training and self.model.config.decoding == "sequential":
            order = rng.permuted(order, axis=1)
        return assignment, batch.own_rows(order)

    def _contrast(self, prompts: Tensor, assignment: Tensor, exchange: Exchange) -> Tensor:
        """Loss of prompts (B, N, E) and the assignment (ΣB, N) of all shares; negatives come from all of them."""
        return prompt_tag_contrastive_loss(
            exchange.gather_rows(prompts),
            assignment,
            self.targets.embeddings,
            self.model.inverse_temperature,
            false_negatives=self.training.false_negatives,
        )

    def written(self, matched: MatchedBatch, exchange: Exchange) -> dict[str, Tensor]:
        """Losses of what the decoder is to write for the matched prompts, by name."""
        index = send(torch.from_numpy(matched.order), matched.prompts.device)
        ordered = matched.prompts.gather(1, index[..., None].expand_as(matched.prompts))
        tags = np.take_along_axis(matched.assignment, matched.order, axis=1)
        hidden, wanted = teacher_forced(self.model, ordered, tags, self.targets.table, matched.features, matched.mask)
        return {"generation": self.generation(hidden, wanted, matched, exchange)}

    def generation(self, hidden: Tensor, wanted: Tensor, matched: MatchedBatch, exchange: Exchange) -> Tensor:
        """Eq. 9 of hidden states (B, T, D) and the tokens (B, T) that they are to write, which are on the CPU."""
        places, targets = targets_to_write(wanted, hidden.device)
        per_token = token_losses(
            self.model,
            hidden,
            targets,
            places,
            matched.batch,
            matched.features,
            label_smoothing=self._sequence_loss.smoothing(self.model),
            copy_weight=self.training.copy_weight if self.model.training else 0.0,
        )
        return self._sequence_loss(per_token, targets, exchange)

    def _recognised(self, matched: MatchedBatch, exchange: Exchange) -> dict[str, Tensor]:
        head = self.model.tag_head
        if head is None:
            return {}
        loss = recognition_loss(
            head, matched.features, matched.mask, matched.batch, self.targets.columns, self.training, exchange
        )
        return {"recognition": loss}


def teacher_forced(
    model: OPTSG,
    prompts: Tensor,
    tags: NDArray[np.int64],
    pieces: Mapping[int, Sequence[int]],
    features: Tensor,
    mask: Tensor,
) -> tuple[Tensor, Tensor]:
    """The decoder's hidden states (B, T, D) for the slots' tags (B, N), and on the CPU the tokens (B, T) to be written."""
    if model.config.decoding == "parallel":
        made = slot_targets(tags, pieces)
        slots = made.to(prompts.device)
        return model.decoder(prompts, slots.inputs, features, mask, slots.layout), made.targets
    inputs, wanted = target_batch(tags, pieces)
    return model.decoder(prompts, send(inputs, prompts.device), features, mask), wanted


def targets_to_write(wanted: Tensor, device: torch.device) -> tuple[Tensor, Tensor]:
    """The places of :func:`written_places` and the tokens there (P,), on a device; ``wanted`` (B, T) is on the CPU."""
    places = written_places(wanted)
    return send(places, device), send(wanted.flatten()[places], device)


def token_losses(
    model: OPTSG,
    hidden: Tensor,
    targets: Tensor,
    places: Tensor,
    batch: Batch,
    features: Tensor,
    *,
    label_smoothing: float = 0.0,
    copy_weight: float = 0.0,
) -> Tensor:
    """Cross-entropy (P,) of the targets (P,) at the flat places (P,) of hidden states (B, T, D)."""
    # Smoothed labels would read the scores behind the vocabulary's.
    logits = model.decoder.logits(hidden.flatten(0, 1)[places], fill=not label_smoothing)
    if model.title_copier is None:
        return functional.cross_entropy(logits, targets, reduction="none", label_smoothing=label_smoothing)
    source = model.title_copier.source(batch, features)
    return model.title_copier.gate.cross_entropy(
        hidden, logits, targets, source, places, label_smoothing=label_smoothing, copy_weight=copy_weight
    )


def slot_log_probs(
    model: OPTSG,
    prompts: Tensor,
    tags: NDArray[np.int64],
    pieces: Mapping[int, Sequence[int]],
    features: Tensor,
    mask: Tensor,
    batch: Batch,
) -> Tensor:
    """Mean log-probability of the word pieces of the tag in every slot, with gradients: (B, N), 0 for NIL.

    Args:
        prompts: (B, N, E).
        tags: (B, N) tag of every slot, -1 for NIL; the pieces of a tag have read those of the tags before it.
        pieces: decoder ids of every tag that occurs.
        features: F (B, S, D) with mask (B, S) of the batch.
    """
    hidden, wanted = teacher_forced(model, prompts, tags, pieces, features, mask)
    places, targets = targets_to_write(wanted, hidden.device)
    losses = token_losses(model, hidden, targets, places, batch, features)
    return mean_by_slot(
        -losses, wanted.to(hidden.device), places, prompts.shape[1], nil_ends=model.config.decoding == "parallel"
    )


def joint_assignment(assignment: NDArray[np.int64], device: torch.device, exchange: Exchange) -> Tensor:
    """The own assignment (B, N), or that of all shares (ΣB, N) where there are more, on the CPU."""
    own = torch.from_numpy(assignment)
    return own if exchange.shares == 1 else exchange.gather_rows(send(own, device)).cpu()


def prompts_used(joint: Tensor) -> int:
    """How many prompts have a tag in some video of an assignment (B, N)."""
    return int((joint != NO_TAG).any(dim=0).sum())
