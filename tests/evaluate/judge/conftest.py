"""Predictions written by hand, and a site about them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from optsg.data.inputs.source_files import MediaBytes
from optsg.data.media import Split
from optsg.data.predicted_tag import PredictedTag
from optsg.evaluate.judge.answers import AnswerFile
from optsg.evaluate.judge.questions import Questions, read_questions
from optsg.evaluate.judge.server import JudgingServer
from optsg.evaluate.judge.site import JudgingSite
from optsg.evaluate.scores.predictions import ItemPrediction, write_predictions

Tags = dict[str, bool]
"""Predicted tags with whether they are novel."""


def write_run(
    folder: Path,
    predicted: dict[str, Tags],
    true: dict[str, tuple[str, ...]],
    split: Split = "test",
    scores: dict[str, dict[str, float]] | None = None,
) -> Path:
    items = [
        ItemPrediction(
            id=video,
            title=f"title of {video}",
            true=true[video],
            tags=tuple(
                PredictedTag(text=tag, score=scores[video][tag] if scores else 0.5, novel=novel, prompt=0)
                for tag, novel in tags.items()
            ),
        )
        for video, tags in predicted.items()
    ]
    write_predictions(folder / "eval" / split / "predictions.jsonl", items)
    return folder


TRUE = {"a": ("cat", "pet"), "b": ("dog", "Dog", "run", "park", "grass"), "c": ("x",), "d": ()}


@pytest.fixture
def two_runs(tmp_path: Path) -> tuple[Path, Path]:
    """Both wrote "Kitten" for a; it is novel to both."""
    first = {"a": {"cat": False, "Kitten": True, "fluff": True}, "b": {"puppy": True}, "c": {}, "d": {"moon": True}}
    second = {"a": {"kitten": True}, "b": {"lawn": True, "dog": False}, "c": {"x": False}, "d": {}}
    return write_run(tmp_path / "first", first, TRUE), write_run(tmp_path / "second", second, TRUE)


@pytest.fixture
def questions(two_runs: tuple[Path, Path]) -> Questions:
    return read_questions(two_runs, "test")


@pytest.fixture
def answers(tmp_path: Path) -> AnswerFile:
    return AnswerFile(tmp_path / "judgements.sqlite")


Serve = Callable[[dict[int, MediaBytes]], AbstractContextManager[JudgingServer]]


@pytest.fixture
def serve(questions: Questions, answers: AnswerFile) -> Serve:
    """Serves the two runs' questions; each call is a server of its own on the same answers."""

    @contextmanager
    def serving(media: dict[int, MediaBytes]) -> Iterator[JudgingServer]:
        site = JudgingSite(questions, answers, media=media, still=lambda _: b"")
        with JudgingServer(site) as server:
            yield server

    return serving
