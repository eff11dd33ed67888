"""Images through Pillow, HEIC with the help of pillow-heif, and the thumbnails kept for reports."""

from __future__ import annotations

import io
import warnings
from functools import cache
from pathlib import Path

import numpy as np
import pillow_heif
from PIL import Image, ImageOps, PngImagePlugin
from PIL.TiffTags import TAGS_V2

from ...data.errors import DecodeError
from .file_kinds import JPEG_XL, LONGEST_HEAD, kind_of
from .frame_reader import check_present, first_bytes
from .high_dynamic_range import in_standard_range, transfer_of

pillow_heif.register_heif_opener()

THUMBNAIL_SIZE = 160
"""Longest side in pixels."""

BITS_PER_SAMPLE = next(number for number, tag in TAGS_V2.items() if tag.name == "BitsPerSample")
"""The TIFF tag."""

TEXT_TOO_LONG = "Decompressed data too large"
"""How Pillow refuses a PNG with a text or colour profile of more than a megabyte."""


def open_image(payload: Path | bytes) -> Image.Image:
    """Reads an image upright (EXIF orientation applied), as RGB on white where it is transparent, in standard range.

    Raises:
        DecodeError: it is no image that Pillow reads, or it is cut off.
    """
    check_present(payload)
    try:
        try:
            image = _opened(io.BytesIO(payload) if isinstance(payload, bytes) else payload)
        except ValueError as error:
            if not str(error).startswith(TEXT_TOO_LONG):
                raise
            data = payload if isinstance(payload, bytes) else payload.read_bytes()
            image = _opened(io.BytesIO(without_texts(data)))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DecodeError(_reason(payload, error)) from error
    return in_standard_range(image, transfer_of(first_bytes(payload, LONGEST_HEAD)))


def _opened(source: Path | io.BytesIO) -> Image.Image:
    with warnings.catch_warnings():
        # A very large picture is legitimate here; Pillow still refuses one that would exhaust the memory.
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        with Image.open(source, formats=_formats()) as image:
            depth = bit_depth(image)
            return flatten(ImageOps.exif_transpose(image), depth)


PROGRAMS = frozenset({"EPS"})
"""Formats that are programs: Pillow has them run by another program where there is one, Ghostscript, which no limit of ours stops."""


@cache
def _formats() -> tuple[str, ...]:
    """What Pillow reads itself."""
    Image.init()
    return tuple(name for name in Image.ID if name not in PROGRAMS)


def _reason(payload: Path | bytes, error: Exception) -> str:
    if str(error).startswith("cannot identify"):
        kind = kind_of(payload)
        if kind == JPEG_XL:
            return f"it is {kind}, which cannot be read; convert it, for instance with djxl"
        if kind is not None and not kind.endswith("picture"):
            return f"it is {kind}, not an image, whatever its name says"
        return (
            f"it cannot be read as an image ({'unknown format' if kind is None else f'{kind} that Pillow cannot read'})"
        )
    return f"it cannot be read as an image ({str(error).split(' <_io')[0]})"


def without_texts(png: bytes) -> bytes:
    """A PNG without its texts and its colour profile, chunks that say nothing about pixels."""
    kept, place = [png[:8]], 8
    while place + 12 <= len(png):
        end = place + 12 + int.from_bytes(png[place : place + 4], "big")
        if png[place + 4 : place + 8] not in (b"tEXt", b"zTXt", b"iTXt", b"iCCP"):
            kept.append(png[place:end])
        place = end
    return b"".join(kept)


def bit_depth(image: Image.Image) -> int:
    """Bits of a sample of an opened image that is not yet loaded: 1 to 32."""
    if isinstance(image, PngImagePlugin.PngImageFile) and image.tile:
        stated = image.tile[0].args
        raw = str(stated[0] if isinstance(stated, tuple) else stated)  # such as "L;4" or "RGB;16B"
        digits = "".join(filter(str.isdigit, raw.partition(";")[2]))
        return int(digits) if digits else 8
    if bits := getattr(image, "tag_v2", {}).get(BITS_PER_SAMPLE):
        return int(bits[0] if isinstance(bits, tuple) else bits)
    return {"1": 1, "I": 16, "F": 32}.get(image.mode, 16 if image.mode.startswith("I;16") else 8)


def flatten(image: Image.Image, depth: int = 8) -> Image.Image:
    """RGB; transparent parts become white, as on a page.

    Args:
        depth: bits of a sample in the file, of which Pillow keeps 8 for colours.
    """
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return _grey_to_rgb(image, depth)
    key = image.info.get("transparency")
    if image.mode in ("1", "L", "RGB") and key is not None:
        image.info["transparency"] = _eight_bit_key(key, depth)
    if image.mode == "RGB" and key is None:
        return image.copy()
    if not image.has_transparency_data:
        return image.convert("RGB")
    return on_white(image.convert("RGBA"))


def on_white(image: Image.Image) -> Image.Image:
    """RGB of an RGBA picture: the one background of everything that is transparent, videos included."""
    if image.getchannel("A").getextrema() == (255, 255):
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


def _eight_bit_key(key: int | tuple[int, ...], depth: int) -> int | tuple[int, ...]:
    """The transparent colour as Pillow has the pixels: it scales these to 8 bits and leaves the colour as it was."""

    def scaled(value: int) -> int:
        return value >> 8 if depth == 16 else value * 255 // ((1 << depth) - 1) if 1 < depth < 8 else value

    return tuple(map(scaled, key)) if isinstance(key, tuple) else scaled(key)


def _grey_to_rgb(image: Image.Image, depth: int) -> Image.Image:
    """Grey pictures of up to 16 bits, scaled by their bit depth: Pillow's own conversion would clip them to white.

    Longer numbers, and those with a fraction, have no depth that programs agree on: white is the first of the usual values
    that they do not exceed.
    """
    grey = np.asarray(image, dtype=np.float64)
    usual = (1.0, 255.0, 65535.0) if image.mode == "F" else (255.0, 65535.0, float((1 << depth) - 1))
    highest = np.nanmax(grey, initial=0.0)
    top = float((1 << depth) - 1) if depth <= 16 else next((top for top in usual if highest <= top), usual[-1])
    light = np.nan_to_num(np.clip(grey * (255.0 / top), 0, 255)).astype(np.uint8)
    key = image.info.get("transparency")
    if isinstance(key, int):
        light[grey == key] = 255
    return Image.fromarray(light).convert("RGB")
