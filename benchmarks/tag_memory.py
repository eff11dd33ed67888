"""Peak memory of ``optsg-tag`` over 100 to 100,000 files: it must not grow with the number of files.

    python benchmarks/tag_memory.py [--files 100 1000 10000 100000] [--write]

How it is measured: ``benchmarks/memory_growth.py``. The run is trained for one epoch on some clips: what its tags are worth
does not matter. Every file has a title of its own in the folder's ``metadata.jsonl``. Each size is tagged twice into one
output, once from nothing and once when all is done already, which reads the whole output and writes nothing. ``--clips
FOLDER`` repeats other videos in place of the small clips.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # a script finds only its own folder

from benchmarks.clips import repeat_files  # noqa: E402
from benchmarks.measured_process import OPTSG_EXTRACT, run_measured  # noqa: E402
from benchmarks.memory_growth import PEAKS, Measure, Workplace, peaks, run_benchmark  # noqa: E402

HEADER = ["files", "seconds", "files/s", *PEAKS, "seconds, all done before", "peak MiB, main, all done before"]
OPTSG_TRAIN, OPTSG_TAG = (OPTSG_EXTRACT.with_name(name) for name in ("optsg-train", "optsg-tag"))
MODEL = ("width=32", "heads=4", "title_layers=1", "decoder_layers=1", "prompts=8", "epochs=1", "batch_size=8")
WORDS = ("cat", "dog", "fox", "owl", "lake", "wood", "farm")
TRAINED_ON = 20
"""Clips."""

LONGEST = 24 * 3600.0
"""Seconds."""


def write_metadata(folder: Path, *, with_tags: bool = False) -> None:
    """A title for each clip of a folder and, to train on, tags and splits."""
    with (folder / "metadata.jsonl").open("w", encoding="utf-8") as file:
        for number, path in enumerate(sorted(folder.glob("*.mp4"))):
            words = [WORDS[number % len(WORDS)], WORDS[number // len(WORDS) % len(WORDS)]]
            row = {"file_name": path.name, "title": f"the {words[0]} at the {words[1]} {number}"}
            split = "val" if number % 4 == 3 else "train"
            file.write(json.dumps({**row, "tags": words, "split": split} if with_tags else row) + "\n")


def train(work: Workplace) -> Path:
    """A run on some of the clips."""
    clips, feats, run = (work.folder / name for name in ("train", "feats.h5", "run"))
    repeat_files(work.kinds, clips, TRAINED_ON)
    write_metadata(clips, with_tags=True)
    encoders: list[str | Path] = ["--image-encoder", work.models / "timm", "--text-encoder", work.models / "bert"]
    run_measured([OPTSG_EXTRACT, clips, "--out", feats, *encoders, "--quiet"])
    settings = [word for setting in MODEL for word in ("--set", setting)]
    run_measured([OPTSG_TRAIN, "--feats", feats, "--run", run, "--quiet", *settings])
    return run


def prepare(work: Workplace) -> Measure:
    """Tagging with a run of one epoch."""
    run = train(work)

    def measure(clips: Path, out: Path) -> list[str]:
        write_metadata(clips)
        tags = out.with_suffix(".jsonl")
        tag: list[str | Path] = [OPTSG_TAG, clips, "--run", run, "--out", tags, *work.options]
        first = run_measured(tag, timeout=LONGEST)
        with tags.open(encoding="utf-8") as lines:
            files = sum("tags" in json.loads(line) for line in lines)
        again = run_measured(tag, timeout=LONGEST)
        counts = [f"{files:,}", f"{first.wall:.1f}", f"{files / first.wall:.1f}"]
        return [*counts, *peaks(first), f"{again.wall:.1f}", f"{again.main_mib:,.0f}"]

    return measure


if __name__ == "__main__":
    run_benchmark(__doc__, "Memory of tagging", HEADER, (100, 1000, 10_000, 100_000), prepare)
