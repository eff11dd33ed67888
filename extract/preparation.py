"""One input made ready for the image encoder: decoded, sampled, preprocessed, with its thumbnail."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..data.errors import DecodeError
from ..data.media import Failure, MediaItem
from .decoding import decode_video_with
from .image_encoder import ImageEncoder
from .sampling import Sampling
from .still import open_image, thumbnail


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """What the encoder and the store need of one input; the file itself is let go.

    Attributes:
        item: the input without its payload's bytes.
        pixels: (M, 3, H, W) preprocessed frames, M = 1 for an image.
        times: (M,) seconds; empty for an image.
        duration: seconds; 0 for an image.
        thumbnail: JPEG of the middle frame, or ``b""``.
        note: what was odd about the file, or ``""``.
        seconds: processor time that decoding and preprocessing took.
    """

    item: MediaItem
    pixels: Tensor
    times: NDArray[np.float32]
    duration: float
    thumbnail: bytes
    note: str
    seconds: float

    @property
    def nbytes(self) -> int:
        """Memory of the pixels."""
        return self.pixels.numel() * self.pixels.element_size()


def prepare(
    item: MediaItem | Failure, encoder: ImageEncoder, sampling: Sampling, *, thumbnails: bool
) -> Prepared | Failure:
    """Reads one input; whatever is wrong with it becomes a :class:`Failure`, never an exception."""
    if isinstance(item, Failure):
        return item
    started = time.thread_time()
    try:
        prepared = _prepare_image if item.kind == "image" else _prepare_video
        return prepared(item, encoder, sampling, thumbnails, started)
    except DecodeError as error:
        reason = str(error)
    except Exception as error:  # noqa: BLE001 (a file that upsets a native decoder must not end a run of a million)
        reason = f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else 'no message'}"
    return Failure(id=item.id, source=item.source, stage="decode", error=reason)


def _prepare_video(
    item: MediaItem, encoder: ImageEncoder, sampling: Sampling, thumbnails: bool, started: float
) -> Prepared:
    video = decode_video_with(encoder.preprocess, item.payload, sampling)
    odd = [] if video.backend.startswith("decord") else [video.backend]
    return Prepared(
        item=_without_bytes(item),
        pixels=torch.stack(video.images),
        times=video.times,
        duration=video.duration,
        thumbnail=thumbnail(video.middle) if thumbnails else b"",
        note="; ".join([*odd, *filter(None, [video.note])]),
        seconds=time.thread_time() - started,
    )


def _prepare_image(
    item: MediaItem, encoder: ImageEncoder, _sampling: Sampling, thumbnails: bool, started: float
) -> Prepared:
    image = open_image(item.payload)
    return Prepared(
        item=_without_bytes(item),
        pixels=encoder.preprocess(image).unsqueeze(0),
        times=np.zeros(0, dtype=np.float32),
        duration=0.0,
        thumbnail=thumbnail(image) if thumbnails else b"",
        note="",
        seconds=time.thread_time() - started,
    )


def _without_bytes(item: MediaItem) -> MediaItem:
    return replace(item, payload=b"") if isinstance(item.payload, bytes) else item
