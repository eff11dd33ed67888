"""``random``: tags in an order that is drawn anew in every step, no prompts (``method.md`` §6, beside B)."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from .ordered_writer import OrderedWriter


class RandomOrder(OrderedWriter):
    """There is no natural order to evaluate with, so that validation draws one too, from its own fixed seed."""

    order_name = "in random order"
    follows_pins: ClassVar[bool] = True

    def order(self, tags: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
        """A permutation."""
        return rng.permutation(tags)
