"""``bin``: one logit per training tag, binary cross-entropy (Tables 1–2)."""

from __future__ import annotations

from torch import Tensor

from ..classification_losses import binary_cross_entropy
from ..distributed import mean_over_shares
from .classifier import Classifier


class Bin(Classifier):
    """Every tag is a yes-or-no question of its own."""

    def loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Binary cross-entropy, summed over tags, divided by the batch."""
        return binary_cross_entropy(logits, targets, count_mean=mean_over_shares)
