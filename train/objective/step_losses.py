"""The losses of one step: the one record that goes from the objective through micro-batches and processes to the log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, reduce

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class StepLosses:
    """Losses of a batch.

    Attributes:
        parts: scalars by name, with gradients until :meth:`detached`; the loss is their sum.
        measures: numbers for the log that are no part of the loss; scalars on a device where they come from there.
    """

    parts: Mapping[str, Tensor]
    measures: Mapping[str, float | Tensor] = field(default_factory=dict)

    @property
    def total(self) -> Tensor:
        """The loss (Eq. 10, and what a system adds to it)."""
        return reduce(torch.add, self.parts.values())

    def numbers(self) -> dict[str, float]:
        """The loss as ``loss`` and its parts by name."""
        return {"loss": sum(self._values.values()), **self._values}

    def logged(self) -> dict[str, float]:
        """What the epoch's log line averages, by its name there; the loss is the sum of its parts."""
        return {**{f"train_{name}": value for name, value in self._values.items()}, **self._measured}

    @cached_property
    def _values(self) -> dict[str, float]:
        # At once, and once: each reading waits for the device.
        return dict(zip(self.parts, torch.stack([part.detach() for part in self.parts.values()]).tolist(), strict=True))

    @cached_property
    def _measured(self) -> dict[str, float]:
        return {name: float(value) for name, value in self.measures.items()}

    def detached(self) -> StepLosses:
        """The same losses, cut off from the graph of their gradients."""
        return StepLosses(parts={name: part.detach() for name, part in self.parts.items()}, measures=self.measures)

    @classmethod
    def mean(cls, shares: Sequence[StepLosses]) -> StepLosses:
        """Means over shares of a joint batch, without gradients: losses are scaled so that this is the joint loss."""
        first = shares[0]
        return cls(
            parts={name: torch.stack([share.parts[name].detach() for share in shares]).mean() for name in first.parts},
            measures={name: sum(share._measured[name] for share in shares) / len(shares) for name in first.measures},
        )
