"""Peak memory of extraction over 100 to 10,000 files: it must not grow with the number of files.

    python benchmarks/extract_memory.py [--files 100 1000 10000] [--write]

How it is measured: ``benchmarks/memory_growth.py``. Parts and the merge are as ever. ``--clips FOLDER`` repeats other videos
in place of the small clips.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # a script finds only its own folder

from benchmarks.measured_process import OPTSG_EXTRACT, run_measured  # noqa: E402
from benchmarks.memory_growth import PEAKS, Measure, Workplace, peaks, run_benchmark  # noqa: E402

HEADER = ["files", "frames", "seconds", "files/s", *PEAKS]


def prepare(work: Workplace) -> Measure:
    """Extraction with the random encoders."""

    def measure(clips: Path, out: Path) -> list[str]:
        log = out.with_suffix(".jsonl")
        encoders = ["--image-encoder", str(work.models / "timm"), "--text-encoder", str(work.models / "bert")]
        outputs = ["--out", str(out.with_suffix(".h5")), "--json-log", str(log), "--quiet"]
        usage = run_measured([OPTSG_EXTRACT, str(clips), *outputs, *encoders, *work.options])
        finished = json.loads(log.read_text(encoding="utf-8").splitlines()[-1])
        seconds, videos = finished["seconds"], finished["videos"]
        counts = [f"{videos:,}", f"{finished['frames']:,}", f"{seconds:.1f}", f"{videos / seconds:.1f}"]
        return [*counts, *peaks(usage)]

    return measure


if __name__ == "__main__":
    run_benchmark(__doc__, "Memory", HEADER, (100, 1000, 10_000), prepare)
