"""The eight ways in which a stored picture may lie, from the display matrix of a video.

A matrix takes the point (x, y) of the stored picture to (a x + c y, b x + d y), with y downwards. Cameras write turns, front
cameras and editors also mirror images of them; players show all eight.
"""

from __future__ import annotations

import struct

from PIL import Image

Turn = Image.Transpose
ROTATIONS = frozenset({Turn.ROTATE_90, Turn.ROTATE_180, Turn.ROTATE_270})
"""Turns that are no mirror images."""

ON_ITS_SIDE = frozenset({Turn.ROTATE_90, Turn.ROTATE_270, Turn.TRANSPOSE, Turn.TRANSVERSE})
"""Turns that exchange width and height."""

_UPRIGHT = {(False, True): Turn.FLIP_TOP_BOTTOM, (True, False): Turn.FLIP_LEFT_RIGHT, (True, True): Turn.ROTATE_180}
_LYING = {
    (False, False): Turn.TRANSPOSE,
    (True, False): Turn.ROTATE_270,
    (False, True): Turn.ROTATE_90,
    (True, True): Turn.TRANSVERSE,
}


def turn_of(matrix: bytes) -> Image.Transpose | None:
    """What makes a stored picture upright, by its display matrix of nine 32-bit numbers; ``None``: nothing.

    A turn by another angle counts as the nearest of the eight.
    """
    if len(matrix) < 36:
        return None
    a, b, _, c, d, *_ = struct.unpack("=9i", matrix[:36])
    if abs(a) + abs(d) >= abs(b) + abs(c):
        return _UPRIGHT.get((a < 0, d < 0))
    return _LYING[c < 0, b < 0]
