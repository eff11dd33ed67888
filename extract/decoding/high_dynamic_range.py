"""Pictures of high dynamic range (PQ and HLG, in the primaries of BT.2020) to the range and the colours of all others.

Encoders were trained on pictures of standard range, and so washed out would be what they see otherwise. The steps are those of
FFmpeg's usual chain ``zscale=t=linear:npl=203, zscale=p=bt709, tonemap=mobius:desat=0, zscale=t=bt709``, which
PyAV's wheels lack; put into a table of colours, they are Pillow's to apply, the same on every machine.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

Colours = NDArray[np.float64]
"""(…, 3) red, green, blue."""

PQ, HLG = 16, 18
"""Numbers of the transfer characteristics in ITU-T H.273."""

UNSPECIFIED = 2

WHITE, PEAK = 203.0, 1000.0
"""cd/m² of the white of standard range (ITU-R BT.2408), and of the brightest that still differs from white."""

KNEE = 0.3
"""Share of white below which brightness stays as it is (FFmpeg's default for ``mobius``)."""

DISPLAY_GAMMA = 2.4
"""Of displays of standard range (ITU-R BT.1886)."""

GRID = 65
"""Points of the table along each side, the most that Pillow takes; between them it interpolates."""

BT2020_TO_BT709 = np.array(
    [[1.660491, -0.587641, -0.072850], [-0.124550, 1.132900, -0.008349], [-0.018151, -0.100579, 1.118730]]
)
LUMINANCE = np.array([0.2627, 0.6780, 0.0593])
"""Of BT.2020's red, green and blue."""


def transfer_of(head: bytes) -> int:
    """The number of the transfer characteristic that a PNG (chunk ``cICP``), AVIF or HEIC (box ``colr``) states; 2 for none.

    Of several pictures in a file the first one that states something counts, which is the one that is shown.
    """
    if head[:4] == b"\x89PNG":
        before = head.partition(b"IDAT")[0]
        stated = before.partition(b"cICP")[2][1:2]
    elif head[4:8] == b"ftyp":
        stated = head.partition(b"colrnclx")[2][2:4]
    else:
        stated = b""
    return int.from_bytes(stated, "big") or UNSPECIFIED


def in_standard_range(image: Image.Image, transfer: int) -> Image.Image:
    """An RGB picture tone-mapped where its transfer characteristic is one of high dynamic range."""
    return image.filter(tone_map(transfer)) if transfer in (PQ, HLG) else image


@cache
def tone_map(transfer: int) -> ImageFilter.Color3DLUT:
    """The filter for pictures whose colours are coded with ``transfer``, :data:`PQ` or :data:`HLG`."""
    side = np.linspace(0.0, 1.0, GRID)
    blue, green, red = np.meshgrid(side, side, side, indexing="ij")  # red varies fastest
    coded = np.stack([red, green, blue], axis=-1)
    light = _pq_light(coded) if transfer == PQ else _hlg_light(coded)
    narrow = np.clip(light @ BT2020_TO_BT709.T, 0.0, None)
    table = _compressed(narrow) ** (1 / DISPLAY_GAMMA)
    return ImageFilter.Color3DLUT(GRID, table.astype(np.float32).ravel())


def _pq_light(coded: Colours) -> Colours:
    """SMPTE ST 2084: to light in units of white."""
    m1, m2, c1, c2, c3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128
    root = coded ** (1 / m2)
    light: Colours = 10_000.0 / WHITE * (np.maximum(root - c1, 0.0) / (c2 - c3 * root)) ** (1 / m1)
    return light


def _hlg_light(coded: Colours) -> Colours:
    """ITU-R BT.2100: to light on a display of :data:`PEAK` (system gamma 1.2), in units of white."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    scene = np.where(coded <= 0.5, coded**2 / 3, (np.exp((coded - c) / a) + b) / 12)
    brightness = np.maximum(scene @ LUMINANCE, 1e-9)
    light: Colours = PEAK / WHITE * scene * (brightness**0.2)[..., None]
    return light


def _compressed(light: Colours) -> Colours:
    """Up to the knee as it is, from there on a hyperbola that reaches white at the peak; hues stay."""
    peak = PEAK / WHITE
    a = -KNEE * KNEE * (peak - 1) / (KNEE * KNEE - 2 * KNEE + peak)
    b = (KNEE * KNEE - 2 * KNEE * peak + peak) / (peak - 1)
    brightest = np.maximum(light.max(axis=-1, keepdims=True), 1e-9)
    scale = (b * b + 2 * b * KNEE + KNEE * KNEE) / (b - a)
    mapped = np.where(brightest <= KNEE, brightest, scale * (brightest + a) / (brightest + b))
    narrow: Colours = np.clip(light * (mapped / brightest), 0.0, 1.0)
    return narrow
