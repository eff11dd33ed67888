"""The gradients of a joint batch, of which each process computes its share, at once or in micro-batches."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.attention import SDPBackend, sdpa_kernel

from ...data.batching import Batch, JointBatch, collate
from ...data.store import FeatureStore
from ..config import TrainingConfig
from ..objective.shares import ALONE, Exchange, ProcessExchange
from ..objective.step_losses import StepLosses
from ..systems.system import System
from .cuda_graphs import CudaGraphs
from .micro_batches import FirstPass, micro_batch_count, second_passes
from .optimiser import MasterWeights
from .processes import Processes


@dataclass(frozen=True, kw_only=True)
class PreparedStep:
    """What a process needs of a joint batch before its step begins; nothing of it depends on the model or is random.

    Attributes:
        videos: of the joint batch.
        batches: the process's micro-batches, on the CPU; the whole joint batch where ``is_whole``.
        is_whole: whether the process computes the whole, and exchanges nothing with others.
    """

    videos: int
    batches: tuple[Batch, ...]
    is_whole: bool


class JointStep:
    """Computes gradients. What a step draws at random follows from the seed and the step's number.

    Args:
        store: where the batches come from.
        system: after ``prepare``.
        weights: of the system's model; they take the gradients.
        graphs: recordings of the model's parts, where there are any.
    """

    def __init__(
        self,
        store: FeatureStore,
        system: System,
        weights: MasterWeights,
        training: TrainingConfig,
        processes: Processes,
        graphs: CudaGraphs | None = None,
    ):
        self._store, self._system, self._weights = store, system, weights
        self._training, self._processes, self._graphs = training, processes, graphs

    def prepare(self, rows: NDArray[np.int64]) -> PreparedStep:
        """Reads and pads this process's share of the joint batch of the store's ``rows``; any thread may do it, one at a time."""
        index, count = self._processes.index, self._processes.count
        parts = micro_batch_count(len(rows), count, self._training.micro_batch)
        # Where there is not a video for each process, all compute the whole.
        is_whole = len(rows) < count or count == parts == 1
        if is_whole:
            batches = [collate(self._store, rows)]
        else:
            tags = self._store.tags_of(rows)
            batches = [
                replace(collate(self._store, rows[places]), joint=JointBatch(tags=tags, places=places))
                for places in np.array_split(np.arange(index, len(rows), count), parts)
            ]
        if self._graphs is not None:
            batches = [batch.with_few_shapes() for batch in batches]
        if self._processes.device.type == "cuda":
            with self._graphs.recording if self._graphs is not None else nullcontext():
                batches = [batch.pinned() for batch in batches]
        return PreparedStep(videos=len(rows), batches=tuple(batches), is_whole=is_whole)

    def gradients(self, step: int, prepared: PreparedStep) -> StepLosses:
        """Leaves the joint batch's gradients in the masters of every process; returns its losses, without gradients.

        Args:
            step: its number, from 0.
        """
        if self._graphs is not None:
            self._graphs.begin_step()
        with quick_attention(self._processes.device):
            losses = self._share(step, prepared)
        self._processes.average_gradients(self._weights.masters)
        return losses

    def _share(self, step: int, prepared: PreparedStep) -> StepLosses:
        if prepared.is_whole:
            # Where all processes compute it, with the same dropout.
            return self._compute(prepared.batches[0], step, ALONE, process=0)
        if len(prepared.batches) == 1:
            exchange = ProcessExchange(prepared.videos)
            losses = self._compute(prepared.batches[0], step, exchange, process=self._processes.index)
        else:
            losses = self._compute_in_parts(prepared.batches, step)
        return mean_over(self._processes, losses)

    def _compute_in_parts(self, batches: Sequence[Batch], step: int) -> StepLosses:
        process, parts = self._processes.index, len(batches)
        firsts = [FirstPass(parts) for _ in batches]
        for part, (batch, first) in enumerate(zip(batches, firsts, strict=True)):
            # With gradients that nobody asks for: the kernels are then those of the second pass, and so are the prompts.
            self._losses(batch, step, first, process, part)
        return StepLosses.mean(
            [
                self._compute(batch, step, second, process=process, part=part, parts=parts)
                for part, (batch, second) in enumerate(zip(batches, second_passes(firsts), strict=True))
            ]
        )

    def _compute(
        self, batch: Batch, step: int, exchange: Exchange, *, process: int, part: int = 0, parts: int = 1
    ) -> StepLosses:
        losses = self._losses(batch, step, exchange, process, part)
        (losses.total if parts == 1 else losses.total / parts).backward()
        self._weights.collect_gradients()
        return losses.detached()

    def _losses(self, batch: Batch, step: int, exchange: Exchange, process: int, part: int) -> StepLosses:
        # Dropout differs between processes and micro-batches; all else is drawn alike for the joint batch.
        torch.manual_seed(self._training.seed * 1_000_003 + step + (process << 40) + (part << 52))
        rng = np.random.default_rng([self._training.seed, step, 1])
        return self._system.losses(batch.to(self._processes.device), rng, exchange)


def quick_attention(device: torch.device) -> AbstractContextManager[None]:
    """Inside, CUDA attends by PyTorch's memory-efficient kernels.

    At the lengths of titles, frames and tags they are quicker than cuDNN's with a mask, and backward than flash attention.
    """
    if device.type != "cuda":
        return nullcontext()
    kernels: AbstractContextManager[None] = sdpa_kernel([SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH])
    return kernels


def mean_over(processes: Processes, losses: StepLosses) -> StepLosses:
    """Means over the processes, without gradients; all have losses of the same names."""
    if processes.count == 1:
        return losses
    names = [*losses.parts, *losses.measures]
    means = processes.means([*losses.parts.values(), *losses.measures.values()])
    found = dict(zip(names, means, strict=True))
    return StepLosses(
        parts={name: found[name] for name in losses.parts}, measures={name: found[name] for name in losses.measures}
    )
