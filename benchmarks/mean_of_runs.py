"""Mean and standard deviation of several runs' metrics, as a Markdown table.

python benchmarks/mean_of_runs.py [--split test] runs/seed-0 runs/seed-1 runs/seed-2
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path
from typing import Any

ROWS = {
    "label-based F1, all tags": ("label_based", "full", "f1"),
    "label-based F1, rare tags": ("label_based", "rare", "f1"),
    "label-based F1, common tags": ("label_based", "common", "f1"),
    "example-based precision": ("example_based", "precision"),
    "example-based recall": ("example_based", "recall"),
    "example-based F1": ("example_based", "f1"),
}


def look_up(metrics: dict[str, Any], path: tuple[str, ...]) -> float:
    """The number at a path of keys, in percent."""
    value: Any = metrics
    for key in path:
        value = value[key]
    return 100 * float(value)


def main() -> None:
    """Prints one row per metric: mean ± standard deviation, then each run's figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--split", default="test")
    parser.add_argument("runs", type=Path, nargs="+")
    arguments = parser.parse_args()
    files = [run / "eval" / arguments.split / "metrics.json" for run in arguments.runs]
    metrics = [json.loads(file.read_text(encoding="utf-8")) for file in files]
    print("| metric | mean ± sd | " + " | ".join(run.name for run in arguments.runs) + " |")
    print("| --- " * (2 + len(files)) + "|")
    for name, path in ROWS.items():
        values = [look_up(one, path) for one in metrics]
        spread = statistics.stdev(values) if len(values) > 1 else 0.0
        print(f"| {name} | {statistics.mean(values):.1f} ± {spread:.1f} | {' | '.join(f'{v:.1f}' for v in values)} |")


if __name__ == "__main__":
    main()
