"""Models whose weights are not drawn at random, because they are read from a file afterwards."""

from __future__ import annotations

from typing import Any

from torch import nn
from torch.overrides import TorchFunctionMode

DRAWS = frozenset({"normal_", "uniform_", "trunc_normal_", "kaiming_uniform_", "kaiming_normal_", "xavier_uniform_"})
"""Functions of PyTorch and of ``torch.nn.init`` that draw."""


class NothingDrawn(TorchFunctionMode):
    """Leaves parameters as they are that would be drawn at random: a file is read into them.

    Drawing takes longer than reading, and for what has no memory (device ``meta``) PyTorch imports its compiler to "draw" it.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Calls a function of PyTorch, unless it draws."""
        kwargs = kwargs or {}
        if getattr(func, "__name__", "") in DRAWS:
            tensor = args[0] if args else kwargs["tensor"]
            if isinstance(tensor, nn.Parameter) or tensor.is_meta:
                return tensor
        return func(*args, **kwargs)
