"""Errors by cause: every wrong tag and every missed tag of every video has exactly one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from ...data.tags import tag_key
from ..evaluation import Evaluation
from ..prediction import ItemPrediction

ErrorKind = Literal["wrong", "missed"]


@dataclass(frozen=True)
class Cause:
    """Why a tag is an error; the first cause of its kind that applies is the one.

    Attributes:
        kind: predicted and not annotated, or annotated and not predicted.
        meaning: one sentence.
    """

    kind: ErrorKind
    name: str
    meaning: str


FORM = Cause("wrong", "Another form", "It shares a word with an annotated tag of the video: “black cat” for “cat”.")
NOVEL = Cause("wrong", "Novel", "It is no training tag and nobody annotated it, which does not make it unfitting.")
FROM_TITLE = Cause(
    "wrong", "Taken from the title", "A training tag whose words all stand in the title, but not annotated."
)
OTHER = Cause("wrong", "Known", "A training tag that neither the title nor the annotated tags of the video speak for.")

BELOW = Cause(
    "missed", "Ranked too low", "It is among the model's 50 best candidates, but its score was not high enough."
)
UNSEEN_IN_TITLE = Cause(
    "missed", "Unseen, in the title", "No training video has it, but all its words stand in the title."
)
UNSEEN = Cause("missed", "Unseen", "No training video has it, and the title does not say it.")
TITLE_MISSED = Cause("missed", "In the title, missed", "A training tag whose words all stand in the title.")
NEVER = Cause("missed", "Never predicted", "A training tag that was predicted for no video of the split.")
NOT_HERE = Cause(
    "missed", "Not found here", "A training tag that was predicted for other videos, but not for this one."
)

CAUSES = (FORM, NOVEL, FROM_TITLE, OTHER, BELOW, UNSEEN_IN_TITLE, UNSEEN, TITLE_MISSED, NEVER, NOT_HERE)


@dataclass(frozen=True)
class Error:
    """A wrong or missed tag of one video."""

    video: str
    key: str
    text: str


def errors_by_cause(evaluation: Evaluation) -> dict[Cause, list[Error]]:
    """All errors, by cause in the order of :data:`CAUSES`; causes without errors are in it too."""
    found: dict[Cause, list[Error]] = {cause: [] for cause in CAUSES}
    predicted_somewhere = {tag_key(tag.text) for item in evaluation.items for tag in item.tags}
    below = evaluation.below or {}
    for item in evaluation.items:
        true, predicted = texts_by_key(item)
        title = _words(item.title)
        true_words = {word for text in true.values() for word in _words(text)}
        too_low = {tag_key(tag) for tag in below.get(item.id, ())}
        for key in predicted.keys() - true.keys():
            cause = _wrong(_words(predicted[key]), true_words, title, known=key in evaluation.spellings)
            found[cause].append(Error(item.id, key, predicted[key]))
        for key in true.keys() - predicted.keys():
            said = _stands_in(_words(true[key]), title)
            if key in too_low:
                cause = BELOW
            elif key not in evaluation.spellings:
                cause = UNSEEN_IN_TITLE if said else UNSEEN
            elif said:
                cause = TITLE_MISSED
            else:
                cause = NOT_HERE if key in predicted_somewhere else NEVER
            found[cause].append(Error(item.id, key, true[key]))
    return found


def texts_by_key(item: ItemPrediction) -> tuple[Mapping[str, str], Mapping[str, str]]:
    """The annotated and the predicted tags of a video, each once, as written by key."""
    return {tag_key(tag): tag for tag in item.true}, {tag_key(tag.text): tag.text for tag in item.tags}


def _wrong(words: set[str], true_words: set[str], title: set[str], *, known: bool) -> Cause:
    if words & true_words:
        return FORM
    if not known:
        return NOVEL
    return FROM_TITLE if _stands_in(words, title) else OTHER


def _words(text: str) -> set[str]:
    return set(re.findall(r"\w+", text.casefold()))


def _stands_in(words: set[str], title: set[str]) -> bool:
    return bool(words) and words <= title
