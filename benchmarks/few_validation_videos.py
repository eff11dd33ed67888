"""What do few validation videos choose? A trained run's decision from a part of its validation split, scored on test.

    python benchmarks/few_validation_videos.py --feats FEATS --run RUN [--feats OTHER --run OTHER …] [--videos 8 20 40 80] [--write]

The model stays as it is. From every part the system's scalar is tuned and the ranker is fitted anew, once as training does it, where the
F1 over tags of few videos weighs less, and once as if they were many. Means over ``--repetitions`` parts, the same for all rows; the last row
is the whole split. Training tags alone are counted.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # a script finds only its own folder

from optsg.data.batching import collate  # noqa: E402
from optsg.data.media import Split as SplitName  # noqa: E402
from optsg.data.metrics import score_predictions  # noqa: E402
from optsg.data.store import FeatureStore, open_store  # noqa: E402
from optsg.data.tags import tag_key  # noqa: E402
from optsg.train.confidence.few_videos import F1Pair, weight_of_tags  # noqa: E402
from optsg.train.ranking.favour import WEIGHTS, Bar, RankedPairs, best_bar  # noqa: E402
from optsg.train.ranking.fit import FEWEST_VIDEOS, Examples  # noqa: E402
from optsg.train.ranking.logistic import LogisticModel, cross_fitted  # noqa: E402
from optsg.train.ranking.pairs import Pairs  # noqa: E402
from optsg.train.ranking.ranked_system import Proposer, RankedSystem  # noqa: E402
from optsg.train.run.run import load_run  # noqa: E402
from optsg.train.system_names import FAVOURS  # noqa: E402
from optsg.train.systems.system import System  # noqa: E402
from optsg.train.systems.tuned_scalar import choose_value  # noqa: E402

from benchmarks.options import parser, publish  # noqa: E402
from benchmarks.results_file import table  # noqa: E402

BATCH = 64


@dataclass(frozen=True, kw_only=True)
class Split:
    """All that is said of a split's videos.

    Attributes:
        truth: keys of each video's annotated tags.
        predicted: by value of the system's scalar, keys of each video's predicted training tags.
        pairs: of each video, what the sources propose.
    """

    truth: list[frozenset[str]]
    predicted: dict[float, list[list[str]]]
    pairs: list[Pairs]

    def part(self, videos: Sequence[int] | NDArray[np.int64]) -> Split:
        """Some of the videos."""
        predicted = {value: [tags[video] for video in videos] for value, tags in self.predicted.items()}
        return Split(
            truth=[self.truth[video] for video in videos],
            predicted=predicted,
            pairs=[self.pairs[video] for video in videos],
        )


@dataclass(frozen=True)
class Found:
    """What predictions are worth: F1 over tags and over videos, and how many tags a video has."""

    f1: F1Pair
    tags: float


def read_split(store: FeatureStore, name: SplitName, ranked: RankedSystem) -> Split:
    """Runs the system and its sources over a split."""
    system, proposer = ranked.plain, Proposer(ranked.plain, ranked.sources)
    values = system.scalar.candidates
    split = Split(truth=[], predicted={value: [] for value in values}, pairs=[])
    rows = store.indices(name)
    for start in range(0, len(rows), BATCH):
        batch_rows = rows[start : start + BATCH]
        batch = collate(store, batch_rows)
        split.truth.extend(frozenset(store.tag_keys[tag] for tag in store.tags(int(row))) for row in batch_rows)
        for value, videos in zip(values, system.predict_each(batch, values), strict=True):
            split.predicted[value].extend([tag_key(tag.text) for tag in tags if not tag.novel] for tags in videos)
        pairs = proposer.propose(batch).pairs
        for video in range(len(batch_rows)):
            own = pairs.videos == video
            split.pairs.append(
                Pairs(videos=np.zeros(own.sum(), np.int64), columns=pairs.columns[own], features=pairs.features[own])
            )
    return split


def scalar_f1(split: Split, value: float, system: System) -> Found:
    """Of the system alone."""
    predicted = split.predicted[value]
    scores = score_predictions(split.truth, predicted, system.tag_table.count_of)
    return Found(F1Pair.of(scores), float(np.mean([len(tags) for tags in predicted])))


def examples_of(split: Split, system: System) -> tuple[Examples, Pairs, NDArray[np.bool_]]:
    """The split's pairs, and which are right."""
    examples = Examples(system.tag_table)
    for pairs, truth in zip(split.pairs, split.truth, strict=True):
        examples.add(pairs, [], [truth])
    pairs = examples.pairs()
    return examples, pairs, examples.right(pairs)


