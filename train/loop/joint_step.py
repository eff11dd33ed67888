"""The gradients of a joint batch, of which each process computes its share, at once or in micro-batches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from ...data.batching import Batch, JointBatch, collate
from ...data.store import FeatureStore
from ..config import TrainingConfig
from ..objective.shares import alone, exchange_through
from ..systems.system import StepLosses, System
from .micro_batches import FirstPass, micro_batch_count, second_passes
from .optimiser import MasterWeights
from .processes import Processes


@dataclass(frozen=True, kw_only=True)
class StepValues:
    """The losses of a batch and other measures, as numbers by name."""

    losses: Mapping[str, float]
    measures: Mapping[str, float]

    @classmethod
    def mean(cls, shares: Sequence[StepValues]) -> StepValues:
        """Means over shares of a joint batch: the losses are scaled so that this is the joint loss."""
        first, count = shares[0], len(shares)
        return cls(
            losses={name: sum(share.losses[name] for share in shares) / count for name in first.losses},
            measures={name: sum(share.measures[name] for share in shares) / count for name in first.measures},
        )

    def mean_over(self, processes: Processes) -> StepValues:
        """Means over the processes; all have the same names."""
        if processes.count == 1:
            return self
        names = [*self.losses, *self.measures]
        sums = processes.sums([*self.losses.values(), *self.measures.values()])
        means = dict(zip(names, (total / processes.count for total in sums), strict=True))
        return StepValues(
            losses={name: means[name] for name in self.losses}, measures={name: means[name] for name in self.measures}
        )


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

    def gradients(self, step: int, rows: NDArray[np.int64]) -> StepValues:
        """Leaves the joint batch's gradients in the masters of every process; returns its losses.

        Args:
            step: its number, from 0.
            rows: of the joint batch in the store.
        """
        values = self._share(step, rows)
        self._processes.average_gradients(self._weights.masters)
        return values

    def _share(self, step: int, rows: NDArray[np.int64]) -> StepValues:
        index, count = self._processes.index, self._processes.count
        if len(rows) < count:
            # There is not a video for each: all compute the whole, with the same dropout.
            with alone():
                return self._compute(collate(self._store, rows), step, process=0)
        parts = micro_batch_count(len(rows), count, self._training.micro_batch)
        if count == parts == 1:
            return self._compute(collate(self._store, rows), step, process=0)
        tags = tuple(self._store.tags(int(row)) for row in rows)
        batches = [
            replace(collate(self._store, rows[places]), joint=JointBatch(tags=tags, places=places))
            for places in np.array_split(np.arange(index, len(rows), count), parts)
        ]
        values = self._compute(batches[0], step, process=index) if parts == 1 else self._compute_in_parts(batches, step)
        return values.mean_over(self._processes)

    def _compute_in_parts(self, batches: Sequence[Batch], step: int) -> StepValues:
        process, parts = self._processes.index, len(batches)
        firsts = [FirstPass(parts) for _ in batches]
        for part, (batch, first) in enumerate(zip(batches, firsts, strict=True)):
            # With gradients that nobody asks for: the kernels are then those of the second pass, and so are the prompts.
            with exchange_through(first):
                self._losses(batch, step, process, part)
        values = []
        for part, (batch, second) in enumerate(zip(batches, second_passes(firsts), strict=True)):
            with exchange_through(second):
                values.append(self._compute(batch, step, process=process, part=part, parts=parts))
        return StepValues.mean(values)

    def _compute(self, batch: Batch, step: int, *, process: int, part: int = 0, parts: int = 1) -> StepValues:
        losses = self._losses(batch, step, process, part)
        (losses.total if parts == 1 else losses.total / parts).backward()
        self._weights.collect_gradients()
        return StepValues(losses=losses.values(), measures=losses.measures)

    def _losses(self, batch: Batch, step: int, process: int, part: int) -> StepLosses:
        # Dropout differs between processes and micro-batches; all else is drawn alike for the joint batch.
        torch.manual_seed(self._training.seed * 1_000_003 + step + (process << 40) + (part << 52))
        rng = np.random.default_rng([self._training.seed, step, 1])
        return self._system.losses(batch.to(self._processes.device), rng)
