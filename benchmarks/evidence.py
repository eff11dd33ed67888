"""Does a tag's evidence lie where its object is? Videos put together from two, of which only one half has the tag.

    python benchmarks/evidence.py --run runs/latest [--run runs/other] [--write]

Two test videos that share no tag are cut to as many frames and set one behind the other, their titles joined by "and", either
one first. Of the tags that the run predicts for the whole, those that are annotated for one half alone are asked for
their evidence (``optsg.evaluate.tag.evidence``): does more than half of it lie in that half's frames, in that half's words? Chance
is 50 %. Tags that stand in the half's own title are counted apart: a model may know them by reading alone.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from optsg.data.batching import Batch
from optsg.data.store import FeatureStore
from optsg.data.tags import tag_key
from optsg.data.word_pieces import TitleTokenizer
from optsg.evaluate.scores.run_store import open_run_store
from optsg.evaluate.tag.evidence import TagEvidence, explain
from optsg.evaluate.tag.run_tagger import RunTagger
from optsg.train.run.run import Run, load_run

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # a script finds only its own folder

from benchmarks.options import parser, publish  # noqa: E402
from benchmarks.results_file import table  # noqa: E402

JOINT = " and "
BATCH = 16
"""Composed videos that are explained together."""


@dataclass(frozen=True, kw_only=True)
class Composed:
    """A video put together from two.

    Attributes:
        frames: (2 M, frame_dim), M of either.
        tags: the tags of each half, none of them the other's.
    """

    frames: NDArray[np.float16]
    titles: tuple[str, str]
    tags: tuple[frozenset[str], frozenset[str]]

    @property
    def title(self) -> str:
        """Both titles."""
        return JOINT.join(self.titles)


@dataclass(kw_only=True)
class Tally:
    """How often the evidence of a tag lay mostly in its half, and of how many tags that have any evidence."""

    right: Counter[str] = field(default_factory=Counter)
    asked: Counter[str] = field(default_factory=Counter)

    def add(self, kind: str, shares: Sequence[float], half: Sequence[float]) -> None:
        """One tag's shares, and those of them in its half."""
        if sum(shares) > 0:
            self.asked[kind] += 1
            self.right[kind] += sum(half) > sum(shares) / 2

    def percent(self, kind: str) -> str:
        """Per cent, and of how many."""
        asked = self.asked[kind]
        return f"{100 * self.right[kind] / asked:.0f} % of {asked:,}" if asked else "–"


def compose(store: FeatureStore, pairs: int, seed: int) -> Iterator[Composed]:
    """Up to ``pairs`` videos, each put together from two test videos with frames and titles that share no tag."""
    rows = [int(row) for row in store.indices("test")]
    keys = {row: frozenset(store.tag_keys[tag] for tag in store.tags(row)) for row in rows}
    rows = [row for row in rows if len(store.frames(row)) and store.title(row) and keys[row]]
    dice = np.random.default_rng(seed)
    drawn = ((int(a), int(b)) for a, b in dice.integers(len(rows), size=(20 * pairs, 2)))
    found = 0
    for first, second in ((rows[a], rows[b]) for a, b in drawn):
        if found == pairs:
            return
        if first != second and not keys[first] & keys[second]:
            length = min(len(store.frames(first)), len(store.frames(second)))
            found += 1
            yield Composed(
                frames=np.concatenate([store.frames(row)[:length] for row in (first, second)]),
                titles=(store.title(first), store.title(second)),
                tags=(keys[first], keys[second]),
            )


def ask(run: Run, videos: Sequence[Composed], tally: Tally) -> None:
    """Predicts the tags of composed videos and counts where their evidence lies."""
    width = run.config.inputs.patch_dim
    batch = Batch.from_features(
        [video.frames for video in videos],
        [np.zeros((0, width), np.float16)] * len(videos),
        run.tokenizer.encode_titles([video.title for video in videos]),
    ).to(run.device)
    tags = [
        [tag for tag in predicted if any(tag_key(tag.text) in half for half in video.tags)]
        for predicted, video in zip(RunTagger(run).predict(batch), videos, strict=True)
    ]
    for video, predicted, evidence in zip(videos, tags, explain(run.system, batch, tags), strict=True):
        for tag, found in zip(predicted, evidence, strict=True):
            count(video, tag.text, found, run.tokenizer, tally)


def count(video: Composed, tag: str, found: TagEvidence, tokenizer: TitleTokenizer, tally: Tally) -> None:
    """Counts one tag of one half."""
    key = tag_key(tag)
    half = 0 if key in video.tags[0] else 1
    kind = "in the title" if key in tag_key(video.titles[half]).split() else "not in the title"
    middle = len(video.frames) // 2
    frames = found.visual[: 2 * middle]
    tally.add(f"frames, {kind}", frames, frames[middle:] if half else frames[:middle])
    second_begins = len(video.titles[0])
    words = [
        (span[0] > second_begins, share)
        for span, share in zip(tokenizer.title_words(video.title), found.tokens, strict=False)
        if span is not None and not second_begins <= span[0] < second_begins + len(JOINT)
    ]
    tally.add(f"words, {kind}", [share for _, share in words], [share for side, share in words if side == half])


def report(runs: Sequence[Path], feats: Path | None, pairs: int, seed: int) -> str:
    """The table, one run a row."""
    kinds = [f"{what}, {kind}" for what in ("frames", "words") for kind in ("not in the title", "in the title")]
    rows = []
    for path in runs:
        run, tally = load_run(path), Tally()
        with open_run_store(run.path, run.config.store, feats) as store:
            composed = list(compose(store, pairs, seed))
        for start in range(0, len(composed), BATCH):
            ask(run, composed[start : start + BATCH], tally)
        rows.append([f"`{run.config.system}`, {path.name}", f"{len(composed):,}", *map(tally.percent, kinds)])
    return table(["run", "composed videos", *kinds], rows)


def composed_options(description: str | None) -> argparse.ArgumentParser:
    """What is asked of videos that are put together."""
    options = parser(description, repetitions=None)
    options.add_argument("--run", type=Path, action="append", required=True, help="a trained run; may be repeated")
    options.add_argument("--feats", type=Path, help="its store, where that has moved")
    options.add_argument("--pairs", type=int, default=300, help="composed videos [%(default)s]")
    options.add_argument("--seed", type=int, default=0, help="[%(default)s]")
    return options


def main(words: Sequence[str] | None = None) -> None:
    """Prints the table as Markdown."""
    options = composed_options(__doc__)
    arguments = options.parse_args(words)
    publish(arguments, "Evidence", report(arguments.run, arguments.feats, arguments.pairs, arguments.seed))


if __name__ == "__main__":
    main()
