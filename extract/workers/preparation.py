"""One input made ready for the image encoder: decoded, sampled, cut to size, with its thumbnail and its digest. Needs no torch."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import PIL
from numpy.typing import NDArray

from ...data.errors import DecodeError
from ...data.media import FailureStatus, FeatureStatus, MediaKind
from ..decoding import decode_video_with
from ..decoding.file_kinds import kind_of, media_kind_of
from ..decoding.frame_reader import check_present
from ..decoding.sampling import Sampling
from ..decoding.still import open_image, thumbnail
from ..encoders.pixel_plan import PixelPlan


@dataclass(frozen=True, kw_only=True)
class Preparation:
    """How inputs are made ready.

    Attributes:
        plan: picture to pixels.
        sampling: which frames of a video.
        thumbnails: whether to make one.
    """

    plan: PixelPlan
    sampling: Sampling
    thumbnails: bool = True


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """What the encoder and the store need of one input; the file itself is let go.

    Attributes:
        kind: what the file is, which its name may not say.
        pixels: (M, H, W, 3) uint8 frames, M = 1 for an image.
        times: (M,) seconds; empty for an image.
        duration: seconds; 0 for an image.
        thumbnail: JPEG of the middle frame, or ``b""``.
        status: whether all frames that should be there are.
        note: what was odd about the file, or ``""``.
        backend: the decoder and its version.
        digest: of the source's bytes.
        seconds: processor time that decoding and preprocessing took.
    """

    kind: MediaKind
    pixels: NDArray[np.uint8]
    times: NDArray[np.float32]
    duration: float
    thumbnail: bytes
    status: FeatureStatus
    note: str
    backend: str
    digest: str = ""
    seconds: float = 0.0

    @property
    def nbytes(self) -> int:
        """Bytes of memory that the pixels take."""
        return self.pixels.nbytes


@dataclass(frozen=True, kw_only=True)
class Unreadable:
    """An input that gave nothing.

    Attributes:
        error: one sentence.
        status: how it ended.
        digest: of the source's bytes; empty if they cannot be read.
        seconds: processor time spent on it.
    """

    error: str
    status: FailureStatus = "failed"
    digest: str = ""
    seconds: float = 0.0


def prepare(kind: MediaKind, payload: Path | bytes, how: Preparation) -> Prepared | Unreadable:
    """Reads one input, as a video or image by what is in it, and by ``kind`` where that does not tell.

    Whatever is wrong with it becomes an :class:`Unreadable`, never an exception.
    """
    try:
        check_present(payload)
        found = media_kind_of(payload) or kind
        if found == kind:
            return _prepare_as(kind, payload, how)
        prepared = _prepare_as(found, payload, how)
        note = (
            f"it is {kind_of(payload)}, read as {'a video' if found == 'video' else 'an image'} whatever its name says"
        )
        return replace(prepared, note="; ".join(filter(None, [note, prepared.note])))
    except DecodeError as error:
        return Unreadable(error=str(error))
    except MemoryError:
        return Unreadable(error="decoding it needs more memory than a decoding process may use")
    except Exception as error:  # noqa: BLE001 (a file that upsets a native decoder must not end a run of a million)
        message = str(error).strip()
        return Unreadable(error=f"{type(error).__name__}: {message.splitlines()[0] if message else 'no message'}")


def _prepare_as(kind: MediaKind, payload: Path | bytes, how: Preparation) -> Prepared:
    return _prepare_image(payload, how) if kind == "image" else _prepare_video(payload, how)


def processor_seconds() -> float:
    """Processor time of this process so far."""
    return time.process_time()


def _prepare_video(payload: Path | bytes, how: Preparation) -> Prepared:
    shrink = how.plan.resized if how.sampling.fast_resize else None
    video = decode_video_with(how.plan, payload, how.sampling, shrink=shrink)
    return Prepared(
        kind="video",
        pixels=np.stack(video.images),
        times=video.times,
        duration=video.duration,
        thumbnail=thumbnail(video.middle) if how.thumbnails else b"",
        status=video.status,
        note=video.note,
        backend=video.backend,
    )


def _prepare_image(payload: Path | bytes, how: Preparation) -> Prepared:
    image = open_image(payload)
    return Prepared(
        kind="image",
        pixels=how.plan(image)[np.newaxis],
        times=np.zeros(0, dtype=np.float32),
        duration=0.0,
        thumbnail=thumbnail(image) if how.thumbnails else b"",
        status="ok",
        note="",
        backend=f"pillow {PIL.__version__}",
    )


BLOCK = 1 << 20


def source_digest(payload: Path | bytes) -> str:
    """``sha256:…`` of a file or of bytes; empty if the file cannot be read."""
    digest = hashlib.sha256()
    if isinstance(payload, bytes):
        digest.update(payload)
    else:
        try:
            with payload.open("rb") as file:
                while block := file.read(BLOCK):
                    digest.update(block)
        except OSError:
            return ""
    return f"sha256:{digest.hexdigest()}"
