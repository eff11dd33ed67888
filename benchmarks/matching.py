"""Matching alone: 256 videos of 30 prompts, against scipy on squares padded with [NIL], one video after the other.

    python benchmarks/matching.py --write

Prompts and tag embeddings are random, 384 wide; numbers of tags are those of the sample data, 8.4 on average. Ours is
:func:`optsg.train.model.matching.assign_tags`. The other side pads each video's tags with [NIL] up to 30, as Eq. 2 is written,
and solves the square. Both give assignments of the same value, which is checked.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from optsg.train.model.matching import NO_TAG, assign_tags
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torch.nn import functional

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # a script finds only its own folder

from benchmarks.alternating import Timings, alternate  # noqa: E402
from benchmarks.options import parser, publish  # noqa: E402
from benchmarks.results_file import table  # noqa: E402
from benchmarks.synthetic_store import TAG_COUNTS, TAGS  # noqa: E402

WIDTH = 384


@dataclass(frozen=True, kw_only=True)
class Problem:
    """Prompts (B, N, E), the videos' tags, embeddings of all tags (U, E) and of [NIL] (E,)."""

    prompts: Tensor
    tags: list[NDArray[np.int64]]
    embeddings: Tensor
    nil: Tensor


def make_problem(videos: int, prompts: int, *, seed: int = 0) -> Problem:
    """A random one; no video has more tags than there are prompts."""
    random = np.random.default_rng(seed)
    shares = np.array(TAG_COUNTS) / sum(TAG_COUNTS)
    counts = np.minimum(random.choice(len(TAG_COUNTS), videos, p=shares), prompts)
    torch.manual_seed(seed)
    return Problem(
        prompts=torch.randn(videos, prompts, WIDTH),
        tags=[np.sort(random.choice(TAGS, int(count), replace=False)) for count in counts],
        embeddings=torch.randn(TAGS, WIDTH),
        nil=torch.randn(WIDTH),
    )


def ours(problem: Problem) -> NDArray[np.int64]:
    """(B, N)."""
    return assign_tags(problem.prompts, problem.tags, problem.embeddings, problem.nil)


def padded_squares(problem: Problem) -> NDArray[np.int64]:
    """(B, N), one video after the other."""
    prompts = problem.prompts.shape[1]
    found = np.full((len(problem.tags), prompts), NO_TAG, np.int64)
    for row, (video, tags) in enumerate(zip(problem.prompts, problem.tags, strict=True)):
        nothing = problem.nil.expand(prompts - len(tags), -1)
        candidates = torch.cat([problem.embeddings[torch.from_numpy(tags)], nothing])
        similarity = functional.cosine_similarity(video[:, None], candidates[None], dim=-1)
        _, columns = linear_sum_assignment(-similarity.numpy())
        real = columns < len(tags)
        found[row, real] = tags[columns[real]]
    return found


def value(problem: Problem, assignment: NDArray[np.int64]) -> float:
    """Eq. 2's sum of cosines."""
    tags = torch.from_numpy(assignment)
    matched = torch.where((tags == NO_TAG)[..., None], problem.nil, problem.embeddings[tags.clamp(min=0)])
    return float(functional.cosine_similarity(problem.prompts, matched, dim=-1).double().sum())


def measure(videos: int, prompts: int, repetitions: int) -> Timings:
    """Both in turn.

    Raises:
        SystemExit: their assignments have different values.
    """
    problem = make_problem(videos, prompts)
    values = [value(problem, solve(problem)) for solve in (ours, padded_squares)]
    if abs(values[0] - values[1]) > 1e-3:
        sys.exit(f"the assignments differ in value: ours {values[0]}, padded squares {values[1]}")
    return alternate({"ours": lambda: ours(problem), "padded": lambda: padded_squares(problem)}, repetitions)


def report(timings: Timings, videos: int) -> str:
    """The table."""
    names = {"ours": "`assign_tags`", "padded": "scipy on padded squares, one by one"}
    ratio = {"ours": str(timings.ratio("padded", "ours")), "padded": ""}
    rows = [
        [shown, f"{1000 * timings.wall(name):.2f}", f"{1000 * timings.cpu(name):.2f}", f"{videos / timings.wall(name):,.0f}", ratio[name]]
        for name, shown in names.items()
    ]  # fmt: skip
    return table(["matching", "ms a batch", "CPU ms", "videos/s", "speed over padded squares"], rows)


def main(words: Sequence[str] | None = None) -> None:
    """Prints the table as Markdown."""
    options = parser(__doc__, repetitions=31)
    options.add_argument("--batch-size", type=int, default=256, help="[%(default)s]")
    options.add_argument("--prompts", type=int, default=30, help="[%(default)s]")
    arguments: argparse.Namespace = options.parse_args(words)
    timings = measure(arguments.batch_size, arguments.prompts, arguments.repetitions)
    note = f"{arguments.batch_size} videos, {arguments.prompts} prompts."
    publish(arguments, "Matching", report(timings, arguments.batch_size), note=note, packages=("torch", "scipy"))


if __name__ == "__main__":
    main()
