"""Mixed precision: a working copy of the weights in bfloat16, optimised in float32.

The forward and backward pass run on bfloat16 weights; gradients are taken over to float32 master weights, which AdamW
and the moving average see, and are rounded into the working copy again. Beside autocast this saves casting every weight
and activation in every step, which on a CPU costs more than the matrix products themselves.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .config import Precision
from .device import has_fast_bf16


def working_dtype(device: torch.device, precision: Precision) -> torch.dtype:
    """bfloat16 where asked for, or where ``auto`` finds that the device multiplies it fast; else float32."""
    if precision == "auto":
        precision = "bf16" if has_fast_bf16(device) else "fp32"
    return torch.bfloat16 if precision == "bf16" else torch.float32


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
        model.to(dtype)

    def collect_gradients(self) -> None:
        """Adds the working copy's gradients to the masters'; several small ones would vanish in bfloat16's sum."""
        if self.shared:
            return
        for master, parameter in zip(self.masters, self.parameters, strict=True):
            if parameter.grad is None:
                continue
            if master.grad is None:
                master.grad = parameter.grad.float()
            else:
                master.grad += parameter.grad
            parameter.grad = None

    @torch.no_grad()
    def publish(self, values: list[Tensor] | None = None) -> None:
        """Rounds the masters, or other ``values`` in their place, into the working copy."""
        if values is not None or not self.shared:
            source = values if values is not None else [master.detach() for master in self.masters]
            torch._foreach_copy_([parameter.detach() for parameter in self.parameters], source)
