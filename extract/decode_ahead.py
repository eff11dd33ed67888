"""Decodes the next inputs in worker threads while the encoder is busy, in input order and within a memory budget."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor

from ..data.media import Failure, MediaItem
from .preparation import Prepared

MOST_AHEAD = 64
"""Inputs decoded or being decoded at a time, at most."""

MEMORY_BUDGET = 256 * 2**20
"""Bytes of pixels that may wait for the encoder, as far as they can be foreseen."""

RECENT = 16


def decode_ahead(
    items: Iterable[MediaItem | Failure],
    work: Callable[[MediaItem | Failure], Prepared | Failure],
    *,
    workers: int,
) -> Generator[Prepared | Failure, None, None]:
    """Results of ``work`` in the order of ``items``, a bounded number of them computed ahead.

    How far ahead follows from the largest of the recent results: sixty clips of a few seconds, or seven long videos.
    """
    waiting: deque[Future[Prepared | Failure]] = deque()
    sizes: deque[int] = deque(maxlen=RECENT)
    pool = ThreadPoolExecutor(workers, thread_name_prefix="decode")
    try:
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) >= _allowed(sizes, workers):
                yield _take(waiting, sizes)
        while waiting:
            yield _take(waiting, sizes)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _take(waiting: deque[Future[Prepared | Failure]], sizes: deque[int]) -> Prepared | Failure:
    result = waiting.popleft().result()
    if isinstance(result, Prepared):
        sizes.append(result.nbytes)
    return result


def _allowed(sizes: deque[int], workers: int) -> int:
    """Before anything is known, just enough to keep the workers busy."""
    if not sizes:
        return workers + 1
    return max(workers + 1, min(MOST_AHEAD, MEMORY_BUDGET // max(sizes)))
