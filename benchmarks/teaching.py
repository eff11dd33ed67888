"""Which tags to ask people for: those that teach most, against as many and twice as many drawn at random.

    python benchmarks/teaching.py --feats FEATS [--system sources] [--share 0.6] [--answers 500 1000] [--seeds 0 1 2] [--write]

The tags of a share of the training videos are taken away. A run that is trained without them predicts tags for these videos, all whose score
is at least --threshold, and is asked about some of them; the tags that were taken away answer. Answers are written into
the store (``optsg-judge --apply``), a run is trained on it, and evaluated on the test split. Every run is judged by the same tags, whether
it knows them or not: those of the training split before anything was taken away. ``rare`` are the half of them that are used least. The store
itself is never changed: every run has a copy.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # a script finds only its own folder

from optsg.data.store import open_store  # noqa: E402
from optsg.data.store.relabeling import Labels, relabel_store  # noqa: E402
from optsg.data.tags import tag_key  # noqa: E402
from optsg.evaluate.cli import main as optsg_eval  # noqa: E402
from optsg.evaluate.judge.answers import Answer  # noqa: E402
from optsg.evaluate.judge.questions import Question, Questions, read_questions  # noqa: E402
from optsg.evaluate.judge.teaching import apply_answers  # noqa: E402
from optsg.evaluate.scores.predictions import read_predictions  # noqa: E402
from optsg.extract.encoders.text_encoder import text_maker  # noqa: E402
from optsg.train.cli import main as optsg_train  # noqa: E402

from benchmarks.options import parser, publish  # noqa: E402
from benchmarks.results_file import table  # noqa: E402

Truth = Mapping[str, frozenset[str]]
"""Keys of the tags that were taken away, by video."""


def take_tags_away(feats: Path, out: Path, share: float, seed: int) -> Truth:
    """A copy of a store in which a share of the training videos has no tags."""
    shutil.copyfile(feats, out)
    with open_store(feats) as store:
        rows = store.indices("train")
        chosen = np.random.default_rng(seed).choice(rows, round(share * len(rows)), replace=False).tolist()
        truth = {store.id(row): frozenset(store.tag_keys[tag] for tag in store.tags(row)) for row in chosen}
        changes = {store.id(row): Labels(title=store.title(row), tags=(), split="none") for row in chosen}

    relabel_store(out, changes, make_text=text_maker())
    return truth


def trained(feats: Path, run: Path, arguments: argparse.Namespace) -> Path:
    """A run on a store."""
    words = ["--feats", str(feats), "--run", str(run), "--system", arguments.system, "--seed", "0", "--quiet"]
    optsg_train(words, standalone_mode=False)
    return run


def scores(run: Path, counts: Mapping[str, int]) -> list[float]:
    """Test F1, in points: mean over all tags and over the rare half of them, and mean over videos."""
    optsg_eval(["--run", str(run), "--split", "test", "--quiet"], standalone_mode=False)
    items = read_predictions(run / "eval" / "test" / "predictions.jsonl")
    given = [({tag_key(tag) for tag in item.true}, {tag_key(tag.text) for tag in item.tags}) for item in items]
    of_tag: dict[str, Counter[str]] = {}
    for true, found in given:
        for name, tags in (("hit", true & found), ("true", true), ("found", found)):
            for tag in tags:
                of_tag.setdefault(tag, Counter())[name] += 1
    f1 = {
        tag: 2 * own["hit"] / (own["true"] + own["found"])
        for tag, own in of_tag.items()
        if own["true"] and tag in counts
    }
    bar = float(np.median([counts[tag] for tag in f1]))
    rare = [value for tag, value in f1.items() if counts[tag] <= bar]
    example = [2 * len(true & found) / max(len(true) + len(found), 1) for true, found in given if true]
    return [100 * float(np.mean(values)) for values in (list(f1.values()), rare, example)]


def asked_about(run: Path, threshold: float) -> Questions:
    """All that the run thinks of for the videos without tags."""
    words = ["--run", str(run), "--split", "none", "--threshold", str(threshold), "--quiet"]
    optsg_eval(words, standalone_mode=False)
    return read_questions([run], f"none-threshold-{threshold:g}", all_tags=True)


def answered(questions: Questions, asked: Sequence[Question], truth: Truth) -> list[Answer]:
    """What somebody says who knows."""
    found = []
    for one in asked:
        video = questions.videos[one.video].id
        verdict = "relevant" if one.key in truth.get(video, frozenset()) else "not"
        found.append(Answer(video=video, tag=one.key, annotator="truth", verdict=verdict))  # type: ignore[arg-type]
    return found


def after(
    answers: Sequence[Answer],
    questions: Questions,
    start: Path,
    counts: Mapping[str, int],
    arguments: argparse.Namespace,
) -> list[float]:
    """Test F1 of a run that learnt from answers, and the share of them that is yes."""
    with TemporaryDirectory(dir=arguments.work) as folder:
        feats = Path(folder) / "feats.h5"
        shutil.copyfile(start, feats)
        apply_answers(feats, answers, {one.key: one.tag for one in questions.asked})
        found = scores(trained(feats, Path(folder) / "run", arguments), counts)
    yes = np.mean([answer.verdict == "relevant" for answer in answers])
    return [*found, 100 * float(yes)]


def row(name: str, count: int, every: Sequence[Sequence[float]]) -> list[str]:
    """Means, with standard deviations where there are several."""
    cells = []
    for column in zip(*every, strict=True):
        spread = f" ± {np.std(column, ddof=1):.1f}" if len(column) > 1 else ""
        cells.append(f"{np.mean(column):.1f}{spread}")
    return [name, f"{count:,}" if count else "", *cells]


def measure(arguments: argparse.Namespace) -> str:
    """The table."""
    arguments.work.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=arguments.work) as folder:
        start = Path(folder) / "start.h5"
        truth = take_tags_away(arguments.feats, start, arguments.share, seed=0)
        with open_store(arguments.feats) as store:
            counts = dict(zip(store.tag_keys, store.tag_counts(store.indices("train")).tolist(), strict=True))
        counts = {key: count for key, count in counts.items() if count}
        first = trained(start, Path(folder) / "first", arguments)
        rows = [[*row("no answers", 0, [scores(first, counts)]), ""]]
        questions = asked_about(first, arguments.threshold)
        for count in arguments.answers:
            best = questions.most_worth(count).asked
            rows.append(
                row(
                    "those that teach most",
                    count,
                    [after(answered(questions, best, truth), questions, start, counts, arguments)],
                )
            )
            for many in (count, 2 * count):
                drawn = [
                    np.random.default_rng(seed).choice(len(questions.asked), many, replace=False)
                    for seed in arguments.seeds
                ]
                given = [answered(questions, [questions.asked[number] for number in each], truth) for each in drawn]
                rows.append(
                    row("drawn at random", many, [after(each, questions, start, counts, arguments) for each in given])
                )
        whole = trained(arguments.feats, Path(folder) / "whole", arguments)
        rows.append([*row("all tags that were taken away", 0, [scores(whole, counts)]), ""])
    header = ["asked", "answers", "full F1", "rare F1", "example-based F1", "yes, %"]
    note = f"{len(truth):,} videos without tags, {len(questions.asked):,} questions with a score of at least {arguments.threshold:g}."
    return f"{note}\n\n{table(header, rows)}"


def main(words: Sequence[str] | None = None) -> None:
    """Prints the table, and writes it with ``--write``."""
    options = parser(__doc__, repetitions=None)
    options.add_argument("--feats", type=Path, required=True, help="a feature store in one file")
    options.add_argument("--system", default="sources", help="[%(default)s]")
    options.add_argument(
        "--share", type=float, default=0.6, help="of the training videos whose tags are taken away [%(default)s]"
    )
    options.add_argument("--threshold", type=float, default=0.02, help="least score that is asked about [%(default)s]")
    options.add_argument("--answers", type=int, nargs="+", default=[500, 1000], help="[500 1000]")
    options.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="of drawing at random [0 1 2]")
    arguments = options.parse_args(words)
    publish(arguments, "Answers that teach", measure(arguments), packages=("torch", "scikit-learn"))


if __name__ == "__main__":
    main()
