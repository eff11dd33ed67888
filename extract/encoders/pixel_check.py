"""That a pixel plan with normalisation gives the very pixels of the library's own transform."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from PIL import Image
from torch import Tensor

from ...data.errors import EncoderError
from .pixel_plan import PixelPlan

SIZES = ((256, 256), (333, 250), (121, 467), (90, 61))
"""Widths and heights of the pictures compared: square, wide, tall, smaller than most towers."""


def normalised(pixels: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """(n, H, W, 3) uint8 to (n, 3, H, W) float32 as ``ToTensor`` and ``Normalize`` of torchvision do."""
    scaled = pixels.permute(0, 3, 1, 2).to(torch.float32).div_(255)
    shift, scale = (torch.tensor(values, device=pixels.device).view(1, 3, 1, 1) for values in (mean, std))
    return scaled.sub_(shift).div_(scale)


def check_plan(
    plan: PixelPlan,
    mean: Sequence[float],
    std: Sequence[float],
    transform: Callable[[Image.Image], Tensor],
    pictures: Sequence[Image.Image],
) -> None:
    """Raises :class:`EncoderError` where the plan and the library's transform differ in any pixel."""
    for size, picture in zip(SIZES, pictures, strict=False):
        picture = picture.resize(size)
        ours = normalised(torch.from_numpy(plan(picture)).unsqueeze(0), mean, std)[0]
        theirs = transform(picture)
        if ours.shape != theirs.shape or not torch.equal(ours, theirs):
            raise EncoderError(
                f"the preprocessing of this model cannot be repeated exactly (a picture of {size[0]} × {size[1]} gives "
                f"other pixels than its library's transform); its settings were read as {plan.spec()}"
            )
