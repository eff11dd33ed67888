"""Reading features as training does, against reading the same bytes with ``numpy.memmap``.

    python benchmarks/read_features.py --write
    python benchmarks/read_features.py --videos 16000 --batches 100

Makes a synthetic store as one HDF5 file and as WebDataset shards once (in ``--work``; 200,000 videos × 60 frames × 512 are
12.3 GB each, and a third such on the way). Ours is ``optsg.data.batching.collate`` over the opened store: what a training
step calls, with titles, tags and masks; without workers it gets the batches from ``reading_ahead``, as in training. The
other side maps the same files and stacks the same videos' frames, nothing else: ``np.stack([features[row] for row in
rows])``. GB/s are the bytes of the frames, as they are stored.

Random order is that of a training epoch, sequential that of the file. With workers both sides go through
``torch.utils.data.DataLoader``; training itself reads in its own process, as with 0 workers. The clock starts when the
first batch is there. Files are in the page cache, as far as they fit: a pass before is not measured. With ``--cold`` they
are dropped from it before every measurement (``posix_fadvise``), and both sides open them anew.
"""

from __future__ import annotations

import argparse
import cProfile
import gc
import os
import pstats
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from optsg.data.batching import bucketed_batches, collate, reading_ahead, sequential_batches, video_lengths
from optsg.data.store import FeatureStore, open_store
from torch.utils.data import DataLoader, Dataset

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # a script finds only its own folder

from benchmarks.options import parser, publish  # noqa: E402
from benchmarks.results_file import table  # noqa: E402
from benchmarks.synthetic_store import TINY_TEXT, write_synthetic_store  # noqa: E402

Rows = NDArray[np.int64]
TARGET = 0.8
PROFILE_LINES = 12


@dataclass(frozen=True, kw_only=True)
class Shape:
    """Sizes of the store."""

    videos: int
    frames: int
    width: int

    @property
    def video_bytes(self) -> int:
        """Of a video's frames."""
        return self.frames * self.width * 2


class MappedFeatures:
    """The same bytes through ``numpy.memmap``: one of (videos, frames, width), or where shards are, one for each.

    The store only says at which bytes of which file the values begin.
    """

    def __init__(self, path: Path, shape: Shape):
        self._shape = shape
        with open_store(path) as store:
            column = store.column("videos/frames")
            if path.is_dir():
                numbers, places = np.asarray(column._numbers), np.asarray(column.places)  # type: ignore[attr-defined]
                self._files = [np.memmap(file, np.uint8, "r") for file in sorted(path.glob("shard-*.tar"))]
                self._numbers: list[int] = numbers.tolist()
                self._places: list[int] = places.tolist()
                self._whole = None
            else:
                values = column.values  # type: ignore[attr-defined]
                sizes = (shape.videos, shape.frames, shape.width)
                self._whole = np.memmap(path, np.float16, "r", offset=values.base.offset, shape=sizes)

    def __call__(self, rows: Rows) -> torch.Tensor:
        """(B, frames, width) float16."""
        if self._whole is not None:
            return torch.from_numpy(np.stack([self._whole[row] for row in rows]))
        return torch.from_numpy(np.stack([self._video(row) for row in rows.tolist()]))

    def _video(self, row: int) -> NDArray[np.float16]:
        start, shape = self._places[row], self._shape
        values = self._files[self._numbers[row]][start : start + shape.video_bytes]
        return values.view(np.float16).reshape(shape.frames, shape.width)


class _Batches(Dataset[Any]):
    """Reads one batch for each index."""

    def __init__(self, read: Callable[[Rows], Any], batches: Sequence[Rows]):
        self._read = read
        self._batches = batches

    def __len__(self) -> int:
        return len(self._batches)

    def __getitem__(self, number: int) -> Any:
        return self._read(self._batches[number])


def seconds_to_read(
    read: Callable[[Rows], Any],
    batches: Sequence[Rows],
    workers: int,
    *,
    in_order: Callable[[Sequence[Rows]], Iterable[Rows]] = iter,
) -> float:
    """Seconds from the first batch to the last; ``in_order`` gives the batches to this process, where it reads them itself."""
    if workers:
        whole = _Batches(read, batches)
        passing: Iterator[Any] = iter(DataLoader(whole, batch_size=None, num_workers=workers, collate_fn=_same))
    else:
        passing = map(read, in_order(batches))
    next(passing)
    started = time.perf_counter()
    for _ in passing:
        pass
    return time.perf_counter() - started


