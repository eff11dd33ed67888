"""The model's parts compiled for training: a GPU is given each part's forward and backward pass by one launch.

Launched one by one, a step of ``base`` has two thousand kernels, which cost the host more than they cost a fast GPU. What is
compiled are the parts between which nothing is decided: title encoder, hybrid encoder, prompt encoder, decoder. Matching
stands between the last two and stays as it is. Weights keep their names, and what runs outside training is not compiled.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

PARTS = ("title_encoder", "hybrid_encoder", "prompt_encoder", "decoder")


def compile_parts(model: nn.Module, device: torch.device) -> None:
    """Compiles, in place, the forward passes of the parts that the model has; each is compiled when it is first used."""
    # CUDA graphs are of one shape each; lengths differ from batch to batch, so one compilation serves all of them.
    mode = "reduce-overhead" if device.type == "cuda" else "default"
    for name in PARTS:
        part = getattr(model, name, None)
        if isinstance(part, nn.Module):
            compiled = torch.compile(part.forward, mode=mode, dynamic=True)
            # An attribute of the instance: state dict and module tree stay as they are.
            part.forward = _in_training(part, compiled, part.forward)


def _in_training(part: nn.Module, compiled: Callable[..., Any], plain: Callable[..., Any]) -> Callable[..., Any]:
    def forward(*positional: Any, **named: Any) -> Any:
        return (compiled if part.training else plain)(*positional, **named)

    return forward
