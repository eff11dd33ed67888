"""What the losses need to know of other processes: all their prompts, and the mean of a number over them.

With one process, or none, both give their argument back. Gradients are scaled so that averaging them over the processes,
as DistributedDataParallel does, gives exactly the gradient of the joint batch in one process.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, distributed


def process_count() -> int:
    """Number of processes that train together."""
    return distributed.get_world_size() if distributed.is_available() and distributed.is_initialized() else 1


def gather_rows(x: Tensor) -> Tensor:
    """Rows of all processes, in order of their ranks: (B, …) -> (ΣB, …). Processes may have different B.

    Every process computes the same joint loss from the gathered rows, so the gradient of its own rows is complete
    without any exchange on the way back.
    """
    if process_count() == 1:
        return x
    gathered: Tensor = _GatherRows.apply(x)  # type: ignore[no-untyped-call]
    return gathered


def mean_over_processes(x: Tensor) -> Tensor:
    """Mean of a scalar over the processes, without gradient."""
    if process_count() == 1:
        return x
    total = x.detach().clone()
    distributed.all_reduce(total)
    return total / process_count()


class _GatherRows(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        counts = [torch.zeros(1, dtype=torch.int64, device=x.device) for _ in range(process_count())]
        distributed.all_gather(counts, torch.tensor([len(x)], device=x.device))
        lengths = [int(count) for count in counts]
        padded = x.new_zeros((max(lengths), *x.shape[1:]))
        padded[: len(x)] = x
        parts = [torch.empty_like(padded) for _ in lengths]
        distributed.all_gather(parts, padded)
        ctx.start = sum(lengths[: distributed.get_rank()])
        ctx.count = len(x)
        return torch.cat([part[:length] for part, length in zip(parts, lengths, strict=True)])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return gradients[0][ctx.start : ctx.start + ctx.count] * process_count()
