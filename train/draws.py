"""What is drawn at random for a video in a step, beside dropout: it depends on the step and the video alone.

So a step draws the same however its videos are shared out over processes and micro-batches.
"""

from __future__ import annotations

import numpy as np

from ..data.batching import Batch


class VideoDraws:
    """Generators of random numbers, one for each video of a batch; each is made only when it is asked for.

    Args:
        rng: the step's; one number is taken from it.
        batch: its rows in the store tell its videos apart, their places where there is no store.
    """

    def __init__(self, rng: np.random.Generator, batch: Batch):
        self._key = int(rng.integers(2**63))
        self._rows = np.arange(len(batch)) if batch.rows is None else batch.rows

    def __getitem__(self, number: int) -> np.random.Generator:
        return np.random.Generator(np.random.Philox(key=[self._key, int(self._rows[number])]))

    def __len__(self) -> int:
        return len(self._rows)
