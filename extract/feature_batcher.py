"""Batches for the image encoder that reach across inputs; an input comes back when its last picture is encoded.

Every batch has the same number of pictures but for the last one, which has what is left. Decoding finishes in any order, so
other pictures may share a batch the next time, and fewer the last one; a picture's features are then the same but for
rounding (:data:`optsg.extract.encoders.tower.FEATURE_ROUNDING`), and to the bit where the batch is the same.

Where every batch is to be ``whole``, one that is cut short is filled up with black pictures: the features of a picture are
then the same to the bit, whatever is encoded with it.

Legend: M frames of a video, P patches of an image.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..data.media import MediaKind
from .encoders.image_encoder import ImageEncoder
from .encoders.tower import PendingFeatures

MOST_PENDING = 256
"""Inputs that may wait for a batch of the other kind (frames or images) to fill up."""

Handle = TypeVar("Handle")
Features = NDArray[np.float16]


@dataclass
class _Pending(Generic[Handle]):
    """An input whose pictures are not all encoded yet."""

    handle: Handle
    kind: MediaKind
    missing: int
    features: list[Features] = field(default_factory=list)


class _Lane(Generic[Handle]):
    """Pictures waiting for one of the encoder's two functions."""

    def __init__(self, submit: Callable[[Tensor], PendingFeatures], batch_size: int, in_flight: int, *, whole: bool):
        self._submit = submit
        self._batch_size = batch_size
        self._whole = whole
        self._most_in_flight = in_flight
        self._waiting: deque[tuple[_Pending[Handle], NDArray[np.uint8]]] = deque()
        self._count = 0
        self._in_flight: deque[tuple[PendingFeatures, list[tuple[_Pending[Handle], int]]]] = deque()
        self.seconds = 0.0

    def add(self, pending: _Pending[Handle], pixels: NDArray[np.uint8]) -> Iterator[_Pending[Handle]]:
        """Queues (n, H, W, 3) pictures and encodes every batch that is full; gives the inputs that are complete."""
        self._waiting.append((pending, pixels))
        self._count += len(pixels)
        while self._count >= self._batch_size:
            yield from self._encode_batch()

    def flush(self) -> Iterator[_Pending[Handle]]:
        """Encodes and collects all that waits."""
        while self._count:
            yield from self._encode_batch()
        yield from self._collect(down_to=0)

    def _encode_batch(self) -> Iterator[_Pending[Handle]]:
        shares: list[tuple[_Pending[Handle], NDArray[np.uint8]]] = []
        room = self._batch_size
        while room and self._waiting:
            pending, pixels = self._waiting.popleft()
            shares.append((pending, pixels[:room]))
            if len(pixels) > room:
                self._waiting.appendleft((pending, pixels[room:]))
            room -= len(shares[-1][1])
        self._count -= self._batch_size - room
        started = time.perf_counter()
        pictures = [pixels for _, pixels in shares]
        if self._whole and room:
            pictures.append(np.zeros((room, *pictures[0].shape[1:]), np.uint8))
        batch = torch.from_numpy(np.concatenate(pictures))
        self._in_flight.append((self._submit(batch), [(pending, len(pixels)) for pending, pixels in shares]))
        self.seconds += time.perf_counter() - started
        yield from self._collect(down_to=self._most_in_flight - 1)

    def _collect(self, *, down_to: int) -> Iterator[_Pending[Handle]]:
        while len(self._in_flight) > down_to:
            batch, shares = self._in_flight.popleft()
            started = time.perf_counter()
            features = batch.result()
            self.seconds += time.perf_counter() - started
            with np.errstate(over="ignore"):
                rows = features.numpy().astype(np.float16)
            start = 0
            for pending, count in shares:
                pending.features.append(rows[start : start + count])
                pending.missing -= count
                start += count
                if not pending.missing:
                    yield pending


class FeatureBatcher(Generic[Handle]):
    """Collects pictures of inputs and gives each input's handle back with its features.

    Features are (M, frame_dim) for a video and (P, patch_dim) for an image, float16. ``whole``: no batch is cut short.
    """

    def __init__(self, encoder: ImageEncoder, batch_size: int, *, whole: bool = False):
        in_flight = encoder.batches_in_flight
        self._frames: _Lane[Handle] = _Lane(encoder.submit_frames, batch_size, in_flight, whole=whole)
        self._patches: _Lane[Handle] = _Lane(encoder.submit_patches, batch_size, in_flight, whole=whole)
        self._pending = 0

    @property
    def seconds(self) -> float:
        """Wall time spent in the encoder or waiting for it."""
        return self._frames.seconds + self._patches.seconds

    def add(self, handle: Handle, kind: MediaKind, pixels: NDArray[np.uint8]) -> Iterator[tuple[Handle, Features]]:
        """Takes the (M, H, W, 3) pictures of one input and gives all inputs that are complete."""
        self._pending += 1
        lane = self._patches if kind == "image" else self._frames
        yield from self._given_back(lane.add(_Pending(handle, kind, len(pixels)), pixels))
        if self._pending > MOST_PENDING:
            yield from self.flush()

    def flush(self) -> Iterator[tuple[Handle, Features]]:
        """Encodes what waits and gives all that is left."""
        yield from self._given_back(self._frames.flush())
        yield from self._given_back(self._patches.flush())

    def _given_back(self, done: Iterator[_Pending[Handle]]) -> Iterator[tuple[Handle, Features]]:
        for pending in done:
            self._pending -= 1
            features = np.concatenate(pending.features)
            yield pending.handle, features[0] if pending.kind == "image" else features
