"""What the losses need to know of the other shares of a joint batch: their prompts, and the mean of a number over them.

The shares are those of several processes, and, within one, of its micro-batches (:mod:`optsg.train.loop.micro_batches`). A whole
batch in one process has no other share, and :data:`ALONE` gives everything back as it is. Gradients are scaled so that averaging them
over the shares gives the gradient of the joint batch in one process, but for rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor, distributed

T = TypeVar("T")


class Exchange(Protocol):
    """How the shares of a joint batch tell each other.

    What one share asks is matched with what the others ask by the order of the calls: losses make the same calls in the same
    order, whatever the share holds, and however often it is computed.

    Attributes:
        shares: how many there are.
    """

    @property
    def shares(self) -> int: ...  # noqa: D102

    def gather_rows(self, x: Tensor) -> Tensor:
        """Rows of all shares, in the same order in every share: (B, …) -> (ΣB, …). Shares may have different B.

        Every share computes the same joint loss from the gathered rows, so the gradient of its own rows is complete
        without any exchange on the way back.
        """
        ...

    def mean(self, x: Tensor) -> Tensor:
        """Mean of a scalar over the shares, without gradient."""
        ...

    def decide(self, make: Callable[[], T]) -> T:
        """What ``make`` gives, made once a step for a share, though a share may be computed twice (matching, for instance)."""
        ...


def process_count() -> int:
    """Number of processes that train together."""
    return distributed.get_world_size() if distributed.is_available() and distributed.is_initialized() else 1


class ProcessExchange:
    """Each process has one share: every so many of the joint batch's videos, beginning with the one of its number.

    Args:
        videos: of the joint batch; without their number the processes have any shares, and tell each other how large.
    """

    def __init__(self, videos: int | None = None):
        self._videos = videos

    @property
    def shares(self) -> int:
        """Number of processes."""
        return process_count()

    def gather_rows(self, x: Tensor) -> Tensor:
        """Rows of all processes."""
        if self.shares == 1:
            return x
        joint, start = gather_process_rows(x.detach(), self._lengths())
        return place_rows(x, joint, start, self.shares)

    def _lengths(self) -> list[int] | None:
        if self._videos is None:
            return None
        return [len(range(index, self._videos, self.shares)) for index in range(self.shares)]

    def mean(self, x: Tensor) -> Tensor:
        """Mean over the processes."""
        return x if self.shares == 1 else sum_over_processes(x) / self.shares

    def decide(self, make: Callable[[], T]) -> T:
        """Decided here: every process decides of its own share."""
        return make()


class Alone:
    """What is computed is a whole batch, whatever other processes do."""

    shares = 1

    def gather_rows(self, x: Tensor) -> Tensor:
        """The rows themselves."""
        return x

    def mean(self, x: Tensor) -> Tensor:
        """The number itself."""
        return x

    def decide(self, make: Callable[[], T]) -> T:
        """What ``make`` gives."""
        return make()


ALONE = Alone()


@torch.no_grad()
def gather_process_rows(x: Tensor, lengths: Sequence[int] | None = None) -> tuple[Tensor, int]:
    """Rows of all processes in order of their ranks, and where the own ones begin; no gradient.

    Args:
        lengths: rows of every process; without them the processes tell each other, and wait for it.
    """
    if process_count() == 1:
        return x, 0
    lengths = _row_counts(x) if lengths is None else lengths
    padded = x.new_zeros((max(lengths), *x.shape[1:]))
    padded[: len(x)] = x
    parts = [torch.empty_like(padded) for _ in lengths]
    distributed.all_gather(parts, padded)
    joint = torch.cat([part[:length] for part, length in zip(parts, lengths, strict=True)])
    return joint, sum(lengths[: distributed.get_rank()])


def _row_counts(x: Tensor) -> list[int]:
    counts = [torch.zeros(1, dtype=torch.int64, device=x.device) for _ in range(process_count())]
    distributed.all_gather(counts, torch.tensor([len(x)], device=x.device))
    return [int(count) for count in counts]


def sum_over_processes(x: Tensor) -> Tensor:
    """Sum of a tensor over the processes, without gradient."""
    total = x.detach().clone()
    if process_count() > 1:
        distributed.all_reduce(total)
    return total


def place_rows(x: Tensor, joint: Tensor, start: int, shares: int) -> Tensor:
    """``joint`` (ΣB, …), whose rows from ``start`` are x (B, …) with its gradient, made ``shares`` times larger."""
    placed: Tensor = _PlaceRows.apply(x, joint, start, shares)  # type: ignore[no-untyped-call]
    return placed


class _PlaceRows(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, joint: Tensor, start: int, shares: int) -> Tensor:
        ctx.start, ctx.count, ctx.shares = start, len(x), shares
        placed = joint.clone()
        placed[start : start + len(x)] = x
        return placed

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        return gradients[0][ctx.start : ctx.start + ctx.count] * ctx.shares, None, None, None
