"""Animated WebP and AVIF through Pillow: FFmpeg takes the first for a single picture, and leaves out transparency of the second."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import PIL
from PIL import Image, features

from ...data.errors import DecodeError
from .file_kinds import ANIMATED_AVIF, LONGEST_HEAD, WEBP_FLAGS, is_animated
from .frame_reader import Shrink, first_bytes, source_of
from .high_dynamic_range import in_standard_range, transfer_of
from .still import flatten

ALPHA = 0x10
"""The bit of the header of an extended WebP for transparency."""

SHORTEST = 1
"""Milliseconds that a frame of no duration counts, so that times increase."""

PILLOW_ERRORS = (OSError, SyntaxError, ValueError, EOFError, RuntimeError, Image.DecompressionBombError)


def is_for_pillow(payload: Path | bytes) -> bool:
    """Whether the file begins as an animated WebP does, or as an animated AVIF where Pillow reads such."""
    head = first_bytes(payload, 12)
    if head[4:] == b"ftyp" + ANIMATED_AVIF:
        return bool(features.check("avif"))
    return head[:4] == b"RIFF" and head[8:] == b"WEBP" and is_animated(payload)


class PillowReader:
    """A :class:`~optsg.extract.decoding.frame_reader.FrameReader` on Pillow.

    Raises:
        DecodeError: Pillow cannot read it.
    """

    backend = f"pillow {PIL.__version__}"
    oddity = ""
    aspect = 1.0

    def __init__(self, payload: Path | bytes, shrink: Shrink | None = None):
        self.flaws: list[str] = []
        self._shrink = shrink
        data = payload if isinstance(payload, bytes) else payload.read_bytes()
        self._kind = "AVIF" if data[4:8] == b"ftyp" else "WEBP"
        durations = self._durations_of_avif(data) if self._kind == "AVIF" else self._durations_of_webp(data)
        if not durations:
            raise DecodeError(f"it is an animated {self._kind.lower()} without a single frame")
        ends = np.cumsum(np.maximum(durations, SHORTEST)) / 1000.0
        self.times = np.concatenate([[0.0], ends[:-1]])
        self.duration = float(ends[-1])

    def _durations_of_webp(self, data: bytes) -> list[int]:
        durations, end = _durations(data)
        if end < 8 + int.from_bytes(data[4:8], "little"):
            self.flaws.append("truncated: it ends before its container says that it does")
            data = data[:4] + (end - 8).to_bytes(4, "little") + data[8:end]  # libwebp opens whole files only
        # Encoders leave out the mark of transparency where only the frames do not fill the picture.
        self._data = data[:WEBP_FLAGS] + bytes([data[WEBP_FLAGS] | ALPHA]) + data[WEBP_FLAGS + 1 :]
        return durations

    def _durations_of_avif(self, data: bytes) -> list[int]:
        """Milliseconds of every frame up to the first that cannot be decoded: Pillow knows them with the pixels."""
        self._data, durations = data, list[int]()
        try:
            with self._open() as movie:
                for position in range(getattr(movie, "n_frames", 1)):
                    movie.seek(position)
                    movie.load()
                    durations.append(int(movie.info.get("duration", 0)))
        except PILLOW_ERRORS as error:
            if not durations:
                raise self._unreadable(error) from error
            self.flaws.append(f"frame {len(durations)} cannot be read ({_reason(error)})")
        return durations

    def _unreadable(self, error: Exception) -> DecodeError:
        return DecodeError(f"it is an animated {self._kind.lower()} that cannot be read ({_reason(error)})")

    def read(self, positions: Sequence[int]) -> Iterator[tuple[int, Image.Image]]:
        """Frames at ``positions``, read one after the other because each is painted over the one before."""
        wanted = set(positions)
        position = -1
        try:
            with self._open() as movie:
                for position in range(min(len(self.times), max(wanted) + 1)):
                    movie.seek(position)
                    movie.load()
                    if position in wanted:
                        yield position, self._prepared(movie)
        except PILLOW_ERRORS as error:
            if position <= 0:
                raise self._unreadable(error) from error
            self.flaws.append(f"frame {position} cannot be read ({_reason(error)})")

    def _open(self) -> Image.Image:
        with warnings.catch_warnings():
            # As for images: a very large picture is legitimate; Pillow still refuses one that would exhaust the memory.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            return Image.open(source_of(self._data), formats=[self._kind])

    def _prepared(self, frame: Image.Image) -> Image.Image:
        image = in_standard_range(flatten(frame), transfer_of(self._data[:LONGEST_HEAD]))
        return image if self._shrink is None else image.resize(self._shrink(*image.size), Image.Resampling.BICUBIC)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Does nothing: no file stays open between two passes."""


def _reason(error: Exception) -> str:
    return str(error).split(" <_io")[0]


def _durations(data: bytes) -> tuple[list[int], int]:
    """Milliseconds of every whole frame, from the headers of the ``ANMF`` chunks, and where the last whole chunk ends."""
    durations: list[int] = []
    position = 12
    while position + 8 <= len(data):
        length = int.from_bytes(data[position + 4 : position + 8], "little")
        following = position + 8 + length + length % 2
        if following > len(data):
            break
        if data[position : position + 4] == b"ANMF" and length >= 16:
            durations.append(int.from_bytes(data[position + 20 : position + 23], "little"))
        position = following
    return durations, position
