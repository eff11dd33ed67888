"""How good are tags without training? A store's own tags as the list, beside matching titles and beside chance.

    python benchmarks/untrained_tags.py --feats feats.h5 [--split test] [--write]

The store must be one of the preset ``small``. Every video gets its best tags out of all tags of the store (``optsg.evaluate.untrained``): from
its frames alone, its title alone, and both. Precision is of the first and of the first five; F1 is the mean over videos of the tags
that ``optsg-tag --untrained`` gives, at most eight above the least score, 0 where it gives none.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from optsg.data.store import FeatureStore, open_store
from optsg.data.tag_list import TagList
from optsg.evaluate.untrained.scorer import UntrainedScorer, open_scorer
from optsg.evaluate.untrained.title_scores import TitleScores
from optsg.extract.encoders.presets import EFFICIENTNET_LITE0

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # a script finds only its own folder

from benchmarks.options import publish  # noqa: E402
from benchmarks.results_file import RESULTS, table  # noqa: E402

FIRST = 5


def rates(given: Sequence[Sequence[str]], best: Sequence[Sequence[str]], right: Sequence[set[str]]) -> list[str]:
    """Precision of the first tag and of the first five, F1 of those given and how many they are, in per cent."""
    first = [float(bool(tags) and tags[0] in own) for tags, own in zip(best, right, strict=True)]
    five = [sum(tag in own for tag in tags[:FIRST]) / FIRST for tags, own in zip(best, right, strict=True)]
    f1 = [
        2 * sum(tag in own for tag in tags) / max(1, len(tags) + len(own))
        for tags, own in zip(given, right, strict=True)
    ]
    count = float(np.mean([len(tags) for tags in given]))
    return [*(f"{100 * float(np.mean(values)):.1f}" for values in (first, five, f1)), f"{count:.1f}"]


def of_chance(store: FeatureStore, rows: Sequence[int], seed: int) -> Iterator[list[str]]:
    """Five tags of the list for every video, drawn without looking."""
    dice = np.random.default_rng(seed)
    for _ in rows:
        yield [store.tag_spellings[place] for place in dice.integers(len(store.tag_spellings), size=FIRST)]


def measure(store: FeatureStore, rows: Sequence[int]) -> Iterator[list[str]]:
    """A row of the table for each source of tags."""
    right = [{store.tag_spellings[tag] for tag in store.tags(row)} for row in rows]
    frames: list[NDArray[np.float16]] = [store.frames(row) for row in rows]
    titles = [store.title(row) for row in rows]
    nothing = [""] * len(rows)
    no_frames = [one[:0] for one in frames]

    def tags(scorer: UntrainedScorer, features: Sequence[NDArray[np.float16]], said: Sequence[str]) -> list[list[str]]:
        return [[tag.text for tag in found] for found in scorer.tags(features, said)]

    scorer = open_scorer(TagList.of(store.tag_spellings), EFFICIENTNET_LITE0, device="cpu")
    everything = UntrainedScorer(scorer.names, scorer.pictures, scorer.titles, least=1e-6)
    for name, features, said in (
        ("picture alone", frames, nothing),
        ("title alone", no_frames, titles),
        ("picture and title", frames, titles),
    ):
        yield [name, *rates(tags(scorer, features, said), tags(everything, features, said), right)]
    matched = UntrainedScorer(scorer.names, scorer.pictures, TitleScores(scorer.names.names))
    found = tags(matched, no_frames, titles)
    yield ["tags that stand in the title", *rates(found, found, right)]
    drawn = list(of_chance(store, rows, seed=0))
    yield ["chance", *rates(drawn, drawn, right)]


def main() -> None:
    """Measures and prints; ``--write`` puts the table into the results."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--feats", type=Path, required=True, help="a store of the preset small")
    options.add_argument("--split", default="test", help="[%(default)s]")
    options.add_argument("--write", action="store_true", help="put the table into the results")
    options.add_argument("--results", type=Path, default=RESULTS, help="where --write puts it [benchmarks/RESULTS.md]")
    arguments = options.parse_args()
    store = open_store(arguments.feats)
    rows = [int(row) for row in store.indices(arguments.split) if len(store.frames(int(row)))]
    note = f"{len(rows):,} videos of the split {arguments.split}, {len(store.tag_spellings):,} tags in the list."
    header = ("from", "precision at 1", f"at {FIRST}", "F1 of what is given", "tags given")
    publish(arguments, "Tags without training", table(header, list(measure(store, rows))), note=note)


if __name__ == "__main__":
    main()
