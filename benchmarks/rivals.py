"""Is the model worth its price? OP-TSG against what one would pick instead, all with the same sources and the same ranker.

    python benchmarks/rivals.py --feats FEATS [--feats OTHER …] [--seeds 0 1 2] [--systems op-tsg bin sources] [--write]

Every system is trained with its defaults and its ranker, and evaluated on the test split with rare tags favoured and balanced.
``sources`` is the ranker over sources that need no network (linear probe, memory, title match, text similarity); it has no
seed. Differences are those of means over seeds, with paired 95 % intervals over test videos. Runs are kept in ``--work`` and
taken up again.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # a script finds only its own folder

from optsg.evaluate.cli import main as optsg_eval  # noqa: E402
from optsg.evaluate.scores.bootstrap import GROUPS, DrawnF1, Group, interval  # noqa: E402
from optsg.evaluate.scores.saved import read_saved  # noqa: E402
from optsg.train.cli import main as optsg_train  # noqa: E402
from optsg.train.run_files import RANKER  # noqa: E402
from optsg.train.system_names import FITTED_SYSTEMS  # noqa: E402

from benchmarks.options import parser, publish  # noqa: E402
from benchmarks.results_file import table  # noqa: E402

FAVOURED = ("rare", "balanced")


def trained_run(feats: Path, system: str, seed: int, work: Path) -> Path:
    """Where the run lies, or will."""
    return work / "rivals" / feats.stem / f"{system}-{seed}"


def evaluated(feats: Path, system: str, seed: int, settings: Sequence[str], work: Path) -> dict[str, DrawnF1]:
    """By what is favoured, test F1 of a run, which is trained where it is not there yet."""
    run = trained_run(feats, system, seed, work)
    if not (run / RANKER).is_file():
        chosen = [word for setting in settings for word in ("--set", setting)]
        words = ["--feats", str(feats), "--run", str(run), "--system", system, "--seed", str(seed), "--quiet", *chosen]
        optsg_train(words, standalone_mode=False)
    found = {}
    for favour in FAVOURED:
        folder = f"test-favour-{favour}"
        if not (run / "eval" / folder / "metrics.json").is_file():
            words = ["--run", str(run), "--feats", str(feats), "--split", "test", "--favour", favour, "--quiet"]
            optsg_eval(words, standalone_mode=False)
        found[favour] = DrawnF1.of(read_saved(run, folder).evaluation)
    return found


def cell(runs: Sequence[DrawnF1], group: Group) -> str:
    """Mean over seeds, with their standard deviation where there are several."""
    values = [100 * run.values[group] for run in runs]
    spread = f" ± {np.std(values, ddof=1):.1f}" if len(values) > 1 else ""
    return f"{np.mean(values):.1f}{spread}"


def margin(ours: Sequence[DrawnF1], theirs: Sequence[DrawnF1], group: Group) -> str:
    """Points by which one system beats another, with the interval over videos."""
    points = float(
        100 * (np.mean([run.values[group] for run in ours]) - np.mean([run.values[group] for run in theirs]))
    )
    drawn = np.mean([run.drawn[group] for run in ours], axis=0) - np.mean([run.drawn[group] for run in theirs], axis=0)
    low, high = interval(100 * drawn, points, (-100.0, 100.0))
    return f"{points:+.1f} ({low:+.1f} to {high:+.1f})"


def report(
    stores: Sequence[Path], systems: Sequence[str], seeds: Sequence[int], settings: Sequence[str], work: Path
) -> str:
    """The tables, by store and what is favoured; the first system is compared with each of the others."""
    parts = []
    for feats in stores:
        runs = {
            system: [
                evaluated(feats, system, seed, settings, work)
                for seed in (seeds[:1] if system in FITTED_SYSTEMS else seeds)
            ]
            for system in systems
        }
        for favour in FAVOURED:
            of = {system: [run[favour] for run in every] for system, every in runs.items()}
            ours = of[systems[0]]
            rows = [[f"`{system}`", *(cell(every, group) for group in GROUPS)] for system, every in of.items()]
            rows += [
                [f"`{systems[0]}` − `{system}`", *(margin(ours, of[system], group) for group in GROUPS)]
                for system in systems[1:]
            ]
            parts.append(f"{feats.stem}, `--favour {favour}`:\n\n{table(['system', *GROUPS], rows)}")
    return "\n\n".join(parts)


def main(words: Sequence[str] | None = None) -> None:
    """Trains what is missing, prints the tables, and writes them with ``--write``."""
    options = parser(__doc__, repetitions=None)
    options.add_argument("--feats", type=Path, action="append", required=True, help="a feature store")
    options.add_argument("--systems", nargs="+", default=["op-tsg", "bin", "sources"], help="[op-tsg bin sources]")
    options.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2], help="[0 1 2]")
    options.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting of all runs")
    arguments = options.parse_args(words)
    body = report(arguments.feats, arguments.systems, arguments.seeds, arguments.set, arguments.work)
    publish(arguments, "Rivals", body)


if __name__ == "__main__":
    main()
