"""What people are asked: the tags that one or more runs wrote for the videos of a split, each tag of a video once."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ...data.errors import RunError
from ...data.tags import tag_key
from ..options import evaluation_command, find_evaluation
from ..scores.predictions import ItemPrediction, read_predictions


@dataclass(frozen=True, kw_only=True)
class Question:
    """One tag of one video.

    Attributes:
        video: number of the video in :attr:`Questions.videos`.
        key: the tag's identity (:func:`optsg.data.tags.tag_key`).
        tag: its spelling in the first run that wrote it.
        runs: numbers of the runs that wrote it.
        novel_in: numbers of the runs that wrote it and never saw it in training.
        worth: bits that an answer tells: the entropy of the mean score of all runs, 0 of those that did not write it. It is
            highest where a run is unsure, and where runs that are sure contradict each other.
    """

    video: int
    key: str
    tag: str
    runs: tuple[int, ...]
    novel_in: tuple[int, ...]
    worth: float = 0.0


@dataclass(frozen=True, kw_only=True)
class JudgedVideo:
    """A video of the split: its id, its title, and how many different true tags it has."""

    id: str
    title: str
    true: int


@dataclass(frozen=True, kw_only=True)
class Questions:
    """All questions about some runs.

    Attributes:
        runs: a name for each run.
        videos: every video of the split or of the sample, also those without a question; tag gain is a mean over them.
        asked: by video, and by key within a video, so that a question's number does not tell which run wrote the tag.
        by_worth: whether those come first that teach most.
    """

    runs: tuple[str, ...]
    videos: tuple[JudgedVideo, ...]
    asked: tuple[Question, ...]
    by_worth: bool = False

    def most_worth(self, count: int) -> Questions:
        """So many questions whose answers teach most, of every video."""
        best = sorted(range(len(self.asked)), key=lambda number: (-self.asked[number].worth, number))[:count]
        return replace(self, asked=tuple(self.asked[number] for number in sorted(best)), by_worth=True)


@dataclass(frozen=True, kw_only=True)
class Sample:
    """Videos drawn at random. Of one seed, a larger sample holds every smaller one, so that judging can go on."""

    videos: int
    seed: int

    def draw(self, ids: Sequence[str]) -> list[int]:
        """Numbers of the chosen videos in their order, all if there are no more."""
        ranked = sorted(range(len(ids)), key=lambda number: _digest(str(self.seed), "sample", ids[number]))
        return sorted(ranked[: self.videos])


def read_questions(
    runs: Sequence[Path], split: str, *, all_tags: bool = False, sample: Sample | None = None
) -> Questions:
    """The questions about runs that were evaluated on a split.

    Args:
        runs: run folders.
        split: as in :func:`find_evaluation`.
        all_tags: ask for every predicted tag, not for the novel ones alone.
        sample: ask about some of the videos only, the same for every annotator.

    Raises:
        RunError: predictions are missing or damaged, or the runs were evaluated on different videos or true tags.
    """
    predictions = [_predictions(run, split) for run in runs]
    for run, items in zip(runs[1:], predictions[1:], strict=True):
        if [_identity(item) for item in items] != [_identity(item) for item in predictions[0]]:
            raise RunError(
                f"{run} and {runs[0]} were not evaluated on the same videos and true tags; "
                f"evaluate both on one store: {evaluation_command('DIR', split, ' --feats PATH')}"
            )
    if sample is not None:
        chosen = sample.draw([item.id for item in predictions[0]])
        predictions = [[items[number] for number in chosen] for items in predictions]
    videos = tuple(
        JudgedVideo(id=item.id, title=item.title, true=len({tag_key(tag) for tag in item.true}))
        for item in predictions[0]
    )
    asked = [
        question
        for video in range(len(videos))
        for question in _of_video(video, [items[video] for items in predictions])
        if all_tags or question.novel_in
    ]
    return Questions(runs=_names(runs), videos=videos, asked=tuple(asked))


def _predictions(run: Path, split: str) -> list[ItemPrediction]:
    return read_predictions(find_evaluation(run, split) / "predictions.jsonl")


def _identity(item: ItemPrediction) -> tuple[str, frozenset[str]]:
    return item.id, frozenset(tag_key(tag) for tag in item.true)


def _of_video(video: int, items: Sequence[ItemPrediction]) -> list[Question]:
    spelling: dict[str, str] = {}
    writers: dict[str, dict[int, bool]] = {}
    scores: dict[str, float] = {}
    for run, item in enumerate(items):
        for tag in item.tags:
            key = tag_key(tag.text)
            spelling.setdefault(key, tag.text)
            writers.setdefault(key, {})[run] = tag.novel
            scores[key] = scores.get(key, 0.0) + tag.score / len(items)
    return [
        Question(
            video=video,
            key=key,
            tag=spelling[key],
            runs=tuple(novel),
            novel_in=tuple(run for run, is_novel in novel.items() if is_novel),
            worth=entropy_in_bits(scores[key]),
        )
        for key, novel in sorted(writers.items())
    ]


def entropy_in_bits(probability: float) -> float:
    """Of a yes or no; 0 where it is certain."""
    if not 0.0 < probability < 1.0:
        return 0.0
    return -sum(one * math.log2(one) for one in (probability, 1.0 - probability))


def _names(runs: Sequence[Path]) -> tuple[str, ...]:
    """Names of the folders, or their paths where two folders have one name."""
    names = [run.resolve().name for run in runs]
    return tuple(name if names.count(name) == 1 else str(run) for name, run in zip(names, runs, strict=True))


def order_for(questions: Questions, annotator: str, seed: int) -> list[int]:
    """Numbers of the questions in the annotator's own order: videos shuffled, and the tags of a video shuffled within it.

    The order depends on the seed, the name and the tags alone, so it is the same after a restart, and the order and
    number of the runs do not show in it. Where what teaches most comes first, the video of the best question does.
    """
    best: dict[int, float] = {}
    for question in questions.asked if questions.by_worth else ():
        best[question.video] = max(best.get(question.video, 0.0), question.worth)

    def rank(number: int) -> tuple[float, bytes, float, bytes]:
        question = questions.asked[number]
        video = questions.videos[question.video].id
        worths = (-best[question.video], -question.worth) if questions.by_worth else (0.0, 0.0)
        digests = _digest(str(seed), annotator, video), _digest(str(seed), annotator, video, question.key)
        return worths[0], digests[0], worths[1], digests[1]

    return sorted(range(len(questions.asked)), key=rank)


def _digest(*parts: str) -> bytes:
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).digest()
