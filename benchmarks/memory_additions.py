"""What examples are worth that a run is given after training, against training it with them.

    python benchmarks/memory_additions.py --feats FEATS [--system memory …] [--share 0.1] [--examples 5] [--seed 0] [--write]

A share of the tags that have enough training videos is taken off all videos that a run learns from. So many examples of each,
training videos that had the tag, are then given to the run with ``optsg-memory add``; an example carries no held-out tag but
the one that it is an example of. Another run is trained with these examples from the start, and with ``--all`` a third with
all that the store has. All are evaluated on the test split. The store is never changed: each run has a copy of it.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import h5py
import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # a script finds only its own folder

from optsg.data.media import SPLITS  # noqa: E402
from optsg.data.store import FeatureStore, open_store  # noqa: E402
from optsg.data.tags import tag_key  # noqa: E402
from optsg.evaluate.cli import main as optsg_eval  # noqa: E402
from optsg.evaluate.memory.cli import main as optsg_memory  # noqa: E402
from optsg.train.cli import main as optsg_train  # noqa: E402

from benchmarks.results_file import command, described_machine, table, write_results  # noqa: E402

HEADING = "Examples after training"
HEADER = ("system", "run", "F1 of these tags", "full F1", "rare F1", "example-based F1", "seconds")


@dataclass(frozen=True, kw_only=True)
class HeldOut:
    """Attributes: tags: numbers in the store. examples: by tag, rows of its examples."""

    tags: tuple[int, ...]
    examples: Mapping[int, Sequence[int]]


def choose(store: FeatureStore, share: float, examples: int, rng: np.random.Generator) -> HeldOut:
    """Tags to hold out, of those with enough training videos and one for testing, and their examples."""
    train, test = store.indices("train"), store.indices("test")
    eligible = np.flatnonzero((store.tag_counts(train) >= examples) & (store.tag_counts(test) > 0))
    some = rng.choice(eligible, max(1, round(share * len(eligible))), replace=False)
    rows_of: dict[int, list[int]] = {int(tag): [] for tag in some}
    for row in train.tolist():
        for tag in store.tags(row).tolist():
            if tag in rows_of:
                rows_of[tag].append(row)
    chosen = {tag: sorted(rng.choice(rows, examples, replace=False).tolist()) for tag, rows in rows_of.items()}
    return HeldOut(tags=tuple(sorted(rows_of)), examples=chosen)


def copy_without(
    feats: Path, out: Path, held: HeldOut, *, with_examples: bool, only: Collection[int] | None = None
) -> Path:
    """A copy of a store in one file, whose videos for learning have none of the held-out tags but on their examples.

    Args:
        only: the training videos that are left; the other videos for learning belong to no set.
    """
    shutil.copyfile(feats, out)
    is_example = {(row, tag) for tag, rows in held.examples.items() for row in rows} if with_examples else set()
    with open_store(feats) as store, h5py.File(out, "r+") as file:
        learned = {*store.indices("train").tolist(), *store.indices("val").tolist()}
        rows = []
        for row in range(len(store)):
            own = store.tags(row).tolist()
            taken = {tag for tag in held.tags if row in learned and (row, tag) not in is_example}
            rows.append([tag for tag in own if tag not in taken])
        splits = np.array(store.splits)
        for row in learned - set(only) if only is not None else ():
            splits[row] = SPLITS.index("none")
        del file["videos/tags/offsets"], file["videos/tags/values"]
        file["videos/tags/offsets"] = np.cumsum([0, *map(len, rows)], dtype=np.int64)
        file["videos/tags/values"] = np.array([tag for own in rows for tag in own], np.int32)
        file["videos/split"][:] = splits
    return out


def called(program: object, *arguments: object) -> float:
    """Runs a command in this process; seconds that it took."""
    started = time.perf_counter()
    program.main([*map(str, arguments)], standalone_mode=False)  # type: ignore[attr-defined]
    return time.perf_counter() - started


def scores(run: Path, feats: Path, keys: Collection[str]) -> list[float]:
    """F1 of the held-out tags and the metrics of a run on the test videos of a store."""
    called(optsg_eval, "--run", run, "--feats", feats, "--split", "test", "--device", "cpu", "-q")
    folder = run / "eval" / "test"
    metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    found = [json.loads(line) for line in (folder / "predictions.jsonl").read_text(encoding="utf-8").splitlines()]
    by_tag = []
    for key in keys:
        true = np.array([key in map(tag_key, item["true"]) for item in found])
        given = np.array([key in (tag_key(tag["tag"]) for tag in item["tags"]) for item in found])
        by_tag.append(2 * (true & given).sum() / max(1, true.sum() + given.sum()))
    label = metrics["label_based"]
    return [float(np.mean(by_tag)), label["full"]["f1"], label["rare"]["f1"], metrics["example_based"]["f1"]]


def measure(
    feats: Path, work: Path, system: str, held: HeldOut, settings: Sequence[str], *, with_all: bool
) -> list[list[str]]:
    """A row for each way of learning."""
    examples = sorted({row for rows in held.examples.values() for row in rows})
    stores = {
        "without the tags": copy_without(feats, work / "without.h5", held, with_examples=False),
        "trained with the examples": copy_without(feats, work / "with.h5", held, with_examples=True),
        **({"trained with all": feats} if with_all else {}),
    }
    more = copy_without(feats, work / "more.h5", held, with_examples=True, only=examples)
    with open_store(feats) as store:
        keys = [store.tag_keys[tag] for tag in held.tags]
    rows: dict[str, tuple[list[float], float]] = {}
    chosen = [word for setting in settings for word in ("--set", setting)]
    for name, path in stores.items():
        run = work / f"{system}-{len(rows)}"
        options = ("--system", system, "--run", run, "--device", "cpu", "-q", *chosen)
        seconds = called(optsg_train, "--feats", path, *options)
        rows[name] = scores(run, feats, keys), seconds
        if name == "without the tags":
            seconds = called(optsg_memory, "add", run, "--feats", more, "--split", "train", "-q")
            rows["the examples added"] = scores(run, feats, keys), seconds
    return [
        [f"`{system}`", name, *(f"{100 * value:.1f}" for value in values), f"{seconds:.1f}"]
        for name, (values, seconds) in rows.items()
    ]


def worth(rows: Sequence[Sequence[str]], tags: int) -> str:
    """What adding is worth beside training with the same examples, in a sentence."""
    by_name = {row[1]: row for row in rows}
    added, trained = by_name["the examples added"], by_name["trained with the examples"]
    shares = [
        f"{100 * float(one) / max(float(other), 1e-9):.0f} %"
        for one, other in zip(added[2:6], trained[2:6], strict=True)
    ]
    return (
        f"{rows[0][0]}: {shares[0]} of the F1 on the held-out tags that training with the examples gives, "
        f"{shares[1]} of the full F1, {shares[3]} of the example-based; {float(added[6]) / tags:.2f} s a tag."
    )


def parsed() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--feats", type=Path, required=True, help="a feature store in one file")
    parser.add_argument("--system", nargs="+", default=["memory", "sources"])
    parser.add_argument("--share", type=float, default=0.1)
    parser.add_argument("--examples", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--set", nargs="*", default=[], help="settings of all trainings")
    parser.add_argument("--all", action="store_true", help="train with all tags of the store too")
    parser.add_argument("--write", action="store_true", help="into benchmarks/RESULTS.md")
    return parser.parse_args()


def main() -> None:
    """Measures and prints."""
    asked = parsed()
    rng = np.random.default_rng(asked.seed)
    with open_store(asked.feats) as store:
        held = choose(store, asked.share, asked.examples, rng)
    rows, lines = [], []
    for system in asked.system:
        with TemporaryDirectory() as folder:
            found = measure(asked.feats, Path(folder), system, held, asked.set, with_all=asked.all)
        rows += found
        lines.append(worth(found, len(held.tags)))
        print("\n".join([table(HEADER, found), lines[-1]]), flush=True)
    if asked.write:
        about = f"{len(held.tags)} tags held out, {asked.examples} examples of each. {described_machine()}"
        write_results(HEADING, "\n\n".join([f"`{command()}`", about, table(HEADER, rows), *lines]))


if __name__ == "__main__":
    main()
