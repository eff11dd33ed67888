"""The mean frame and the mean patch of a video, standardised, in few dimensions. Legend: B videos, D width of both together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from ...data.batching import Batch
from ..model.tag_head import mean_over_valid
from .ngrams import main_directions

DIMENSIONS = 128

SOFTENING = 0.001
"""Added to σ: a dimension in which all pictures are alike says nothing."""


class MeanPictures(NamedTuple):
    """Mean frames and patches (B, dim), and which videos have any (B,)."""

    frames: Tensor
    has_frames: Tensor
    patches: Tensor
    has_patches: Tensor

    @classmethod
    def of(cls, batch: Batch) -> MeanPictures:
        """Of a batch, on the CPU."""
        parts = [
            part.cpu()
            for values, mask in ((batch.frames, batch.frame_mask), (batch.patches, batch.patch_mask))
            for part in (mean_over_valid(values.float(), mask), mask.any(dim=1))
        ]
        return cls(*parts)

    @classmethod
    def joined(cls, parts: Sequence[MeanPictures]) -> MeanPictures:
        """Of many batches, one after the other."""
        return cls(*(torch.cat(same) for same in zip(*parts, strict=True)))


@dataclass(frozen=True, kw_only=True)
class Pictures:
    """How pictures become vectors.

    Attributes:
        mean, scale: (D,) of mean frames and mean patches side by side; scale is 0 where no training video has any.
        directions: (D, P) that carry most of the training videos' pictures.
    """

    mean: Tensor
    scale: Tensor
    directions: Tensor

    @classmethod
    def of_corpus(cls, pictures: MeanPictures, rng: np.random.Generator) -> Pictures:
        """Fitted to the training videos' pictures."""
        standards = [_standard(pictures.frames, pictures.has_frames), _standard(pictures.patches, pictures.has_patches)]
        mean, scale = (torch.cat(parts) for parts in zip(*standards, strict=True))
        plain = cls(mean=mean, scale=scale, directions=torch.empty(len(mean), 0))
        directions = main_directions(plain._standardised(pictures).numpy(), DIMENSIONS, rng)
        return cls(mean=mean, scale=scale, directions=torch.from_numpy(directions))

    def vectors(self, pictures: MeanPictures) -> NDArray[np.float32]:
        """(B, P) the mean frames and patches of B videos along the P directions."""
        found: NDArray[np.float32] = (self._standardised(pictures) @ self.directions).numpy()
        return found

    def _standardised(self, pictures: MeanPictures) -> Tensor:
        """(B, D), each of the two of length 1, or 0 for videos without."""
        width = pictures.frames.shape[1]
        parts = [
            functional.normalize((values - self.mean[place]) * self.scale[place], dim=1) * some[:, None]
            for values, some, place in (
                (pictures.frames, pictures.has_frames, slice(0, width)),
                (pictures.patches, pictures.has_patches, slice(width, None)),
            )
        ]
        return torch.cat(parts, dim=1)

    def tensors(self) -> dict[str, Tensor]:
        """What :meth:`from_tensors` reads."""
        return {
            "pictures.mean": self.mean,
            "pictures.scale": self.scale,
            "pictures.directions": self.directions.half(),
        }

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> Pictures:
        """Raises KeyError or ValueError where they are missing or do not fit each other."""
        mean, scale, directions = (tensors[f"pictures.{name}"].float() for name in ("mean", "scale", "directions"))
        if mean.ndim != 1 or directions.ndim != 2 or not mean.shape == scale.shape == directions.shape[:1]:
            raise ValueError("its pictures' tensors do not fit each other")
        return cls(mean=mean, scale=scale, directions=directions)


def _standard(values: Tensor, some: Tensor) -> tuple[Tensor, Tensor]:
    found = values[some]
    if not len(found):
        return torch.zeros(values.shape[1]), torch.zeros(values.shape[1])
    return found.mean(0), 1 / (found.std(0, correction=0) + SOFTENING)
