"""The losses of the classifiers over the training tags: pure functions of tensors.

Both are summed over the tags and divided by the number of videos, so that ``bin`` and ``asy`` differ in the loss of one
tag of one video and in nothing else. Legend: B videos, K training tags.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional


def binary_cross_entropy(logits: Tensor, targets: Tensor, *, count_mean: Callable[[Tensor], Tensor]) -> Tensor:
    """Binary cross-entropy of every tag.

    Args:
        logits: (B, K) float32.
        targets: (B, K), 1 where the video has the tag, else 0.
        count_mean: takes B to its mean over the shares of the joint batch.
    """
    total = functional.binary_cross_entropy_with_logits(logits, targets, reduction="sum")
    return total / count_mean(total.new_tensor(len(logits)))


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
    return total / count_mean(total.new_tensor(len(logits)))
