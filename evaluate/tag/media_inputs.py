"""What people hand to the tagger from Python: paths, bytes, open files, pictures, arrays of frames, ready features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from ...data.errors import DecodeError
from ...data.inputs.relative_paths import printable
from ...data.media import MediaItem, MediaKind
from ...data.store.schema import VideoFeatures
from ...extract.decoding.file_kinds import media_kind_of
from ...extract.decoding.sampling import spread
from ...extract.decoding.still import flatten
from ...extract.workers.preparation import Preparation, Prepared
from .file_encoder import FileEncoder, one_file
from .requests import TagRequest

MOST_VECTORS = 4096
"""Features of one video or image."""

LARGEST_FEATURE = float(np.finfo(np.float16).max)

UNKNOWN_DURATION = float("nan")
"""Seconds of a video in memory, of which nobody says how long its last frame is shown; 0 is that of an image, whose tags have no segments."""


@runtime_checkable
class Readable(Protocol):
    """A file that is open for reading bytes."""

    def read(self) -> bytes:
        """All bytes that have not been read yet."""
        ...


@dataclass(frozen=True, kw_only=True)
class Features:
    """Features of one video or image, made by the encoder that the run was trained with.

    Attributes:
        frames: (M, frame_dim) of a video's frames, in their order; of more than a run samples, as many spread evenly.
        patches: (Q, patch_dim) of an image's patches; a video has none and an image no frames.
        times: (M,) seconds of the frames, for evidence and segments alone.
    """

    frames: Any = None
    patches: Any = None
    times: Sequence[float] | None = None


Media = str | Path | bytes | bytearray | Readable | Image.Image | NDArray[np.uint8] | Features
"""One video or image."""


def request_of(media: Media, title: str | None, files: FileEncoder, name: str) -> TagRequest:
    """The request for one video or image.

    Args:
        title: ``None`` takes that of the files beside a file, and is empty for all else.
        files: how pictures are made ready.
        name: of what has no path of its own.

    Raises:
        DecodeError: it is no video or image, or its shape or width is another one.
        EncoderError: a picture for a run whose image encoder nobody knows.
    """
    if isinstance(media, str | Path):
        return one_file(Path(media), title)
    if isinstance(media, Features):
        found = features_of(media, title or "", files, name)
        return _request(name, title, found.kind, in_memory=found)
    if isinstance(media, Image.Image):
        return _request(name, title, "image", in_memory=picture_ready(media, files.preparation))
    if isinstance(media, np.ndarray):
        return _request(name, title, "video", in_memory=frames_ready(media, files.preparation))
    data = bytes(media) if isinstance(media, bytes | bytearray) else _read(media, name)
    return _request(name, title, media_kind_of(data) or "video", payload=data)


def _request(
    name: str,
    title: str | None,
    kind: MediaKind,
    *,
    payload: bytes = b"",
    in_memory: Prepared | VideoFeatures | None = None,
) -> TagRequest:
    item = MediaItem(
        id=name, source=name, kind=kind, title=printable(title or ""), tags=(), split="none", payload=payload
    )
    return TagRequest(path=name, item=item, in_memory=in_memory)


def _read(file: Any, name: str) -> bytes:
    data = file.read() if isinstance(file, Readable) else None
    if not isinstance(data, bytes):
        raise DecodeError(
            f"{name}: {type(file).__name__} is no video or image; expected a path, bytes, a file open for reading bytes, "
            "a PIL image, an array of frames (T, H, W, 3), or optsg.Features"
        )
    return data


def picture_ready(picture: Image.Image, how: Preparation) -> Prepared:
    """A picture as the encoder takes it: upright, on white where it is transparent, as a file of it would be."""
    upright = flatten(ImageOps.exif_transpose(picture))
    return _prepared("image", how.plan(upright)[np.newaxis], times=np.zeros(0, np.float32))


def frames_ready(frames: NDArray[Any], how: Preparation) -> Prepared:
    """The frames of a video as the encoder takes them: all, or as many as a run takes, spread evenly.

    Args:
        frames: (T, H, W, 3) uint8, RGB: those that the run's sampling would have chosen, one a second by default.

    Raises:
        DecodeError: it has another shape or type, or no frame.
    """
    if frames.ndim != 4 or frames.shape[-1] != 3 or frames.dtype != np.uint8 or 0 in frames.shape:
        raise DecodeError(
            f"an array of shape {frames.shape} and type {frames.dtype} is no video; expected (T, H, W, 3) uint8 with T ≥ 1"
        )
    kept = spread(len(frames), how.sampling.max_frames)
    pixels = np.stack([how.plan(Image.fromarray(np.ascontiguousarray(frames[place]))) for place in kept])
    return _prepared("video", pixels, times=(kept / how.sampling.fps).astype(np.float32))


def _prepared(kind: MediaKind, pixels: NDArray[np.uint8], *, times: NDArray[np.float32]) -> Prepared:
    return Prepared(
        kind=kind,
        pixels=pixels,
        times=times,
        duration=0.0 if kind == "image" else UNKNOWN_DURATION,
        thumbnail=b"",
        status="ok",
        note="",
        backend="in memory",
    )


def features_of(given: Features, title: str, files: FileEncoder, name: str) -> VideoFeatures:
    """Ready features, checked against what the run was trained on.

    Raises:
        DecodeError: their number, width or values are not those of its encoder.
    """
    if (given.frames is None) == (given.patches is None):
        raise DecodeError(f"{name}: expected frames of a video or patches of an image, one of the two")
    is_video = given.patches is None
    width = files.frame_dim if is_video else files.patch_dim
    values = _vectors(given.frames if is_video else given.patches, width, "frames" if is_video else "patches", name)
    if len(values) > MOST_VECTORS:
        raise DecodeError(f"{name}: {len(values):,} features; expected at most {MOST_VECTORS:,}")
    if not is_video and not files.reads_patches:
        raise DecodeError(f"{name}: {files.name} was trained without images and knows no patches; give frames")
    times = _times(given.times, len(values), name)
    if is_video:
        kept = spread(len(values), files.sampling.max_frames)
        values, times = values[kept], times[kept] if len(times) else times
    return VideoFeatures(
        id=name,
        title=printable(title),
        tags=(),
        split="none",
        source=name,
        kind="video" if is_video else "image",
        duration=UNKNOWN_DURATION if is_video else 0.0,
        frames=values if is_video else values[:0],
        times=times,
        patches=values[:0] if is_video else values,
        thumbnail=b"",
        backend="ready",
    )


def _times(given: Any, count: int, name: str) -> NDArray[np.float32]:
    if given is None:
        return np.zeros(0, np.float32)
    try:
        with np.errstate(over="ignore"):  # is refused below
            times = np.asarray(given, np.float32)
    except (ValueError, TypeError, OverflowError) as error:
        raise DecodeError(f"{name}: times are no list of numbers") from error
    if times.ndim != 1 or not np.isfinite(times).all():
        raise DecodeError(f"{name}: times are no list of finite numbers")
    if len(times) != count:
        raise DecodeError(f"{name}: {len(times)} times for {count} features")
    return times


def _vectors(given: Any, width: int, what: str, name: str) -> NDArray[np.float16]:
    try:
        with np.errstate(over="ignore"):  # is refused below
            values = np.asarray(given, np.float32)
    except (ValueError, TypeError, OverflowError) as error:
        raise DecodeError(f"{name}: {what} are no array of numbers") from error
    if values.ndim != 2 or not len(values) or values.shape[1] != width:
        raise DecodeError(f"{name}: {what} of shape {values.shape}; the run takes (n, {width}) with n ≥ 1")
    if not np.isfinite(values).all() or np.abs(values).max() > LARGEST_FEATURE:
        raise DecodeError(f"{name}: {what} hold values that are not finite, or too large for float16")
    return values.astype(np.float16)
