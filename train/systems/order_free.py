"""``order-free``: the model chooses the order of the tags itself (Chen et al., AAAI 2018; ``method.md`` §6).

Legend: B videos, L tags.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...data.batching import Batch
from ..distributed import decide
from ..model_order import model_order
from ..tag_sequence import MAX_TARGET_TOKENS, tag_sequence
from .ordered_writer import OrderedWriter
from .system import StepLosses


class OrderFree(OrderedWriter):
    """A rollout without gradient finds the order, one teacher-forced pass learns it; a tag is never written twice."""

    order_name = "in the model's own order"
    repeats = False

    def order(self, tags: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
        """From frequent to rare: what decides between tags that the model scores alike."""
        del rng
        return tags[np.argsort(self.ranks[tags])]

    def losses(self, batch: Batch, rng: np.random.Generator) -> StepLosses:
        """One part, ``generation``; the video is encoded once for both passes."""
        tags = [self.order(usable, rng).tolist() for usable in self.usable_tags(batch, rng)]
        (features, mask), pieces = self.model.encode(batch), self.targets.pieces
        ordered = decide(lambda: model_order(self.model.decoder, features, mask, tags, pieces))
        sequences = [tag_sequence(chosen, pieces, MAX_TARGET_TOKENS) for chosen in ordered]
        loss = self.model.sequence_loss(features, mask, sequences, self.config.training)
        return StepLosses(parts={"generation": loss})
