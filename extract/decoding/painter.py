"""Decoded frames to RGB pictures as players show them: upright, on white where transparent, in standard dynamic range."""

from __future__ import annotations

from fractions import Fraction
from typing import cast

import numpy as np
from av.buffer import Buffer
from av.sidedata.sidedata import Type
from av.video.format import VideoFormat
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation, VideoReformatter
from PIL import Image

from .frame_reader import Shrink, shown_size
from .high_dynamic_range import HLG, PQ, in_standard_range
from .orientation import ON_ITS_SIDE, turn_of
from .still import on_white

MOST_SHRUNK = 1 << 26
"""Pixels of the largest picture that the decoder is asked to make of a frame; a strip would become endless."""


class Painter:
    """Makes pictures of frames.

    Attributes:
        aspect: width of a pixel of the last picture over its height; what is left to do for whoever resizes it.
    """

    def __init__(self, shrink: Shrink | None):
        self._shrink = shrink
        self._reformatter = VideoReformatter()
        self.aspect = 1.0

    def paint(self, frame: VideoFrame, stored_aspect: Fraction | None) -> Image.Image:
        """The picture of a frame whose stored pixels have this width over height."""
        turn = display_turn(frame)
        lying = turn in ON_ITS_SIDE
        aspect = pixel_aspect(stored_aspect)
        width, height = self._wanted(frame, aspect, lying)
        resized = (width, height) != (frame.width, frame.height)
        self.aspect = 1.0 if self._shrink is not None else 1 / aspect if lying else aspect
        image = self._rgb(frame, width, height, Interpolation.BICUBIC if resized else Interpolation.BILINEAR)
        image = in_standard_range(image, int(frame.color_trc))
        return image if turn is None else image.transpose(turn)

    def _wanted(self, frame: VideoFrame, aspect: float, lying: bool) -> tuple[int, int]:
        """(width, height) of the stored picture as the decoder is to give it."""
        size = frame.width, frame.height
        if self._shrink is None:
            return size
        shown = shown_size(size, aspect)
        wanted = self._shrink(*shown[::-1])[::-1] if lying else self._shrink(*shown)
        return wanted if wanted[0] * wanted[1] <= MOST_SHRUNK else shown

    def _rgb(self, frame: VideoFrame, width: int, height: int, way: Interpolation) -> Image.Image:
        clear = has_alpha(frame.format)
        channels = 4 if clear else 3
        # One thread: videos are decoded side by side.
        painted = self._reformatter.reformat(
            frame, width, height, "rgba" if clear else "rgb24", interpolation=way, threads=1
        )
        plane = painted.planes[0]
        rows = np.frombuffer(memoryview(plane), dtype=np.uint8).reshape(plane.height, -1)[:, : channels * plane.width]
        image = Image.fromarray(rows.reshape(plane.height, plane.width, channels))
        return on_white(image) if clear else image


def display_turn(frame: VideoFrame) -> Image.Transpose | None:
    """What makes the stored picture of a frame upright."""
    matrix: object = frame.side_data.get(cast(str, Type.DISPLAYMATRIX))  # PyAV's stubs say text
    return None if matrix is None else turn_of(bytes(cast(Buffer, matrix)))


def has_alpha(form: VideoFormat) -> bool:
    """Whether pictures of this format may be transparent in places; palettes may."""
    return form.has_palette or any(component.is_alpha for component in form.components)


def is_high_dynamic_range(transfer: int) -> bool:
    """Whether colours are coded with PQ or HLG, by number in ITU-T H.273."""
    return transfer in (PQ, HLG)


LEAST_STRETCH, MOST_STRETCH = 0.005, 16
"""A pixel that is nearer to square is square; one that is longer is a mistake in the file."""


def pixel_aspect(stated: Fraction | None) -> float:
    """Width of a pixel over its height; 1 where the file says nothing or nonsense."""
    if not stated or not 1 / MOST_STRETCH <= stated <= MOST_STRETCH or abs(stated - 1) < LEAST_STRETCH:
        return 1.0
    return float(stated)
