"""From a video or image file to upright RGB pictures with their times.

Animated WebP and AVIF go to Pillow; of the rest decord reads the videos that pass its preflight and of which nearly every packet is
needed (``packets.py``), and PyAV all others and every one on which decord fails.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ...data.errors import DecodeError
from ...data.media import FeatureStatus
from .decord_reader import DecordReader
from .frame_reader import FrameReader, Shrink, as_shown, check_present, shown_size
from .packets import may_try_decord, mostly_needed, same_times
from .pillow_reader import PillowReader, is_for_pillow
from .pyav_reader import PyavReader
from .sampling import Sampling, choose_frames
from .still import open_image

Picture = TypeVar("Picture")

Convert = Callable[[Image.Image, tuple[int, int]], Picture]
"""What to make of a picture that is shown at this (width, height), which is not its own where its pixels are not square."""


@dataclass(frozen=True, kw_only=True)
class DecodedVideo(Generic[Picture]):
    """The sampled frames of one video.

    Attributes:
        images: M pictures, or what was made of them.
        times: (M,) seconds from the first frame of the video.
        duration: seconds.
        middle: the picture in the middle of ``images``.
        backend: the decoder, its version and its FFmpeg's, for instance ``pyav 18.1.0 (FFmpeg 8.1.2)``.
        status: ``partial`` where frames that should be there could not be had, or not whole: the file is truncated, a
            packet or frame before the last wanted one is damaged, a later frame stands in for a wanted one, or fewer
            came than were planned. A stated length or frame rate that is wrong costs nothing and is ``ok``, and so is
            damage that no wanted frame needs.
        note: why it is partial, or what is odd although nothing is missing, or ``""``.
    """

    images: list[Picture]
    times: NDArray[np.float32]
    duration: float
    middle: Image.Image
    backend: str
    status: FeatureStatus
    note: str


def decode_video(payload: Path | bytes, *, max_frames: int = 60, fps: float = 1.0) -> DecodedVideo[Image.Image]:
    """Frames of a video at ``fps``, at most ``max_frames`` spread over it (rule: ``sampling.py``).

    Raises:
        DecodeError: it is no video or no frame can be decoded; the message starts with the path.
    """
    try:
        return decode_video_with(as_shown, payload, Sampling(fps=fps, max_frames=max_frames))
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
    convert: Convert[Picture],
    payload: Path | bytes,
    sampling: Sampling,
    *,
    shrink: Shrink | None = None,
) -> DecodedVideo[Picture]:
    """As :func:`decode_video`, with every frame converted as soon as it is decoded, so that few full frames are held.

    Args:
        convert: what to make of a frame.
        payload: the file or its bytes.
        sampling: which frames.
        shrink: the size that ``convert`` is to get, from the upright (width, height) of a frame; ``None``: full size.
            Shrinking is PyAV's whatever the file, so that one filter (bicubic) serves all; decord's is another.

    Raises:
        DecodeError: as in :func:`decode_video`, without the path.
    """
    check_present(payload)
    if is_for_pillow(payload):
        with PillowReader(payload, shrink) as movie:
            return _sample(movie, choose_frames(movie.times, sampling), convert)
    careful = PyavReader(payload, shrink)
    chosen = choose_frames(careful.times, sampling)
    if shrink is None and may_try_decord(careful.facts) and mostly_needed(careful.facts, chosen) and careful.is_plain():
        try:
            with DecordReader(payload) as quick:
                if same_times(careful.times, quick.times):
                    return _sample(quick, chosen, convert)
        except DecodeError:
            pass  # PyAV reads many files on which decord fails; the backend that served is recorded
    with careful:
        return _sample(careful, chosen, convert)


def _sample(reader: FrameReader, chosen: NDArray[np.int64], convert: Convert[Picture]) -> DecodedVideo[Picture]:
    images: list[Picture] = []
    kept: list[int] = []
    middle: tuple[Image.Image, tuple[int, int]] | None = None
    for position, image in reader.read(chosen.tolist()):
        shown = shown_size(image.size, reader.aspect)
        if len(images) <= len(chosen) // 2:
            middle = image, shown
        images.append(convert(image, shown))
        kept.append(position)
    if middle is None:
        raise DecodeError("its video stream holds no frame that can be decoded")
    flaws = list(reader.flaws)
    if len(kept) < len(chosen):
        flaws.insert(0, f"{len(kept)} of {len(chosen)} frames could be decoded")
    return DecodedVideo(
        images=images,
        times=reader.times[kept].astype(np.float32),
        duration=reader.duration,
        middle=as_shown(*middle),
        backend=reader.backend,
        status="partial" if flaws else "ok",
        note="; ".join([*flaws, *filter(None, [reader.oddity])]),
    )


def _with_path(error: DecodeError, payload: Path | bytes) -> DecodeError:
    return error if isinstance(payload, bytes) else DecodeError(f"{payload}: {error}")
