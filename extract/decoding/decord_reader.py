"""Videos through decord, which seeks to the wanted frames (the only import of decord).

decord numbers frames by the container's index. Which frame that is, only its time stamps tell
(``get_frame_timestamp``); for some files even they do not describe the frames that come out, without any error, so a
file is read with decord only after the checks of ``preflight.py``.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import decord
import numpy as np
from PIL import Image

from ...data.errors import DecodeError
from .frame_reader import source_of

decord.logging.set_level(decord.logging.QUIET)

DISTRIBUTIONS = ("decord2", "decord")
"""What may have installed the module: the original, or its continuation with newer codecs."""


def describe_decord() -> str:
    """Which distribution the imported module belongs to, for instance ``decord 0.6.0 (libavcodec 58.35.100)``.

    Neither distribution can tell the version of its FFmpeg; the file names of the libraries in its wheel do. Without
    them, as in a build from source, the parenthesis is left out.
    """
    module = Path(decord.__file__).resolve()
    name, version = "decord", str(decord.__version__)
    for candidate in DISTRIBUTIONS:
        # Both may be present, one hiding the other, or one left behind by the other's removal.
        for found in metadata.distributions(name=candidate):
            if Path(str(found.locate_file("decord/__init__.py"))).resolve() == module:
                name, version = candidate, found.version
    folders = (module.parent.parent / f"{name}.libs", module.parent / ".dylibs", module.parent)
    libraries = [path.name for folder in folders if folder.is_dir() for path in folder.glob("*avcodec*")]
    codec = next(filter(None, (re.search(r"\d+\.\d+\.\d+", library) for library in libraries)), None)
    return f"{name} {version}" + (f" (libavcodec {codec[0]})" if codec else "")


class DecordReader:
    """A :class:`~optsg.extract.decoding.frame_reader.FrameReader` on decord. Memory grows while it is open: close it promptly."""

    backend = describe_decord()
    oddity = ""
    aspect = 1.0

    def __init__(self, payload: Path | bytes):
        self.flaws: list[str] = []  # what decord cannot read whole, it does not read
        try:
            # One thread: videos are decoded side by side, which is faster than many threads on one.
            with _silent():
                self._video: Any = decord.VideoReader(source_of(payload), num_threads=1)
            stamps = np.asarray(self._video.get_frame_timestamp(range(len(self._video))), dtype=np.float64)
        except (decord.DECORDError, RuntimeError, AssertionError, IndexError, ValueError) as error:
            raise DecodeError(f"decord cannot open it: {_first_line(error)}") from error
        self.times = stamps[:, 0] - stamps[0, 0]
        self.duration = float(stamps[-1, 1] - stamps[0, 0])

    def read(self, positions: Sequence[int]) -> Iterator[tuple[int, Image.Image]]:
        """Frames at ``positions``, one at a time so that memory does not depend on how many are wanted."""
        for position in positions:
            try:
                with _silent():
                    pixels = self._video[int(position)].asnumpy()
            except (decord.DECORDError, RuntimeError, StopIteration, ValueError) as error:
                raise DecodeError(f"decord fails at frame {position}: {_first_line(error)}") from error
            if pixels.ndim != 3 or pixels.shape[2] != 3:
                # Seen on narrow videos: rows padded for alignment come out as a picture of another shape.
                raise DecodeError(f"decord gives frame {position} as an array of shape {pixels.shape}")
            yield int(position), Image.fromarray(pixels)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._video = None  # the native reader has no close(); it goes with its last reference


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Keeps the library from writing to standard error, which its own log level does not prevent everywhere."""
    before, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(before, 2)
        os.close(before)
        os.close(nowhere)


def _first_line(error: Exception) -> str:
    """The message without the native stack trace that decord appends."""
    lines = str(error).strip().splitlines()
    return lines[0].split("] ")[-1] if lines else type(error).__name__
