"""Decoded inputs to features: encoded in batches that reach across inputs, and given back in the order of the inputs.

Results come as they are ready; :class:`InOrder` holds back those that are early.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..data.media import Failure, MediaItem
from ..data.store.schema import VideoFeatures
from .encoders.image_encoder import ImageEncoder
from .feature_batcher import FeatureBatcher
from .workers.preparation import Prepared
from .workers.worker_pool import Decoded

HELD_BUDGET = 256 * 2**20
"""Bytes of features that may wait for one slow input; beyond that no more inputs are begun until it is done."""


class OrderedEncoding:
    """The image encoder with what waits for it and what waits for an earlier input.

    Args:
        encoder: what encodes.
        batch_size: pictures at a time.
        whole: no batch is cut short (:mod:`optsg.extract.feature_batcher`).

    Attributes:
        wait_seconds: wall time in which the encoder waited for decoded pictures.
    """

    def __init__(self, encoder: ImageEncoder, batch_size: int, *, whole: bool = False):
        self._batcher: FeatureBatcher[Decoded] = FeatureBatcher(encoder, batch_size, whole=whole)
        self._order: InOrder[VideoFeatures | Failure] = InOrder()
        self.wait_seconds = 0.0

    @property
    def encode_seconds(self) -> float:
        """Wall time in the image encoder."""
        return self._batcher.seconds

    def may_go_on(self) -> bool:
        """Whether there is room for what will have to wait behind a slow input."""
        return self._order.held_bytes < HELD_BUDGET

    def results(
        self, decoded: Iterator[Decoded], stop: threading.Event | None = None
    ) -> Iterator[VideoFeatures | Failure]:
        """What every input gave, in input order; once ``stop`` is set, only those that are complete.

        ``decoded`` may end where more inputs follow in a later call, if none is missing that is numbered before its last.
        """
        for one in self._timed(decoded):
            self._begin(one)
            yield from self._order.ready()
        if stop is None or not stop.is_set():
            self._take(self._batcher.flush())
        yield from self._order.ready()

    def _timed(self, decoded: Iterator[Decoded]) -> Iterator[Decoded]:
        while True:
            started = time.perf_counter()
            one = next(decoded, None)
            self.wait_seconds += time.perf_counter() - started
            if one is None:
                return
            yield one

    def _begin(self, decoded: Decoded) -> None:
        item, result = decoded.item, decoded.result
        if isinstance(item, Failure):
            self._order.put(decoded.number, item, 0)
        elif isinstance(result, Prepared):
            self._take(self._batcher.add(decoded.without_pixels(), item.kind, result.pixels))
        elif result is not None:
            self._order.put(decoded.number, Failure(id=item.id, source=item.source, stage="decode", **vars(result)), 0)
        if not self.may_go_on():  # what all others wait for may itself be waiting for its batch to fill up
            self._take(self._batcher.flush())

    def _take(self, encoded: Iterator[tuple[Decoded, NDArray[np.float16]]]) -> None:
        for decoded, features in encoded:
            assert isinstance(decoded.item, MediaItem)
            assert isinstance(decoded.result, Prepared)
            outcome = _features(decoded.item, decoded.result, features)
            self._order.put(decoded.number, outcome, features.nbytes + len(decoded.result.thumbnail))


def _features(item: MediaItem, prepared: Prepared, features: NDArray[np.float16]) -> VideoFeatures | Failure:
    if not np.isfinite(features).all():
        error = "the image encoder gave values that are not finite"
        return Failure(
            id=item.id,
            source=item.source,
            stage="encode",
            error=error,
            digest=prepared.digest,
            seconds=prepared.seconds,
        )
    is_video = item.kind == "video"
    nothing = features[:0]
    return VideoFeatures(
        id=item.id,
        title=item.title,
        tags=item.tags,
        split=item.split,
        source=item.source,
        kind=item.kind,
        duration=prepared.duration,
        frames=features if is_video else nothing,
        times=prepared.times,
        patches=nothing if is_video else features,
        thumbnail=prepared.thumbnail,
        status=prepared.status,
        note=prepared.note,
        backend=prepared.backend,
        digest=prepared.digest,
        decode_seconds=prepared.seconds,
    )


Value = TypeVar("Value")


ENTRY_BYTES = 4096
"""What an entry costs besides its arrays."""


class InOrder(Generic[Value]):
    """Values by number, handed out from 0 on without gaps.

    Attributes:
        held_bytes: memory of the values that wait for an earlier one.
    """

    def __init__(self) -> None:
        self._next = 0
        self._held: dict[int, tuple[Value, int]] = {}
        self.held_bytes = 0

    def put(self, number: int, value: Value, nbytes: int) -> None:
        """Takes the value of number ``number``, which may be early."""
        self._held[number] = value, nbytes + ENTRY_BYTES
        self.held_bytes += nbytes + ENTRY_BYTES

    def ready(self) -> Iterator[Value]:
        """Hands out every value whose predecessors have all been handed out."""
        while self._next in self._held:
            value, nbytes = self._held.pop(self._next)
            self.held_bytes -= nbytes
            self._next += 1
            yield value
