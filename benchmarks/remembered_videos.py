"""Nearest neighbours among remembered videos: what one search costs, and what it finds, by how many there are.

    python benchmarks/remembered_videos.py [--videos 10000 100000 1000000] [--width 256] [--write]

Directions are drawn around a centre for every hundred videos, and queries around the same centres. ``found`` is the share of
the 30 nearest of all that a search finds; milliseconds are processor time of one query of a batch of 16, medians. The
vectors are read from a file that is mapped, as those of a run are.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import numpy as np
import torch
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # a script finds only its own folder

from optsg.train.recall.memory import NEIGHBOURS  # noqa: E402
from optsg.train.recall.neighbours import Neighbours, directions_of, sorted_by_cell  # noqa: E402
from optsg.train.run_files import load_tensors, save_tensors  # noqa: E402

from benchmarks.options import parser, publish  # noqa: E402
from benchmarks.results_file import table  # noqa: E402

BATCH = 16
PER_CENTRE = 100
SPREAD = 0.6
"""Of a video around its centre, beside the centres' own spread of 1."""


def clustered(videos: int, centres: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float16]:
    """(I, W) directions."""
    made = np.empty((videos, centres.shape[1]), np.float16)
    for start in range(0, videos, 1 << 16):
        own = centres[rng.integers(len(centres), size=min(1 << 16, videos - start))]
        noise = rng.standard_normal(own.shape, np.float32)
        made[start : start + len(own)] = directions_of(own + SPREAD * noise)
    return made


def cost(index: Neighbours, asked: NDArray[np.float32]) -> tuple[float, NDArray[np.int64]]:
    """Milliseconds a query, and what is found."""
    times, found = [], []
    for start in range(0, len(asked), BATCH):
        began = time.process_time()
        found.append(index.search(asked[start : start + BATCH], NEIGHBOURS)[1])
        times.append(time.process_time() - began)
    return 1e3 * median(times) / BATCH, np.concatenate(found)


def measured(videos: int, width: int, queries: int, folder: Path) -> list[str]:
    """A row of the table."""
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((max(1, videos // PER_CENTRE), width), np.float32)
    vectors, asked = clustered(videos, centres, rng), clustered(queries, centres, rng).astype(np.float32)
    began = time.perf_counter()
    made = sorted_by_cell(vectors)
    seconds = time.perf_counter() - began
    cells = None if made is None else made[1]
    save_tensors(
        folder / "vectors.safetensors", {"vectors": torch.from_numpy(vectors if made is None else vectors[made[0]])}
    )
    mapped = load_tensors(folder / "vectors.safetensors")[0]["vectors"].numpy()
    exact, all_nearest = cost(Neighbours(vectors=mapped), asked)
    row = [f"{videos:,}", f"{exact:.1f}"]
    if cells is None:
        return [*row, "", "", "", ""]
    some, nearest = cost(Neighbours(vectors=mapped, cells=cells), asked)
    hits = np.mean([len({*a} & {*b}) / NEIGHBOURS for a, b in zip(all_nearest.tolist(), nearest.tolist(), strict=True)])
    return [*row, f"{some:.1f}", f"{exact / some:.1f} ×", f"{100 * hits:.1f} %", f"{seconds:.0f}"]


def main(words: Sequence[str] | None = None) -> None:
    """Prints the table, and writes it with ``--write``."""
    options = parser(__doc__, repetitions=None)
    options.add_argument("--videos", type=int, nargs="+", default=[10_000, 100_000, 1_000_000], help="[%(default)s]")
    options.add_argument("--width", type=int, default=256, help="of a vector [%(default)s]")
    options.add_argument("--queries", type=int, default=160, help="[%(default)s]")
    arguments = options.parse_args(words)
    torch.set_num_threads(1)
    with TemporaryDirectory() as folder:
        rows = [measured(videos, arguments.width, arguments.queries, Path(folder)) for videos in arguments.videos]
    header = ["videos", "all looked at, ms", "by cells, ms", "ratio", "found", "made, s"]
    publish(arguments, "Remembered videos", table(header, rows), packages=("torch", "scikit-learn"))


if __name__ == "__main__":
    main()
