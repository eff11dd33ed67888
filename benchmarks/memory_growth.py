"""What the benchmarks of memory share: a command over more and more files, each time a process of its own.

Small clips (1 to 3 s, 160×120, h264) are repeated under new names, so that many files cost minutes; encoders are the
smallest of timm and a small BERT, randomly initialised. Workers, batching and whatever could grow are the same as ever.
Peaks are the kernel's high-water marks of the main process and of the largest worker, all threads and libraries included.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from benchmarks.clips import make_tiny_clips, repeat_files
from benchmarks.measured_process import Usage
from benchmarks.results_file import command, described_machine, table, write_results

BENCHMARKS = Path(__file__).resolve().parent
PEAKS = ["peak MiB, main", "peak MiB, largest worker", "processes"]


@dataclass(frozen=True, kw_only=True)
class Workplace:
    """Where a benchmark works.

    Attributes:
        folder: for what it makes.
        kinds: the different clips.
        models: a random image tower ``timm`` and a random text encoder ``bert``.
        workers: decoding processes; ``None`` is the command's default.
    """

    folder: Path
    kinds: Path
    models: Path
    workers: int | None

    @property
    def options(self) -> list[str]:
        """For the command."""
        return [] if self.workers is None else ["--workers", str(self.workers)]


class Measure(Protocol):
    """Runs the command over a folder of clips."""

    def __call__(self, clips: Path, out: Path) -> list[str]:
        """One row of the table."""
        ...


def peaks(usage: Usage) -> list[str]:
    """The cells under ``PEAKS``."""
    return [f"{usage.main_mib:,.0f}", f"{usage.largest_child_mib:,.0f}", str(1 + usage.children)]


def run_benchmark(
    description: str | None,
    heading: str,
    header: Sequence[str],
    sizes: Sequence[int],
    prepare: Callable[[Workplace], Measure],
) -> None:
    """Reads the command line, prints a row for each number of files, and writes the table where that is wanted.

    Args:
        description: of the benchmark, for ``--help``.
        heading: in ``RESULTS.md``.
        header: of the table.
        sizes: numbers of files by default.
        prepare: makes what is measured.
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, nargs="+", default=list(sizes))
    parser.add_argument("--clips", type=Path, help="folder of .mp4 files to repeat, in place of the small clips")
    parser.add_argument("--workers", type=int, help="[the default of the command]")
    parser.add_argument("--write", action="store_true", help="put the table into benchmarks/RESULTS.md")
    arguments = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        script: list[str | Path] = [sys.executable, BENCHMARKS / "random_models.py", work / "models", "--tiny"]
        subprocess.run(script, check=True)  # noqa: S603
        kinds = arguments.clips or make_tiny_clips(work / "kinds")
        measure = prepare(Workplace(folder=work, kinds=kinds, models=work / "models", workers=arguments.workers))
        for files in arguments.files:
            repeat_files(kinds, work / "clips", files)
            rows.append(measure(work / "clips", work / f"{files}"))
            print(" | ".join(rows[-1]), file=sys.stderr, flush=True)
            shutil.rmtree(work / "clips")
    text = f"`{command()}`\n\n{described_machine()}\n\n{table(header, rows)}"
    print(text)
    if arguments.write:
        write_results(heading, text)
