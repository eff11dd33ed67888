"""The losses of OP-TSG (paper Eq. 2–10).

Legend: B videos, N prompts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ..model.matching import NO_TAG
from .shares import share_count


@dataclass(frozen=True, kw_only=True)
class Losses:
    """Losses of a batch.

    Attributes:
        contrastive: Eq. 5, scalar.
        generation: Eq. 9, scalar.
        recognition: binary cross-entropy of the tag head, where there is one, scalar.
        prompts_used: how many of the N prompts were matched to a real tag at least once in the batch.
    """

    contrastive: Tensor
    generation: Tensor
    prompts_used: int
    recognition: Tensor | None = None

    @property
    def total(self) -> Tensor:
        """Eq. 10, and recognition."""
        total = self.contrastive + self.generation
        return total if self.recognition is None else total + self.recognition


def prompts_used(assignment: NDArray[np.int64], joint: Tensor) -> int:
    """How many prompts have a tag in some video: of the own assignment (B, N), or of all shares' (ΣB, N) where there are more."""
    matched = assignment if share_count() == 1 else joint.cpu().numpy()
    return int(np.any(matched != NO_TAG, axis=0).sum())
