"""How much is more data worth? The same systems on a share of the training videos, all with the same sources and ranker.

    python benchmarks/learning_curve.py --feats FEATS [--shares 0.25 0.5 1] [--seeds 0] [--systems op-tsg bin sources] [--write]

Shares are nested: every share holds the smaller ones. Validation and test stay as they are, and every run is scored on the tags
of the whole training split, common and rare as they are there, so that rows of different shares are about the same tags.
Rare tags are favoured, and balanced. Runs are kept in ``--work`` and taken up again. The store is never changed.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # a script finds only its own folder

from optsg.data.media import SPLITS  # noqa: E402
from optsg.data.store import FeatureStore, open_store  # noqa: E402
from optsg.evaluate.scores.bootstrap import GROUPS, DrawnF1  # noqa: E402
from optsg.evaluate.scores.evaluation import evaluate_items  # noqa: E402
from optsg.evaluate.scores.saved import read_saved  # noqa: E402
from optsg.train.system_names import FITTED_SYSTEMS  # noqa: E402

from benchmarks.options import parser, publish  # noqa: E402
from benchmarks.results_file import table  # noqa: E402
from benchmarks.rivals import FAVOURED, cell, evaluated, margin, trained_run  # noqa: E402

ORDER_SEED = 0
"""Of the order in which training videos come into larger shares."""


def share_of(feats: Path, share: float, work: Path) -> Path:
    """A copy of a store in one file that trains on a share of its training videos; the others belong to no set."""
    if share == 1:
        return feats

    def splits(store: FeatureStore) -> NDArray[np.uint8]:
        train = np.random.default_rng(ORDER_SEED).permutation(store.indices("train"))
        chosen = np.array(store.splits)
        chosen[train[max(1, round(share * len(train))) :]] = SPLITS.index("none")
        return chosen

    return copy_with_splits(feats, work / "shares" / f"{feats.stem}-{100 * share:g}.h5", splits)


def copy_with_splits(feats: Path, out: Path, splits: Callable[[FeatureStore], NDArray[np.uint8]]) -> Path:
    """A copy of a store in one file with other splits, which is made where it is not there yet."""
    if out.is_file():
        return out
    out.parent.mkdir(parents=True, exist_ok=True)
    part = out.with_suffix(".part")
    shutil.copyfile(feats, part)
    part.chmod(0o644)
    with open_store(feats) as store, h5py.File(part, "r+") as file:
        file["videos/split"][:] = splits(store)
    part.rename(out)
    return out


def scored(run: Path, favour: str, train_counts: Mapping[str, int]) -> DrawnF1:
    """Test F1 of a run over the tags that have these training counts."""
    saved = read_saved(run, f"test-favour-{favour}").evaluation
    return DrawnF1.of(
        evaluate_items(
            saved.items,
            train_counts,
            run=saved.run,
            split=saved.split,
            system=saved.system,
            decision=saved.decision,
            spellings=saved.spellings,
        )
    )


def curve(
    feats: Path,
    shares: Sequence[float],
    systems: Sequence[str],
    seeds: Sequence[int],
    settings: Sequence[str],
    work: Path,
) -> str:
    """Tables of one store, by what is favoured."""
    with open_store(feats) as store:
        counts = store.tag_counts(store.indices("train"))
        train_counts = {key: int(count) for key, count in zip(store.tag_keys, counts, strict=True) if count}
        videos = len(store.indices("train"))
    found: dict[tuple[float, str, str], list[DrawnF1]] = {}
    for share in shares:
        cut = share_of(feats, share, work)
        for system in systems:
            for seed in seeds[:1] if system in FITTED_SYSTEMS else seeds:
                evaluated(cut, system, seed, settings, work)
                for favour in FAVOURED:
                    drawn = scored(trained_run(cut, system, seed, work), favour, train_counts)
                    found.setdefault((share, favour, system), []).append(drawn)
    parts = []
    for favour in FAVOURED:
        rows = []
        for share in shares:
            of = {system: found[share, favour, system] for system in systems}
            name = f"{100 * share:g} % ({round(share * videos):,})"
            rows += [[name, f"`{system}`", *(cell(runs, group) for group in GROUPS)] for system, runs in of.items()]
            rows += [
                [name, f"`{systems[0]}` − `{system}`", *(margin(of[systems[0]], of[system], group) for group in GROUPS)]
                for system in systems[1:]
            ]
        parts.append(f"{feats.stem}, `--favour {favour}`:\n\n{table(['training videos', 'system', *GROUPS], rows)}")
    return "\n\n".join(parts)


def main(words: Sequence[str] | None = None) -> None:
    """Trains what is missing, prints the tables, and writes them with ``--write``."""
    options = parser(__doc__, repetitions=None)
    options.add_argument("--feats", type=Path, action="append", required=True, help="a feature store in one file")
    options.add_argument("--shares", nargs="+", type=float, default=[0.25, 0.5, 1], help="[0.25 0.5 1]")
    options.add_argument("--systems", nargs="+", default=["op-tsg", "bin", "sources"], help="[op-tsg bin sources]")
    options.add_argument("--seeds", nargs="+", type=int, default=[0], help="[0]")
    options.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting of all runs")
    arguments = options.parse_args(words)
    chosen = (arguments.shares, arguments.systems, arguments.seeds, arguments.set, arguments.work)
    publish(arguments, "Learning curve", "\n\n".join(curve(feats, *chosen) for feats in arguments.feats))


if __name__ == "__main__":
    main()
