"""Peak memory of extraction over 100 to 10,000 files: it must not grow with the number of files.

    python benchmarks/extract_memory.py [--files 100 1000 10000] [--write]

Small clips (1 to 3 s, 160×120, h264) and the smallest image tower of timm, randomly initialised: workers, batching, parts
and the merge, which are what could grow, are the same as ever, and 10,000 files take minutes. Every run is an
``optsg-extract`` of its own; peaks are the kernel's high-water marks of the main process and of the largest worker, all
threads and libraries included. ``--clips FOLDER`` repeats other videos instead, under new names.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # a script finds only its own folder

from benchmarks.clips import make_tiny_clips, repeat_files  # noqa: E402
from benchmarks.measured_process import OPTSG_EXTRACT, run_measured  # noqa: E402
from benchmarks.results_file import command, described_machine, table, write_results  # noqa: E402

BENCHMARKS = Path(__file__).resolve().parent
HEADER = ["files", "frames", "seconds", "files/s", "peak MiB, main", "peak MiB, largest worker", "processes"]


def measure(clips: Path, models: Path, out: Path, options: list[str]) -> list[str]:
    """One row of the table."""
    log = out.with_suffix(".jsonl")
    encoders = ["--image-encoder", str(models / "timm"), "--text-encoder", str(models / "bert")]
    outputs = ["--out", str(out), "--json-log", str(log), "--quiet"]
    usage = run_measured([OPTSG_EXTRACT, str(clips), *outputs, *encoders, *options])
    finished = json.loads(log.read_text(encoding="utf-8").splitlines()[-1])
    seconds, videos = finished["seconds"], finished["videos"]
    counts = [f"{videos:,}", f"{finished['frames']:,}", f"{seconds:.1f}", f"{videos / seconds:.1f}"]
    return [*counts, f"{usage.main_mib:,.0f}", f"{usage.largest_child_mib:,.0f}", str(1 + usage.children)]


def main() -> None:
    """Prints one row per number of files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, nargs="+", default=[100, 1000, 10000])
    parser.add_argument("--clips", type=Path, help="folder of .mp4 files to repeat, in place of the small clips")
    parser.add_argument("--workers", type=int, help="[the default of optsg-extract]")
    parser.add_argument("--write", action="store_true", help="put the table into benchmarks/RESULTS.md")
    arguments = parser.parse_args()
    options = [] if arguments.workers is None else ["--workers", str(arguments.workers)]
    rows = []
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        script: list[str | Path] = [sys.executable, BENCHMARKS / "random_models.py", work / "models", "--tiny"]
        subprocess.run(script, check=True)  # noqa: S603
        kinds = arguments.clips or make_tiny_clips(work / "kinds")
        for files in arguments.files:
            repeat_files(kinds, work / "clips", files)
            rows.append(measure(work / "clips", work / "models", work / f"{files}.h5", options))
            print(" | ".join(rows[-1]), file=sys.stderr, flush=True)
            shutil.rmtree(work / "clips")
    text = f"`{command()}`\n\n{described_machine()}\n\n{table(HEADER, rows)}"
    print(text)
    if arguments.write:
        write_results("Memory", text)


if __name__ == "__main__":
    main()
