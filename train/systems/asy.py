"""``asy``: the head of ``bin`` with the asymmetric loss (Ridnik et al., ICCV 2021; Tables 1–2)."""

from __future__ import annotations

from torch import Tensor

from ..classification_losses import asymmetric_loss
from ..distributed import mean_over_shares
from .classifier import Classifier

GAMMA_POSITIVE, GAMMA_NEGATIVE, MARGIN = 0.0, 4.0, 0.05


class Asy(Classifier):
    """The many tags that a video does not have, and that the model does not think it has, cost next to nothing."""

    def loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Asymmetric loss with γ+ 0, γ− 4, m 0.05, summed over tags, divided by the batch."""
        return asymmetric_loss(
            logits,
            targets,
            gamma_positive=GAMMA_POSITIVE,
            gamma_negative=GAMMA_NEGATIVE,
            margin=MARGIN,
            count_mean=mean_over_shares,
        )
