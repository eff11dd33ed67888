"""The model's layers compiled for training: what a layer does between its matrix products becomes a few kernels.

Normalisation, dropout, sums and biases read and write the same numbers again and again; on a fast GPU that takes as long as the
products themselves. What is compiled is the forward pass of one layer, and with it its backward pass: the layers of a stack
are alike, so that a handful of compilations serves all of them, for any lengths. Compiled as a whole the model would take
minutes to begin. Weights keep their names, and what runs outside training is not compiled.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from ..model.bert import BertLayer
from ..model.layers import CrossLayer

LAYERS = (BertLayer, CrossLayer)


def compile_layers(model: nn.Module) -> None:
    """Compiles, in place, the forward passes of all layers of the model; each kind is compiled when it is first used."""
    for module in model.modules():
        if isinstance(module, LAYERS):
            # Lengths differ from batch to batch: one compilation serves all of them.
            compiled = torch.compile(module.forward, dynamic=True)
            # An attribute of the instance: state dict and module tree stay as they are.
            module.forward = _in_training(module, compiled, module.forward)  # type: ignore[method-assign]


def _in_training(part: nn.Module, compiled: Callable[..., Any], plain: Callable[..., Any]) -> Callable[..., Any]:
    def forward(*positional: Any, **named: Any) -> Any:
        return (compiled if part.training else plain)(*positional, **named)

    return forward
