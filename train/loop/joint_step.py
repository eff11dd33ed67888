"""The gradients of a joint batch, of which each process computes its share, at once or in micro-batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from ...data.batching import Batch, JointBatch, collate
from ...data.store import FeatureStore
from ..config import TrainingConfig
from ..objective.shares import ALONE, Exchange, ProcessExchange
from ..objective.step_losses import StepLosses
from ..systems.system import System
from .micro_batches import FirstPass, micro_batch_count, second_passes
from .optimiser import MasterWeights
from .processes import Processes


class JointStep:
    """Computes gradients. What a step draws at random follows from the seed and the step's number.

    Args:
        store: where the batches come from.
        system: after ``prepare``.
        weights: of the system's model; they take the gradients.
    """

    def __init__(
        self,
        store: FeatureStore,
        system: System,
        weights: MasterWeights,
        training: TrainingConfig,
        processes: Processes,
    ):
        self._store, self._system, self._weights = store, system, weights
        self._training, self._processes = training, processes

    def gradients(self, step: int, rows: NDArray[np.int64]) -> StepLosses:
        """Leaves the joint batch's gradients in the masters of every process; returns its losses, without gradients.

        Args:
            step: its number, from 0.
            rows: of the joint batch in the store.
        """
        losses = self._share(step, rows)
        self._processes.average_gradients(self._weights.masters)
        return losses

    def _share(self, step: int, rows: NDArray[np.int64]) -> StepLosses:
        index, count = self._processes.index, self._processes.count
        if len(rows) < count:
            # There is not a video for each: all compute the whole, with the same dropout.
            return self._compute(collate(self._store, rows), step, ALONE, process=0)
        parts = micro_batch_count(len(rows), count, self._training.micro_batch)
        if count == parts == 1:
            return self._compute(collate(self._store, rows), step, ALONE, process=0)
        tags = tuple(self._store.tags(int(row)) for row in rows)
        batches = [
            replace(collate(self._store, rows[places]), joint=JointBatch(tags=tags, places=places))
            for places in np.array_split(np.arange(index, len(rows), count), parts)
        ]
        if parts == 1:
            losses = self._compute(batches[0], step, ProcessExchange(), process=index)
        else:
            losses = self._compute_in_parts(batches, step)
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


def mean_over(processes: Processes, losses: StepLosses) -> StepLosses:
    """Means over the processes, without gradients; all have losses of the same names."""
    if processes.count == 1:
        return losses
    names = [*losses.parts, *losses.measures]
    sums = processes.sums([*(part.item() for part in losses.parts.values()), *losses.measures.values()])
    means = dict(zip(names, (total / processes.count for total in sums), strict=True))
    return StepLosses(
        parts={name: torch.tensor(means[name]) for name in losses.parts},
        measures={name: means[name] for name in losses.measures},
    )
