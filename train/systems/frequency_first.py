"""``frequency-first``: tags from frequent to rare, no prompts (Table 7, B)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .ordered_writer import OrderedWriter


class FrequencyFirst(OrderedWriter):
    """By training occurrences, ties in the order of the tag table."""

    order_name = "from frequent to rare"

    def order(self, tags: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
        """By rank."""
        del rng
        return tags[np.argsort(self.ranks[tags])]
