"""``rare-first``: tags from rare to frequent, no prompts (``method.md`` §6, beside B)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .ordered_writer import OrderedWriter


class RareFirst(OrderedWriter):
    """The order of ``frequency-first``, backwards."""

    order_name = "from rare to frequent"

    def order(self, tags: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
        """By rank, the last one first."""
        del rng
        return tags[np.argsort(-self.ranks[tags])]
