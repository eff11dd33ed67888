"""An image tower as a library hands it over: what the two libraries have in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from PIL import Image
from torch import Tensor, nn

from .pixel_plan import PixelPlan

Call = Callable[[nn.Module, Tensor], Tensor]


@dataclass(frozen=True, kw_only=True)
class LoadedTower:
    """A frozen tower with everything needed to run it.

    Legend: n pictures, P patches of a picture, D and E widths.

    Attributes:
        module: float32, evaluation mode, on the CPU.
        pooled: (n, 3, H, W) normalised pixels to (n, D).
        patches: (n, 3, H, W) normalised pixels to (n, P, E).
        plan: picture to bytes.
        mean, std: of red, green and blue, on the scale from 0 to 1.
        transform: the library's own way from a picture to (3, H, W) normalised pixels.
        spec: the library's part of the encoder's description: its name and version, where the weights came from, flags.
        description: of the weights, for messages.
        features: what pooled and patch features are, for people.
    """

    module: nn.Module
    pooled: Call
    patches: Call
    plan: PixelPlan
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    transform: Callable[[Image.Image], Tensor]
    spec: Mapping[str, Any]
    description: str
    features: tuple[str, str]
