"""From a video or image file to upright RGB pictures with their times.

decord reads the videos that pass its preflight, PyAV all others and every one on which decord fails.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..data.errors import DecodeError
from .decord_reader import DecordReader
from .frame_reader import FrameReader
from .preflight import may_try_decord, same_times
from .pyav_reader import PyavReader
from .sampling import Sampling, choose_frames
from .still import open_image

Picture = TypeVar("Picture")


@dataclass(frozen=True, kw_only=True)
class DecodedVideo(Generic[Picture]):
    """The sampled frames of one video.

    Attributes:
        images: M pictures, or what was made of them.
        times: (M,) seconds from the first frame of the video.
        duration: seconds.
        middle: the picture in the middle of ``images``.
        backend: the decoder and its version.
        note: what was odd about the file, or ``""``.
    """

    images: list[Picture]
    times: NDArray[np.float32]
    duration: float
    middle: Image.Image
    backend: str
    note: str


def decode_video(payload: Path | bytes, *, max_frames: int = 60, fps: float = 1.0) -> DecodedVideo[Image.Image]:
    """Frames of a video at ``fps``, at most ``max_frames`` spread over it (rule: ``sampling.py``).

    Raises:
        DecodeError: it is no video or no frame can be decoded; the message starts with the path.
    """
    try:
        return decode_video_with(lambda image: image, payload, Sampling(fps=fps, max_frames=max_frames))
    except DecodeError as error:
        raise _with_path(error, payload) from error


def decode_image(payload: Path | bytes) -> Image.Image:
    """An image, upright and RGB.

    Raises:
        DecodeError: it is no readable image; the message starts with the path.
    """
    try:
        return open_image(payload)
    except DecodeError as error:
        raise _with_path(error, payload) from error


def decode_video_with(
    convert: Callable[[Image.Image], Picture], payload: Path | bytes, sampling: Sampling
) -> DecodedVideo[Picture]:
    """As :func:`decode_video`, with every frame converted as soon as it is decoded, so that few full frames are held.

    Raises:
        DecodeError: as in :func:`decode_video`, without the path.
    """
    careful = PyavReader(payload)
    if may_try_decord(careful.facts):
        try:
            with DecordReader(payload) as quick:
                if same_times(careful.times, quick.times):
                    return _sample(quick, convert, sampling)
        except DecodeError:
            pass  # PyAV reads many files on which decord fails; the backend that served is recorded
    with careful:
        return _sample(careful, convert, sampling)


def _sample(
    reader: FrameReader, convert: Callable[[Image.Image], Picture], sampling: Sampling
) -> DecodedVideo[Picture]:
    chosen = choose_frames(reader.times, sampling)
    images: list[Picture] = []
    kept: list[int] = []
    middle: Image.Image | None = None
    for position, image in reader.read(chosen.tolist()):
        if len(images) <= len(chosen) // 2:
            middle = image
        images.append(convert(image))
        kept.append(position)
    if middle is None:
        raise DecodeError("its video stream holds no frame that can be decoded")
    return DecodedVideo(
        images=images,
        times=reader.times[kept].astype(np.float32),
        duration=reader.duration,
        middle=middle,
        backend=reader.backend,
        note=_note(reader.note, len(kept), len(chosen)),
    )


def _note(note: str, kept: int, planned: int) -> str:
    if kept < planned:
        note = f"{kept} of {planned} frames could be decoded" + (f"; {note}" if note else "")
    return note


def _with_path(error: DecodeError, payload: Path | bytes) -> DecodeError:
    return error if isinstance(payload, bytes) else DecodeError(f"{payload}: {error}")