def _same(batch: Any) -> Any:
    return batch


def drop_from_cache(path: Path) -> None:
    """Asks the operating system to forget the file, or the folder's files: all but the pages that are mapped."""
    gc.collect()  # stores and maps that are let go, but not gone
    for file in sorted(path.iterdir()) if path.is_dir() else [path]:
        descriptor = os.open(file, os.O_RDONLY)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)


def chosen_batches(store: FeatureStore, order: str, batch_size: int, count: int) -> list[Rows]:
    """``count`` batches and one before them, in the order of training or of the file."""
    rows = np.arange(len(store))
    if order == "sequential":
        found = list(sequential_batches(rows, batch_size))
    else:
        found = bucketed_batches(rows, video_lengths(store, rows), batch_size, np.random.default_rng(0))
    return [batch for batch in found if len(batch) == batch_size][: count + 1]


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Seconds of both sides, one for each repetition, for ``samples`` videos."""

    form: str
    order: str
    workers: int
    samples: int
    ours: list[float]
    mapped: list[float]

    @property
    def ratios(self) -> list[float]:
        """Our speed over that of ``numpy.memmap``."""
        return [theirs / own for own, theirs in zip(self.ours, self.mapped, strict=True)]

    def cells(self, video_bytes: int) -> list[str]:
        """A row of the table."""
        speeds = [self.samples / median(seconds) for seconds in (self.ours, self.mapped)]
        shown = [[f"{speed:,.0f}", f"{speed * video_bytes / 1e9:.2f}"] for speed in speeds]
        ratio = f"{median(self.ratios):.2f} ({min(self.ratios):.2f} … {max(self.ratios):.2f})"
        return [self.form, self.order, str(self.workers), *shown[0], *shown[1], ratio]


def measure(
    path: Path, shape: Shape, *, order: str, workers: int, batch_size: int, batches: int, repetitions: int, cold: bool
) -> Measured:
    """Both sides in turn."""
    ours: list[float] = []
    mapped: list[float] = []
    chosen = _chosen(path, order, batch_size, batches)
    for repetition in range(-1, repetitions):  # the first pass only fills the page cache
        for seconds, is_ours in ((ours, True), (mapped, False)):
            if cold:
                drop_from_cache(path)
            taken = _seconds_of_one_side(path, None if is_ours else shape, chosen, workers)
            if repetition >= 0:
                seconds.append(taken)
    samples = (len(chosen) - 1) * batch_size
    form = "shards" if path.is_dir() else "HDF5"
    return Measured(form=form, order=order, workers=workers, samples=samples, ours=ours, mapped=mapped)


def _chosen(path: Path, order: str, batch_size: int, count: int) -> list[Rows]:
    with open_store(path) as store:
        return chosen_batches(store, order, batch_size, count)


def _seconds_of_one_side(path: Path, shape: Shape | None, batches: Sequence[Rows], workers: int) -> float:
    """Ours, or that of ``numpy.memmap`` for a ``shape``; nothing is mapped any more when it returns."""
    if shape is not None:
        return seconds_to_read(MappedFeatures(path, shape), batches, workers)
    with open_store(path) as store:
        return seconds_to_read(partial(collate, store), batches, workers, in_order=partial(reading_ahead, store))


def webdataset_samples_per_second(path: Path) -> float:
    """What the ``webdataset`` package reads of the first shard, one video after the other, each decoded."""
    import webdataset
    from webdataset.tariterators import group_by_keys, tar_file_expander

    shard = path / "shard-000000.tar"
    with shard.open("rb") as stream:  # the package would leave it open
        opened = iter([{"url": shard.name, "stream": stream}])
        passing = iter(webdataset.DataPipeline(lambda: opened, tar_file_expander, group_by_keys, webdataset.decode()))
        next(passing)
        started = time.perf_counter()
        read = sum(1 for _ in passing)
        return read / (time.perf_counter() - started)


def profile(path: Path, batches: Sequence[Rows]) -> str:
    """Where our side spends its time: microseconds a video by function, without what the function calls."""
    with open_store(path) as store:
        for rows in batches:
            collate(store, rows)
        recorder = cProfile.Profile()
        recorder.enable()
        for rows in batches:
            collate(store, rows)
        recorder.disable()
    videos = sum(len(rows) for rows in batches)
    stats: Any = pstats.Stats(recorder)
    rows_ = sorted(((own, calls, where) for where, (_, calls, own, *_) in stats.stats.items()), reverse=True)
    lines = [
        [f"{Path(file).name}:{line} {name}" if line else name, f"{calls / videos:.2f}", f"{own / videos * 1e6:.2f}"]
        for own, calls, (file, line, name) in rows_[:PROFILE_LINES]
    ]
    return table(
        ["function", "calls a video", "µs a video"], [[cell.replace("|", "/") for cell in row] for row in lines]
    )


def report(measured: Sequence[Measured], shape: Shape, *, profiles: str, webdataset: float) -> str:
    """The tables."""
    header = ["store", "order", "workers", "samples/s", "GB/s", "memmap samples/s", "memmap GB/s", "ours over memmap"]
    blocks = [table(header, [one.cells(shape.video_bytes) for one in measured])]
    below = [one for one in measured if median(one.ratios) < TARGET]
    blocks.append(
        f"{len(measured) - len(below)} of {len(measured)} reach the target, {TARGET}. For comparison, the webdataset package "
        f"alone, sequential, without workers, decoding each sample of the shards: {webdataset:,.0f} samples/s."
    )
    return "\n\n".join([*blocks, profiles])


def main(words: Sequence[str] | None = None) -> None:
    """Prints the tables as Markdown."""
    options = parser(__doc__, repetitions=5)
    options.add_argument("--videos", type=int, default=200_000, help="[%(default)s]")
    options.add_argument("--frames", type=int, default=60, help="of a video [%(default)s]")
    options.add_argument("--width", type=int, default=512, help="of a frame's feature [%(default)s]")
    options.add_argument("--batch-size", type=int, default=64, help="[%(default)s]")
    options.add_argument("--batches", type=int, default=200, help="of one measurement [%(default)s]")
    options.add_argument("--workers", type=int, nargs="+", default=[0, 1, 2, 3, 4], help="[0 1 2 3 4]")
    options.add_argument("--cold", action="store_true", help="drop the files from the page cache before every pass")
    arguments: argparse.Namespace = options.parse_args(words)
    shape = Shape(videos=arguments.videos, frames=arguments.frames, width=arguments.width)
    measured, profiles = [], []
    webdataset = 0.0
    for ending in (".h5", ""):
        name = f"read-{shape.videos}x{shape.frames}x{shape.width}{ending}"
        path = write_synthetic_store(arguments.work / name, text=TINY_TEXT, **vars(shape))
        for order in ("random", "sequential"):
            for workers in arguments.workers:
                found = measure(
                    path,
                    shape,
                    order=order,
                    workers=workers,
                    batch_size=arguments.batch_size,
                    batches=arguments.batches,
                    repetitions=arguments.repetitions,
                    cold=arguments.cold,
                )
                measured.append(found)
                print(*found.cells(shape.video_bytes), sep="  ", file=sys.stderr, flush=True)
        with open_store(path) as store:
            chosen = chosen_batches(store, "random", arguments.batch_size, arguments.batches)
        form = "shards" if path.is_dir() else "HDF5"
        profiles.append(f"Profile of reading {form} at random without workers (the profiler itself slows calls down):")
        profiles.append(profile(path, chosen))
        if path.is_dir():
            webdataset = webdataset_samples_per_second(path)
    cache = (
        "dropped from the page cache before every pass" if arguments.cold else "in the page cache as far as they fit"
    )
    size = shape.videos * shape.video_bytes / 1e9
    note = (
        f"{shape.videos:,} videos × {shape.frames} frames × {shape.width}, {size:.1f} GB; files {cache}; "
        f"{arguments.batches} batches of {arguments.batch_size} at a time."
    )
    body = report(measured, shape, profiles="\n\n".join(profiles), webdataset=webdataset)
    heading = "Reading features" + (" from the disk" if arguments.cold else "")
    publish(arguments, heading, body, note=note, packages=("torch", "h5py", "numpy", "webdataset"))


if __name__ == "__main__":
    main()
