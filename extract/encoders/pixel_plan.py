"""From an upright RGB picture to the pixels that an image tower sees, without torch.

Decoding processes carry this plan instead of a library's transform, so that they need neither torch nor its memory, and
hand over bytes instead of floats. Normalisation follows where the tower runs. The plan repeats the evaluation transforms
of open_clip and timm exactly: ``check_plan`` (``pixel_check.py``) compares both whenever an
encoder is opened for the first time (``kept_checks.py``).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ...data.errors import EncoderError

ResizeMode = Literal["shortest", "covering", "longest", "squash"]
"""``shortest``: the shorter side gets the size; ``covering``: the smallest that covers a size that is not square;
``longest``: the largest that fits into the size; ``squash``: exactly the size, whatever the shape."""

_FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}

MOST_RESIZED = 1 << 24
"""Pixels of the largest picture that is resized whole before it is cut."""

FILTER_REACH = 3
"""Pixels on either side that the widest filter, lanczos, looks at."""


@dataclass(frozen=True, kw_only=True)
class PixelPlan:
    """Resize, then cut or fill up to the size of the tower.

    Attributes:
        mode: how the picture gets its size.
        size: (height, width) that it is resized to, as ``mode`` says.
        crop: (height, width) of the result.
        interpolation: nearest, bilinear, bicubic or lanczos.
        fill: colour where the picture is smaller than ``crop``, as (red, green, blue).
    """

    mode: ResizeMode
    size: tuple[int, int]
    crop: tuple[int, int]
    interpolation: str
    fill: tuple[int, int, int] = (0, 0, 0)

    def __post_init__(self) -> None:
        if self.mode not in get_args(ResizeMode) or self.interpolation not in _FILTERS:
            raise EncoderError(
                f"pictures cannot be resized by {self.mode!r} with the filter {self.interpolation!r}; "
                f"known are {', '.join(get_args(ResizeMode))} with {', '.join(_FILTERS)}"
            )

    @classmethod
    def from_spec(cls, spec: Mapping[str, Any]) -> PixelPlan:
        """The plan that :meth:`spec` describes."""
        tuples = {name: tuple(spec[name]) for name in ("size", "crop", "fill")}
        return cls(mode=spec["mode"], interpolation=spec["interpolation"], **tuples)

    def spec(self) -> dict[str, Any]:
        """The plan in JSON types, as an encoder's description holds it."""
        return asdict(self)

    def __call__(self, picture: Image.Image, shown: tuple[int, int] | None = None) -> NDArray[np.uint8]:
        """(H, W, 3) bytes of an RGB picture, which is shown at another (width, height) where its pixels are not square."""
        size = self.resized(*(shown or picture.size))
        if size[0] * size[1] > MOST_RESIZED:
            picture = self._middle(picture, size)
        elif size != picture.size:
            picture = picture.resize(size, _FILTERS[self.interpolation])
        return np.array(self._cropped(picture), dtype=np.uint8)

    def _middle(self, picture: Image.Image, size: tuple[int, int]) -> Image.Image:
        """What the crop will take of a long strip resized to ``size``, with a margin, without the rest of it."""
        kept, box = [*size], [0.0, 0.0, *map(float, picture.size)]
        for axis, room in enumerate(self.crop[::-1]):
            scale = picture.size[axis] / size[axis]
            margin = math.ceil(FILTER_REACH * max(1.0, 1.0 / scale)) + 1
            # An even number is cut off, so that halves are rounded as without this.
            first = max(0, (size[axis] - room) // 2 - margin) // 2 * 2
            kept[axis] = size[axis] - 2 * first
            box[axis], box[axis + 2] = first * scale, (first + kept[axis]) * scale
        return picture.resize((kept[0], kept[1]), _FILTERS[self.interpolation], box=(box[0], box[1], box[2], box[3]))

    def resized(self, width: int, height: int) -> tuple[int, int]:
        """(width, height) that a picture of this width and height is resized to."""
        rows, columns = self.size
        if self.mode == "squash":
            return columns, rows
        if self.mode == "shortest":
            # torchvision cuts off the fraction of the longer side, the two other modes round.
            longer = int(rows * max(width, height) / min(width, height))
            return (rows, longer) if width <= height else (longer, rows)
        ratios = height / rows, width / columns
        ratio = max(ratios) if self.mode == "longest" else min(ratios)
        return max(1, round(width / ratio)), max(1, round(height / ratio))

    def _cropped(self, picture: Image.Image) -> Image.Image:
        rows, columns = self.crop
        width, height = picture.size
        if width < columns or height < rows:
            page = Image.new("RGB", (max(width, columns), max(height, rows)), self.fill)
            page.paste(picture, (max(0, columns - width) // 2, max(0, rows - height) // 2))
            picture, (width, height) = page, page.size
        # Python's rounding of halves to even numbers is part of what torchvision does.
        left, top = round((width - columns) / 2), round((height - rows) / 2)
        return picture.crop((left, top, left + columns, top + rows))
