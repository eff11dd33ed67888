"""How a CPU runs a tower: so many pictures a call, so many calls side by side, whichever was quickest here.

A convolutional tower on many pictures is bound by memory: what one layer wrote has left the processor's caches when the
next one reads it. A few pictures at a time stay there. Transformers mind less. What is quickest depends on the tower, the
number format and the processor; :func:`quickest_plan` tries.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import torch
from torch import Tensor

SIZES = (4, 8, 2, 16, 1, 32)
"""Pictures a call that are tried, the likeliest first."""

MEASURE_SECONDS = 1.0
"""No other plan is tried once this time has passed."""

BARRIER_SECONDS = 60.0

Forward = Callable[[Tensor], Tensor]


@dataclass(frozen=True, kw_only=True)
class ChunkPlan:
    """How pictures are shared out.

    Attributes:
        pictures: of one call, at most.
        threads: calls side by side, each computed by one thread; 1: one call after the other, by all threads of PyTorch.
    """

    pictures: int
    threads: int = 1

    def chunk_size(self, count: int) -> int:
        """Pictures of every chunk of a batch of so many, at most; few pictures are spread over the threads."""
        return max(1, min(self.pictures, -(-count // self.threads)))

    def batches_of_every_chunk(self, most: int) -> list[int]:
        """Sizes of batches that between them have every chunk that batches of up to so many pictures have.

        A batch of one is one chunk, computed by all threads of PyTorch. Larger ones have chunks of :meth:`chunk_size`, and one
        of what is left over, which is the size of a smaller batch's chunks.
        """
        sizes = range(1, self.chunk_size(most) + 1)
        return sorted({1, *(min(size * self.threads, most) for size in sizes)})


class ChunkedForward:
    """Runs a function of (n, …) tensors chunk by chunk.

    A chunk's result may differ in its last digits from that of a chunk of another size.
    """

    def __init__(self, plan: ChunkPlan):
        self.plan = plan
        self._pool = _one_thread_each(plan.threads) if plan.threads > 1 else None

    def __call__(self, forward: Forward, pixels: Tensor) -> Tensor:
        """The rows of ``forward`` on all pictures."""
        chunks = pixels.split(self.plan.chunk_size(len(pixels)))
        if len(chunks) == 1:
            return forward(pixels)
        return torch.cat(list(self._pool.map(forward, chunks) if self._pool else map(forward, chunks)))


def quickest_plan(forward: Forward, pixels: Tensor, *, threads: int) -> ChunkPlan:
    """The plan with the least time a picture, found in about a second.

    Args:
        pixels: (n, …) some pictures, repeated as needed.
        threads: that PyTorch uses.
    """
    ways = {SIZES[0]: (threads, 1) if threads > 1 else (1,)}
    best, least = ChunkPlan(pictures=SIZES[0]), float("inf")
    runners = {count: ChunkedForward(ChunkPlan(pictures=SIZES[0], threads=count)) for count in ways[SIZES[0]]}
    started = time.perf_counter()
    for size in SIZES:
        for count in ways.get(size, (best.threads,)):
            if time.perf_counter() - started > MEASURE_SECONDS and least < float("inf"):
                return best
            plan = ChunkPlan(pictures=size, threads=count)
            runner = runners[count]
            runner.plan = plan
            seconds = _seconds_a_picture(runner, forward, pixels)
            if seconds < least:
                best, least = plan, seconds
    return best


def _seconds_a_picture(runner: ChunkedForward, forward: Forward, pixels: Tensor) -> float:
    """The lesser of two runs; the first also readies what a library prepares for every shape."""
    count = runner.plan.pictures * runner.plan.threads
    batch = pixels.repeat(-(-count // len(pixels)), *[1] * (pixels.ndim - 1))[:count]
    seconds = float("inf")
    for _ in range(2):
        started = time.perf_counter()
        runner(forward, batch)
        seconds = min(seconds, time.perf_counter() - started)
    return seconds / count


def _one_thread_each(count: int) -> ThreadPoolExecutor:
    """A pool of threads in each of which PyTorch uses one thread; in all others it uses as many as before."""
    before = torch.get_num_threads()
    barrier = threading.Barrier(count)
    pool = ThreadPoolExecutor(count, thread_name_prefix="encode", initializer=torch.set_num_threads, initargs=(1,))
    for ready in [pool.submit(barrier.wait, BARRIER_SECONDS) for _ in range(count)]:
        ready.result()
    torch.set_num_threads(before)  # setting it in a thread also set it for threads that come later
    return pool
