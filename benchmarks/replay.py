"""Compilation as the host sees it with CUDA graphs, without a GPU: what was computed once is given again.

``torch.compile`` traces, guards and calls as ever; the compiled function behind it runs its operations once for each shape,
and afterwards copies its inputs to where they were and gives the same results. That is what a graph does, which computes
them anew behind one launch. Losses and gradients therefore stay what they were: it is good for times alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

_compile = torch.compile


def replaying_compile(function: Callable[..., Any], **options: Any) -> Callable[..., Any]:
    """``torch.compile`` with this backend in place of the mode that was asked for."""
    from torch._dynamo.backends.common import aot_autograd  # seconds of imports, for whoever compiles

    options.pop("mode", None)
    backend = aot_autograd(fw_compiler=_replayed, bw_compiler=_replayed)
    return _compile(function, backend=backend, **options)


def _replayed(graph: Any, example: Sequence[Any]) -> Callable[..., Any]:
    del example
    recorded: dict[Any, tuple[list[Tensor], list[int], Sequence[Any]]] = {}

    def call(*inputs: Any) -> list[Any]:
        shapes = tuple(tuple(value.shape) if isinstance(value, Tensor) else value for value in inputs)
        if shapes not in recorded:
            found = list(graph(*inputs))
            fresh = [place for place, value in enumerate(inputs) if isinstance(value, Tensor) and not _is_static(value)]
            recorded[shapes] = ([inputs[place].detach().clone() for place in fresh], fresh, found)
            return found
        kept, places, results = recorded[shapes]
        torch._foreach_copy_(kept, [inputs[place].detach() for place in places])
        return [value.detach() if isinstance(value, Tensor) else value for value in results]

    call._boxed_call = False  # type: ignore[attr-defined]
    return call


def _is_static(value: Tensor) -> bool:
    return isinstance(value, nn.Parameter)
