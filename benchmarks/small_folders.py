"""What does a person with a few dozen files get? Runs of a part of a store, decided by the system alone and by the ranker.

    python benchmarks/small_folders.py --feats FEATS [--feats OTHER …] [--videos 15 25 40 100] [--draws 3] [--systems sources] [--write]

Each part is so many of the store's training videos, of which as many validate as ``optsg-train`` would take. Every system is
trained with its defaults; the whole test split is tagged. Runs are kept in ``--work`` and taken up again. The store is never changed.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # a script finds only its own folder

from optsg.data.media import SPLITS  # noqa: E402
from optsg.data.store import FeatureStore  # noqa: E402
from optsg.evaluate.cli import main as optsg_eval  # noqa: E402
from optsg.train.cli import main as optsg_train  # noqa: E402
from optsg.train.run.validation_share import validation_share  # noqa: E402
from optsg.train.run_files import DECISION, RANKER  # noqa: E402

from benchmarks.learning_curve import copy_with_splits  # noqa: E402
from benchmarks.options import parser, publish  # noqa: E402
from benchmarks.results_file import table  # noqa: E402


def part_of(feats: Path, videos: int, draw: int, work: Path) -> Path:
    """A copy of a store in one file in which so many training videos train and validate; the others belong to no set."""

    def splits(store: FeatureStore) -> NDArray[np.uint8]:
        drawn = np.random.default_rng(draw).permutation(store.indices("train"))[:videos]
        chosen = np.full(len(store.splits), SPLITS.index("none"), np.uint8)
        chosen[store.indices("test")] = SPLITS.index("test")
        chosen[drawn] = SPLITS.index("train")
        chosen[drawn[: validation_share(videos)]] = SPLITS.index("val")
        return chosen

    return copy_with_splits(feats, work / "small-folders" / f"{feats.stem}-{videos}-{draw}.h5", splits)


def evaluated(feats: Path, system: str, seed: int, words: Sequence[str], folder: str) -> dict[str, Any]:
    """Test metrics of a run with further options, which is trained where it is not there yet."""
    run = feats.with_suffix("") / system
    if not (run / DECISION).is_file():
        options = ["--feats", str(feats), "--run", str(run), "--system", system, "--seed", str(seed), "--quiet"]
        optsg_train(options, standalone_mode=False)
    if words or (run / RANKER).is_file():
        options = ["--run", str(run), "--feats", str(feats), "--split", "test", "--quiet", *words]
        optsg_eval(options, standalone_mode=False)
        found: dict[str, Any] = json.loads((run / "eval" / folder / "metrics.json").read_text(encoding="utf-8"))
        return found
    return {}


def cell(found: Sequence[dict[str, Any]]) -> str:
    """Means over draws."""
    if not all(found):
        return "no ranker"
    full = 100 * np.mean([each["label_based"]["full"]["f1"] for each in found])
    example = 100 * np.mean([each["example_based"]["f1"] for each in found])
    hits = np.mean([each["novel"]["hits"] for each in found])
    given = np.mean([each["novel"]["predicted_per_item"] * each["items"] for each in found])
    return f"{full:.1f} · {example:.1f} · {hits:.0f} of {given:.0f}"


def rows_of(feats: Path, systems: Sequence[str], sizes: Sequence[int], draws: int, work: Path) -> list[list[str]]:
    """The table's rows of one store."""
    rows = []
    for system in systems:
        for videos in sizes:
            parts = [part_of(feats, videos, draw, work) for draw in range(draws)]
            alone, ranked = (
                [evaluated(part, system, draw, words, folder) for draw, part in enumerate(parts)]
                for words, folder in ((("--decision", "scalar"), "test-decision-scalar"), ((), "test"))
            )
            rows.append(
                [feats.stem, f"`{system}`", f"{videos}", f"{validation_share(videos)}", cell(alone), cell(ranked)]
            )
    return rows


def main(words: Sequence[str] | None = None) -> None:
    """Trains what is missing, prints the table, and writes it with ``--write``."""
    options = parser(__doc__, repetitions=None)
    options.add_argument("--feats", type=Path, action="append", required=True, help="a feature store")
    options.add_argument("--systems", nargs="+", default=["sources"], help="[sources]")
    options.add_argument("--videos", nargs="+", type=int, default=[15, 25, 40, 100], help="[15 25 40 100]")
    options.add_argument("--draws", type=int, default=3, help="parts of each size [3]")
    arguments = options.parse_args(words)
    rows = [
        row
        for feats in arguments.feats
        for row in rows_of(feats, arguments.systems, arguments.videos, arguments.draws, arguments.work)
    ]
    columns = ["store", "system", "videos", "of them validate", "the system alone", "the ranker, balanced"]
    body = table(columns, rows) + "\n\nFull F1 · example-based F1 · novel tags: right, of so many given; on test."
    publish(arguments, "Small folders", body)


if __name__ == "__main__":
    main()
