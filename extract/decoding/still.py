"""Images through Pillow, and the thumbnails kept for reports."""

from __future__ import annotations

import io
import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from ...data.errors import DecodeError
from .frame_reader import check_present

THUMBNAIL_SIZE = 160
"""Longest side in pixels."""


def open_image(payload: Path | bytes) -> Image.Image:
    """Reads an image upright (EXIF orientation applied), as RGB on white where it is transparent.

    Raises:
        DecodeError: it is no image that Pillow reads, or it is cut off.
    """
    check_present(payload)
    try:
        with warnings.catch_warnings():
            # A very large picture is legitimate here; Pillow still refuses one that would exhaust the memory.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(payload) if isinstance(payload, bytes) else payload) as image:
                return flatten(ImageOps.exif_transpose(image))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        reason = str(error).split(" <_io")[0] if not str(error).startswith("cannot identify") else "unknown format"
        raise DecodeError(f"it cannot be read as an image ({reason})") from error


def flatten(image: Image.Image) -> Image.Image:
    """RGB; transparent parts become white, as on a page."""
    if image.mode == "RGB":
        return image.copy()
    if image.mode in ("I", "I;16", "I;16B", "F"):
        image = _to_eight_bits(image)
    if not image.has_transparency_data:
        return image.convert("RGB")
    return on_white(image.convert("RGBA"))


def on_white(image: Image.Image) -> Image.Image:
    """RGB of an RGBA picture: the one background of everything that is transparent, videos included."""
    if image.getextrema()[3] == (255, 255):
        return image.convert("RGB")
    page = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(page, image).convert("RGB")


def thumbnail(image: Image.Image) -> bytes:
    """A JPEG of at most :data:`THUMBNAIL_SIZE` pixels a side."""
    small = image.copy()
    small.thumbnail((THUMBNAIL_SIZE, THUMBNAIL_SIZE), reducing_gap=2.0)
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=80)
    return buffer.getvalue()


def _to_eight_bits(image: Image.Image) -> Image.Image:
    """Grey pictures of 16 or 32 bits, scaled: Pillow's own conversion would clip them to white."""
    grey = np.asarray(image, dtype=np.float32)
    top = 65535.0 if grey.max(initial=0) > 255 else 255.0
    return Image.fromarray(np.clip(grey * (255.0 / top), 0, 255).astype(np.uint8))
