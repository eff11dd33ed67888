"""Losses as pure functions of tensors.

The two of OP-TSG are the paper's Eq. 4–5 and 8–9. Those of the classifiers over the training tags are summed over the tags and
divided by the number of videos, so that ``bin`` and ``asy`` differ in the loss of one tag of one video and in nothing else.

Legend: B videos, N prompts, R prompts matched to a real tag in the whole batch, E tag-embedding width, U tags of the table,
K target tokens of the batch or training tags, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from ...data.word_pieces import NIL, PAD
from ..config import FalseNegatives, Normalisation, TrainingConfig
from ..device import send
from .shares import Exchange


def prompt_tag_contrastive_loss(
    prompts: Tensor,
    assignment: Tensor,
    tag_embeddings: Tensor,
    inverse_temperature: Tensor,
    *,
    false_negatives: FalseNegatives = "mask",
) -> Tensor:
    """InfoNCE between prompts and their tags in both directions (Eq. 4–5).

    Each real tag is compared with all B·N prompts, NIL-matched ones included; each prompt matched to a real tag with
    all real tags of the batch. The same tag in another video is literally a negative in Eq. 4, with an identical
    embedding; ``mask`` leaves it out, ``keep`` is the literal reading.

    Args:
        prompts: (B, N, E).
        assignment: (B, N) row of the tag table matched to each prompt, -1 for NIL. On the CPU whatever the device is: on
            another one, asking which prompts have a tag would wait for it.
        tag_embeddings: (U, E), frozen.
        inverse_temperature: scalar 1/τ.

    Returns:
        Mean over the R pairs of half the sum of both directions; zero with a gradient where R = 0.
    """
    flat = functional.normalize(prompts.float().flatten(0, 1), dim=-1)
    found = torch.nonzero(assignment.flatten() >= 0).squeeze(1)
    if not len(found):
        return flat.sum() * 0.0
    matched, positive = (send(part, flat.device) for part in (assignment.flatten(), found))
    pair_tags = matched[positive]
    tags = functional.normalize(tag_embeddings[pair_tags].float(), dim=-1)
    tag_to_prompt = inverse_temperature * tags @ flat.T
    prompt_to_tag = inverse_temperature * flat[positive] @ tags.T
    own = torch.arange(len(positive), device=flat.device)
    if false_negatives == "mask":
        tag_to_prompt = _mask_same_tag(tag_to_prompt, pair_tags, matched, positive)
        prompt_to_tag = _mask_same_tag(prompt_to_tag, pair_tags, pair_tags, own)
    return (functional.cross_entropy(tag_to_prompt, positive) + functional.cross_entropy(prompt_to_tag, own)) / 2


def _mask_same_tag(logits: Tensor, row_tags: Tensor, column_tags: Tensor, target: Tensor) -> Tensor:
    """Removes the columns that carry the row's tag, except the row's own positive."""
    same = row_tags[:, None] == column_tags[None, :]
    same = same.scatter(1, target[:, None], torch.zeros_like(same[:, :1]))
    return logits.masked_fill(same, float("-inf"))


class SequenceLoss:
    """Losses of the tokens of a batch, put together as the settings say (Eq. 8–9).

    Args:
        training: λ, the normalisation and label smoothing.
        pad: token id of padding, which counts nothing.
        nil: token id of [NIL], which counts λ.
    """

    def __init__(self, training: TrainingConfig, *, pad: int = PAD, nil: int = NIL):
        self._training, self._pad, self._nil = training, pad, nil

    def smoothing(self, model: nn.Module) -> float:
        """Label smoothing of a token's loss: in training alone."""
        return self._training.label_smoothing if model.training else 0.0

    def __call__(self, per_token: Tensor, targets: Tensor, exchange: Exchange) -> Tensor:
        """Losses (K,) of targets (K,) -> this share's part of the joint batch's loss, a scalar."""
        return weighted_token_loss(
            per_token,
            targets,
            pad=self._pad,
            nil=self._nil,
            nil_weight=self._training.nil_weight,
            normalisation=self._training.normalisation,
            weight_mean=exchange.mean,
            shares=exchange.shares,
        )


def weighted_token_loss(
    per_token: Tensor,
    targets: Tensor,
    *,
    pad: int,
    nil: int,
    nil_weight: float,
    normalisation: Normalisation = "weights",
    weight_mean: Callable[[Tensor], Tensor] = lambda total: total,
    shares: int = 1,
) -> Tensor:
    """Losses of single tokens, put together with weight λ on [NIL] and 1 elsewhere (Eq. 8–9).

    Args:
        per_token: (K,).
        targets: (K,).
        pad: token id of padding, which counts nothing.
        nil: token id of [NIL].
        nil_weight: λ.
        normalisation: ``weights`` divides by the summed weights; ``sum`` is Eq. 9 to the letter, whose scale grows
            with the batch and drowns the contrastive loss, which is a mean.
        weight_mean: takes the summed weights to their mean over the shares of the joint batch.
        shares: how many there are; the mean of their losses is the joint one.
    """
    weights = torch.where(targets == nil, nil_weight, 1.0).masked_fill(targets == pad, 0.0)
    total = (weights * per_token.float()).sum()
    return total * shares if normalisation == "sum" else total / weight_mean(weights.sum()).clamp(min=1e-8)


def binary_cross_entropy(logits: Tensor, targets: Tensor, *, count_mean: Callable[[Tensor], Tensor]) -> Tensor:
    """Binary cross-entropy of every tag.

    Args:
        logits: (B, K) float32.
        targets: (B, K), 1 where the video has the tag, else 0.
        count_mean: takes B to its mean over the shares of the joint batch.
    """
    total = functional.binary_cross_entropy_with_logits(logits, targets, reduction="sum")
    return total / count_mean(total.new_full((), len(logits)))


def asymmetric_loss(
    logits: Tensor,
    targets: Tensor,
    *,
    gamma_positive: float,
    gamma_negative: float,
    margin: float,
    count_mean: Callable[[Tensor], Tensor],
) -> Tensor:
    """Asymmetric loss (Ridnik et al., ICCV 2021, Eq. 4–7), with p = σ(logit) and p_m = max(p − m, 0).

    A tag that the video has costs −(1 − p)^γ+ · log p, one that it has not −p_m^γ− · log(1 − p_m). The gradient goes
    through the focusing weights too, as in the paper's Eq. 8–9. Arguments as in :func:`binary_cross_entropy`.
    """
    probability = logits.sigmoid()
    shifted = (probability - margin).clamp(min=0.0)
    # σ is exactly 0 or 1 far out; logsigmoid is not, and p_m stays at most 1 − m, so no logarithm meets a 0.
    positive = (1.0 - probability).pow(gamma_positive) * functional.logsigmoid(logits)
    negative = shifted.pow(gamma_negative) * torch.log1p(-shifted)
    total = -(targets * positive + (1.0 - targets) * negative).sum()
    return total / count_mean(total.new_full((), len(logits)))
