"""AdamW with its schedule, and the moving average of the weights (paper §4.3)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from .config import TrainingConfig

PRETRAINED = ("title_encoder.model.", "tag_model.model.")
"""What the names of a pre-trained text model's parameters begin with."""

AVERAGE_EVERY = 4
"""Steps between two updates of the moving average; its decay is raised to this power, so its horizon is the same."""


def build_optimiser(names: Sequence[str], masters: Sequence[nn.Parameter], config: TrainingConfig) -> torch.optim.AdamW:
    """AdamW over the trained parameters; a text model's at their own rate, vectors without weight decay."""
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for name, parameter in zip(names, masters, strict=True):
        groups.setdefault((name.startswith(PRETRAINED), parameter.ndim >= 2), []).append(parameter)
    settings = []
    for (pretrained, is_matrix), parameters in groups.items():
        peak = config.pretrained_learning_rate if pretrained else config.learning_rate
        decay = config.weight_decay if is_matrix else 0.0
        settings.append({"params": parameters, "lr": peak, "peak_lr": peak, "weight_decay": decay})
    return torch.optim.AdamW(settings, betas=(0.9, 0.98), fused=True)


def learning_rate_factor(step: int, total_steps: int, warmup: float) -> float:
    """Share of the peak learning rate: up in a line over the first ``warmup`` of the run, then down on a cosine to 0."""
    rising = max(1, round(total_steps * warmup))
    if step < rising:
        return (step + 1) / rising
    return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - rising) / max(1, total_steps - rising))))


def set_learning_rate(optimiser: torch.optim.Optimizer, factor: float) -> None:
    """Sets every group to ``factor`` times its peak."""
    for group in optimiser.param_groups:
        group["lr"] = group["peak_lr"] * factor


class AveragedWeights:
    """Exponential moving average of the trained parameters; validated and kept instead of the last step's weights.

    The decay starts low, min(decay, (1 + step) / (10 + step)), so that the random start is soon forgotten.
    """

    def __init__(self, masters: Sequence[nn.Parameter], decay: float):
        self.decay = decay
        self._masters = [master.detach() for master in masters]
        self.values: list[Tensor] = [master.clone() for master in self._masters]

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Takes in the weights after optimiser step number ``step``, counted from 0."""
        if (step + 1) % AVERAGE_EVERY == 0:
            decay = min(self.decay, (1 + step) / (10 + step)) ** AVERAGE_EVERY
            torch._foreach_lerp_(self.values, self._masters, 1 - decay)
