"""A batch in several micro-batches with the loss of the whole, but for rounding (Gao et al., GradCache, RepL4NLP 2021).

Adding up the gradients of small batches is not the gradient of a large one: the contrastive loss compares every prompt with
all of them, and the other losses divide by what the whole batch has. So micro-batches are shares of the joint batch as those
of processes are, only one after the other. A first pass notes what each tells the others; a second pass computes each once
more, the others' part from the notes, with its gradient. Memory is that of one micro-batch, and the price one more forward
pass. Both passes draw the same dropout; what is decided (matching) is decided in the first.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeVar, cast

import torch
from torch import Tensor

from ..objective.shares import gather_process_rows, place_rows, process_count, sum_over_processes

T = TypeVar("T")


Kind = Literal["rows", "mean"]


def micro_batch_count(videos: int, processes: int, micro_batch: int) -> int:
    """Into how many micro-batches each process cuts its share: all alike, so that they exchange in step.

    Args:
        videos: of the joint batch, at least one for each process.
        micro_batch: most videos of a micro-batch, at least 2; 0 cuts nothing.
    """
    return -(-videos // (processes * micro_batch)) if micro_batch else 1


class FirstPass:
    """Notes what one micro-batch tells the others; it is told nothing yet, so its losses mean nothing."""

    def __init__(self, micro_batches: int):
        self.shares = process_count() * micro_batches
        self.told: list[tuple[Kind, Tensor]] = []
        self.decided: list[object] = []

    def gather_rows(self, x: Tensor) -> Tensor:
        """Notes rows."""
        self.told.append(("rows", x.detach()))
        return x

    def mean(self, x: Tensor) -> Tensor:
        """Notes a number."""
        self.told.append(("mean", x.detach()))
        return x

    def decide(self, make: Callable[[], T]) -> T:
        """Decides, and notes what."""
        made = make()
        self.decided.append(made)
        return made


class SecondPass:
    """One micro-batch, with what all of them told.

    Args:
        first: its first pass.
        joint: for each exchange, in order, the joint rows or the mean.
        starts: where in joint rows its own begin.
    """

    def __init__(self, first: FirstPass, joint: list[Tensor], starts: list[int]):
        self.shares = first.shares
        self.notes = first
        self._exchanges = iter(list(zip(first.told, joint, starts, strict=True)))
        self._decided = iter(first.decided)

    def gather_rows(self, x: Tensor) -> Tensor:
        """The joint rows, the own ones with their gradient."""
        _, joint, start = next(self._exchanges)
        return place_rows(x, joint, start, self.shares)

    def mean(self, x: Tensor) -> Tensor:
        """The mean."""
        del x
        return next(self._exchanges)[1]

    def decide(self, make: Callable[[], T]) -> T:
        """As in the first pass."""
        del make
        return cast(T, next(self._decided))


def second_passes(firsts: list[FirstPass]) -> list[SecondPass]:
    """Tells all micro-batches of all processes what all have told."""
    joints: list[Tensor] = []
    starts: list[list[int]] = []
    for notes in zip(*(first.told for first in firsts), strict=True):
        values = [value for _, value in notes]
        if notes[0][0] == "mean":
            joints.append(sum_over_processes(torch.stack(values).sum(0)) / firsts[0].shares)
            starts.append([0] * len(values))
        else:
            joint, start = gather_process_rows(torch.cat(values))
            joints.append(joint)
            before = [sum(len(value) for value in values[:number]) for number in range(len(values))]
            starts.append([start + rows for rows in before])
    return [SecondPass(first, joints, [row[number] for row in starts]) for number, first in enumerate(firsts)]
