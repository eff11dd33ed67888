"""Batches for the image encoder that reach across videos; results come back per video, in order.

Legend: M frames of a video, P patches of an image.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .image_encoder import ImageEncoder
from .preparation import Prepared

MOST_PENDING = 256
"""Inputs that may wait for a batch of the other kind (frames or images) to fill up."""


@dataclass
class _Pending:
    """An input whose pictures are not all encoded yet."""

    prepared: Prepared
    missing: int
    features: list[NDArray[np.float16]] = field(default_factory=list)


class _Lane:
    """Pictures waiting for one of the encoder's two functions."""

    def __init__(self, encode: Callable[[Tensor], Tensor], batch_size: int):
        self._encode = encode
        self._batch_size = batch_size
        self._waiting: deque[tuple[_Pending, Tensor]] = deque()
        self._count = 0
        self.seconds = 0.0

    def add(self, pending: _Pending, pixels: Tensor) -> None:
        """Queues (n, 3, H, W) pictures and encodes every batch that is full."""
        self._waiting.append((pending, pixels))
        self._count += len(pixels)
        while self._count >= self._batch_size:
            self._encode_batch()

    def flush(self) -> None:
        """Encodes what waits, as smaller batch."""
        while self._count:
            self._encode_batch()

    def _encode_batch(self) -> None:
        shares: list[tuple[_Pending, Tensor]] = []
        room = self._batch_size
        while room and self._waiting:
            pending, pixels = self._waiting.popleft()
            shares.append((pending, pixels[:room]))
            if len(pixels) > room:
                self._waiting.appendleft((pending, pixels[room:]))
            room -= len(shares[-1][1])
        started = time.perf_counter()
        features = self._encode(torch.cat([pixels for _, pixels in shares]))
        self.seconds += time.perf_counter() - started
        self._count -= len(features)
        with np.errstate(over="ignore"):
            parts = features.numpy().astype(np.float16)
        for (pending, pixels), part in zip(shares, _split(parts, [len(p) for _, p in shares]), strict=True):
            pending.features.append(part)
            pending.missing -= len(pixels)


def _split(rows: NDArray[np.float16], lengths: list[int]) -> list[NDArray[np.float16]]:
    return np.split(rows, np.cumsum(lengths)[:-1])


class FeatureBatcher:
    """Collects prepared inputs and gives them back with their features.

    Features are (M, frame_dim) for a video and (P, patch_dim) for an image, float16.
    """

    def __init__(self, encoder: ImageEncoder, batch_size: int):
        self._frames = _Lane(encoder.encode_frames, batch_size)
        self._patches = _Lane(encoder.encode_patches, batch_size)
        self._pending: deque[_Pending] = deque()

    @property
    def seconds(self) -> float:
        """Time spent in the encoder."""
        return self._frames.seconds + self._patches.seconds

    def add(self, prepared: Prepared) -> Iterator[tuple[Prepared, NDArray[np.float16]]]:
        """Takes one input and gives those that are complete, in the order in which they came."""
        pending = _Pending(prepared=_without_pixels(prepared), missing=len(prepared.pixels))
        self._pending.append(pending)
        lane = self._patches if prepared.item.kind == "image" else self._frames
        lane.add(pending, prepared.pixels)
        if len(self._pending) > MOST_PENDING:
            return self.flush()
        return self._complete()

    def flush(self) -> Iterator[tuple[Prepared, NDArray[np.float16]]]:
        """Encodes what waits and gives all that is left."""
        self._frames.flush()
        self._patches.flush()
        return self._complete()

    def _complete(self) -> Iterator[tuple[Prepared, NDArray[np.float16]]]:
        while self._pending and not self._pending[0].missing:
            done = self._pending.popleft()
            features = np.concatenate(done.features)
            yield done.prepared, features[0] if done.prepared.item.kind == "image" else features


def _without_pixels(prepared: Prepared) -> Prepared:
    return replace(prepared, pixels=prepared.pixels[:0].clone())
