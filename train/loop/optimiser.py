"""AdamW with its schedule, and the moving average of the weights (paper §4.3), in mixed precision.

A working copy of the weights in bfloat16 is optimised in float32: the forward and backward pass run on it; gradients are taken
over to float32 master weights, which AdamW and the moving average see, and are rounded into the working copy again. Beside
autocast this saves casting every weight and activation in every step, which on a CPU costs more than the matrix products
themselves.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from ..config import TrainingConfig

PRETRAINED = ("title_encoder.model.", "tag_model.model.")
"""What the names of a pre-trained text model's parameters begin with."""


AVERAGE_EVERY = 4
"""Most steps between two updates of the moving average; its decay is raised to their number, so its horizon is the same."""


def average_interval(steps_per_epoch: int) -> int:
    """Steps between two updates of the moving average: an epoch of a small store is not to end without one."""
    return min(AVERAGE_EVERY, steps_per_epoch)


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


@torch.no_grad()
def clip_gradients(parameters: Sequence[nn.Parameter], most: float) -> None:
    """Scales all gradients alike so that together they are at most ``most`` long; the host does not ask how long they are."""
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    if gradients:
        length = torch.linalg.vector_norm(torch.stack(list(torch._foreach_norm(gradients))))
        torch._foreach_mul_(gradients, (most / (length + 1e-6)).clamp(max=1.0))


class AveragedWeights:
    """Exponential moving average of the trained parameters; validated and kept instead of the last step's weights.

    The decay starts low, min(decay, (1 + step) / (10 + step)), so that the random start is soon forgotten.

    Args:
        decay: of one step.
        every: steps between two updates.
    """

    def __init__(self, masters: Sequence[nn.Parameter], decay: float, *, every: int = AVERAGE_EVERY):
        self.decay, self.every = decay, every
        self._masters = [master.detach() for master in masters]
        self.values: list[Tensor] = [master.clone() for master in self._masters]

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Takes in the weights after optimiser step number ``step``, counted from 0."""
        if (step + 1) % self.every == 0:
            decay = min(self.decay, (1 + step) / (10 + step)) ** self.every
            torch._foreach_lerp_(self.values, self._masters, 1 - decay)


class MasterWeights:
    """Float32 masters of a model's trained parameters; in float32 they are the parameters themselves.

    Attributes:
        names: of the trained parameters, in the model's order.
        masters: float32 leaves for the optimiser, in the same order.
    """

    def __init__(self, model: nn.Module, dtype: torch.dtype):
        trained = [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]
        self.names = [name for name, _ in trained]
        self.parameters = [parameter for _, parameter in trained]
        self.shared = dtype == torch.float32
        copies = [nn.Parameter(parameter.detach().float().clone()) for parameter in self.parameters]
        self.masters: list[nn.Parameter] = self.parameters if self.shared else copies
        self._gradients: list[Tensor | None] = [None] * len(self.masters)
        model.to(dtype)

    def collect_gradients(self) -> None:
        """Adds the working copy's gradients to the masters'; several small ones would vanish in bfloat16's sum."""
        if self.shared:
            return
        first: list[tuple[Tensor, Tensor]] = []
        more: list[tuple[Tensor, Tensor]] = []
        for number, (master, parameter) in enumerate(zip(self.masters, self.parameters, strict=True)):
            gradient, parameter.grad = parameter.grad, None
            if gradient is None:
                continue
            if master.grad is not None:
                more.append((master.grad, gradient))
                continue
            # Kept from step to step: a few kernels write them all.
            kept = self._gradients[number]
            if kept is None:
                kept = self._gradients[number] = torch.empty_like(master, memory_format=torch.preserve_format)
            master.grad = kept
            first.append((kept, gradient))
        if first:
            torch._foreach_copy_([kept for kept, _ in first], [gradient for _, gradient in first])
        if more:
            torch._foreach_add_([kept for kept, _ in more], [gradient for _, gradient in more])

    @torch.no_grad()
    def publish(self, values: list[Tensor] | None = None) -> None:
        """Rounds the masters, or other ``values`` in their place, into the working copy."""
        if values is not None or not self.shared:
            source = values if values is not None else [master.detach() for master in self.masters]
            torch._foreach_copy_([parameter.detach() for parameter in self.parameters], source)

    @contextmanager
    def lent(self, values: list[Tensor] | None) -> Iterator[None]:
        """Inside, the model computes with other values; ``None`` lends nothing."""
        if values is None:
            yield
            return
        live = [master.detach().clone() for master in self.masters]
        self.publish(values)
        try:
            yield
        finally:
            self.publish(live)