def fitted(split: Split, system: System) -> tuple[LogisticModel, RankedPairs]:
    """The ranker of a split, and what its bars are chosen on."""
    examples, pairs, right = examples_of(split, system)
    held_out = cross_fitted(pairs.features, right, pairs.videos)
    return LogisticModel.fit(pairs.features, right), examples.ranked(pairs, right, held_out)


def ranked_f1(pairs: RankedPairs, bar: Bar) -> Found:
    """Of a ranker with a bar."""
    given = bar.passes(pairs.probabilities, pairs.counts)
    return Found(F1Pair(tags=pairs.tag_f1(given), videos=pairs.video_f1(given)), given.sum() / len(pairs.video_totals))


@dataclass(frozen=True)
class TestSplit:
    """What of the test split every part is judged by.

    Attributes:
        by_value: what the system alone is worth there.
        examples, pairs, right: what the sources propose, and which of it is right.
    """

    by_value: dict[float, Found]
    examples: Examples
    pairs: Pairs
    right: NDArray[np.bool_]

    @classmethod
    def of(cls, split: Split, system: System) -> TestSplit:
        """From all that is said of it."""
        return cls({value: scalar_f1(split, value, system) for value in split.predicted}, *examples_of(split, system))


def decided(part: Split, test: TestSplit, system: System) -> dict[tuple[str, bool], Found]:
    """Test F1 by what decides, and whether F1 over tags weighs less where there are few videos."""
    weights = {True: weight_of_tags(len(part.truth)), False: 1.0}
    by_value = {value: scalar_f1(part, value, system).f1 for value in part.predicted}
    found = {}
    for less, weight in weights.items():
        value = choose_value({value: f1.mean(weight) for value, f1 in by_value.items()})
        found["scalar", less] = test.by_value[value]
    if len(part.truth) >= FEWEST_VIDEOS:
        model, ranked = fitted(part, system)
        judged = test.examples.ranked(test.pairs, test.right, model.probabilities(test.pairs.features))
        for favour in FAVOURS:
            for less, weight in weights.items():
                found[favour, less] = ranked_f1(judged, best_bar(ranked, WEIGHTS[favour] * weight))
    return found


def rows_of(feats: Path, run: Path, sizes: Sequence[int], repetitions: int) -> list[list[str]]:
    """The table's rows of one run."""
    with open_store(feats) as store:
        ranked = load_run(run, device="cpu").system
        if not isinstance(ranked, RankedSystem):
            raise SystemExit(f"{run} has no ranker")
        validation = read_split(store, "val", ranked)
        test = TestSplit.of(read_split(store, "test", ranked), ranked.plain)
    rng, videos = np.random.default_rng(0), len(validation.truth)
    rows = []
    for size in [*(size for size in sizes if size < videos), videos]:
        parts = [np.sort(rng.permutation(videos)[:size]) for _ in range(repetitions if size < videos else 1)]
        every = [decided(validation.part(part), test, ranked.plain) for part in parts]
        for what in dict.fromkeys(what for what, _ in every[0]):
            means = [
                np.mean([(100 * each.f1.tags, 100 * each.f1.videos, each.tags) for each in found], axis=0)
                for found in ([each[what, less] for each in every] for less in (True, False))
            ]
            rows.append([feats.stem, str(size), what, *(" · ".join(f"{number:.1f}" for number in m) for m in means)])
    return rows


def main(words: Sequence[str] | None = None) -> None:
    """Prints the table, and writes it with ``--write``."""
    options = parser(__doc__, repetitions=8)
    options.add_argument("--feats", type=Path, action="append", required=True, help="a feature store")
    options.add_argument("--run", type=Path, action="append", required=True, help="a run of it, with a ranker")
    options.add_argument("--videos", nargs="+", type=int, default=[8, 20, 40, 80], help="[8 20 40 80]")
    arguments = options.parse_args(words)
    rows = [
        row
        for feats, run in zip(arguments.feats, arguments.run, strict=True)
        for row in rows_of(feats, run, arguments.videos, arguments.repetitions)
    ]
    columns = ["store", "validation videos", "what decides", "as training does it", "F1 over tags as if of many"]
    body = table(columns, rows) + "\n\nFull F1 · example-based F1 · tags a video, on test."
    publish(arguments, "Few validation videos", body)


if __name__ == "__main__":
    main()
