"""An epoch's losses, added up without waiting for the device in every step."""

from __future__ import annotations

import math

from ...data.errors import DivergedError
from ..objective.step_losses import StepLosses
from .saved_states import TrainingProgress

MOST_UNREAD = 64
"""Steps whose losses stay on the device before they are read."""


class LossSums:
    """Takes in steps' losses; reads them from the device when the sums are needed, or when many have come together.

    The sums are the same as if each were read at once: they are added up in the order of the steps.
    """

    def __init__(self, progress: TrainingProgress):
        self._progress = progress
        self._unread: list[StepLosses] = []

    def add(self, losses: StepLosses) -> None:
        """Adds the losses of a step."""
        self._progress.epoch_steps += 1
        self._unread.append(losses)
        if len(self._unread) >= MOST_UNREAD:
            self.read()

    def read(self) -> None:
        """Adds what is unread to the progress.

        Raises:
            DivergedError: a loss is no finite number.
        """
        sums = self._progress.epoch_sums
        for losses in self._unread:
            if not math.isfinite(losses.numbers()["loss"]):
                raise DivergedError
            for name, value in losses.logged().items():
                sums[name] = sums.get(name, 0.0) + value
        self._unread.clear()
