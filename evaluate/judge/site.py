"""What the page can ask for: an annotator's questions, to save an answer, to take one back. No HTTP here."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

from ...data.inputs.source_files import MediaBytes
from .answers import VERDICTS, Answer, AnswerFile
from .questions import Questions, order_for
from .results import Results, results_of

MAX_NAME = 60


class BadRequestError(ValueError):
    """The page asked for something that makes no sense; the message says what."""


class JudgingSite:
    """The questions about some runs, the answers, and the videos.

    Attributes:
        media: where each video is, by its number; a video that was not found is missing.
    """

    def __init__(
        self,
        questions: Questions,
        answers: AnswerFile,
        *,
        media: Mapping[int, MediaBytes],
        still: Callable[[str], bytes],
        seed: int = 0,
    ):
        """``still``: a small JPEG of a video by its id, empty if there is none."""
        self.media = media
        self._questions = questions
        self._answers = answers
        self._still = still
        self._seed = seed
        self._store_lock = threading.Lock()  # a store is not for several threads at once
        self._number = {
            (questions.videos[item.video].id, item.key): number for number, item in enumerate(questions.asked)
        }

    def queue(self, annotator: object) -> dict[str, Any]:
        """The annotator's questions in their order, with what they answered already; nothing tells who wrote a tag."""
        name = self._known_spelling(_name(annotator))
        given = self._answers.of_annotator(name)
        questions = []
        for number in order_for(self._questions, name, self._seed):
            asked = self._questions.asked[number]
            video = self._questions.videos[asked.video]
            questions.append(
                {
                    "number": number,
                    "tag": asked.tag,
                    "title": video.title,
                    "video": asked.video,
                    "media": self.media[asked.video].type if asked.video in self.media else None,
                    "verdict": given.get((video.id, asked.key)),
                }
            )
        return {"annotator": name, "questions": questions}

    def answer(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Saves ``{"annotator", "number", "verdict"}``."""
        name, number, verdict = _name(request.get("annotator")), request.get("number"), request.get("verdict")
        if type(number) is not int or not 0 <= number < len(self._questions.asked):
            raise BadRequestError("there is no such question")
        if verdict not in VERDICTS:
            raise BadRequestError(f"a verdict is one of {', '.join(VERDICTS)}")
        asked = self._questions.asked[number]
        video = self._questions.videos[asked.video].id
        self._answers.save(Answer(video=video, tag=asked.key, annotator=name, verdict=verdict))
        return {"number": number, "verdict": verdict}

    def undo(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Takes back the last answer of ``{"annotator"}`` to one of these questions; ``number`` is null if there is none."""
        name = _name(request.get("annotator"))
        place = self._answers.undo(name, self._number)
        if place is None:
            return {"number": None, "verdict": None}
        return {"number": self._number[place], "verdict": self._answers.of_annotator(name).get(place)}

    def _known_spelling(self, name: str) -> str:
        """The name as it was given before: one who writes "ann" and was "Ann" last time is no second annotator."""
        known = self._answers.annotators()
        alike = [other for other in known if other.casefold() == name.casefold()]
        return name if name in known or not alike else alike[0]

    def still(self, video: int) -> bytes:
        """A small JPEG of a video, empty if there is none."""
        with self._store_lock:
            return self._still(self._questions.videos[video].id)

    def has_video(self, video: int) -> bool:
        """Whether there is a video of this number."""
        return 0 <= video < len(self._questions.videos)

    def results(self) -> Results:
        """The results as they stand."""
        return results_of(self._questions, self._answers)


def _name(value: object) -> str:
    name = " ".join(value.split()) if isinstance(value, str) else ""
    if not name or len(name) > MAX_NAME or not name.isprintable():
        raise BadRequestError(f"give a name of 1 to {MAX_NAME} characters")
    return name
