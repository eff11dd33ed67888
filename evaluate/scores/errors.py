"""Errors by cause: every wrong tag and every missed tag of every video has exactly one.

Near-synonyms that are confused are a wrong tag beside a missed tag of the same video, counted over videos.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ...data.store import FeatureStore
from ...data.tags import tag_key
from .evaluation import Evaluation
from .predictions import ItemPrediction

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


Embedding = Callable[[str], NDArray[np.float32] | None]
"""A tag's embedding by its key, ``None`` where there is none."""


MOST_PAIRS = 20_000
"""The most frequent pairs; similarities are computed of these."""


@dataclass(frozen=True, kw_only=True)
class Confusion:
    """A pair of tags.

    Attributes:
        wrong, missed: how the tags are written.
        videos: that were given the first and have the second.
        similarity: cosine of the tags' embeddings, where both have one.
    """

    wrong: str
    missed: str
    videos: int
    similarity: float | None = None


def confusions(evaluation: Evaluation, embedding: Embedding | None, *, most: int) -> list[Confusion]:
    """The pairs to look at first: the most similar ones where embeddings are at hand, or else the most frequent ones."""
    counts: Counter[tuple[str, str]] = Counter()
    texts: dict[str, str] = {}
    for item in evaluation.items:
        true, predicted = texts_by_key(item)
        texts |= {**true, **predicted}
        missed = sorted(true.keys() - predicted.keys())
        counts.update((wrong, tag) for wrong in sorted(predicted.keys() - true.keys()) for tag in missed)
    pairs = [
        Confusion(
            wrong=texts[wrong],
            missed=texts[missed],
            videos=videos,
            similarity=None if embedding is None else _cosine(embedding(wrong), embedding(missed)),
        )
        for (wrong, missed), videos in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))[:MOST_PAIRS]
    ]
    if embedding is not None:
        pairs = [pair for pair in pairs if pair.similarity is not None]
        pairs.sort(key=lambda pair: -(pair.similarity or 0.0))
    return pairs[:most]


def _cosine(one: NDArray[np.float32] | None, other: NDArray[np.float32] | None) -> float | None:
    if one is None or other is None:
        return None
    length = float(np.linalg.norm(one) * np.linalg.norm(other))
    return float(one @ other) / length if length else None


def store_embeddings(store: FeatureStore) -> Embedding:
    """Embeddings of the tags that occur in a store."""
    rows = {key: row for row, key in enumerate(store.tag_keys)}
    embeddings = store.tag_embeddings
    return lambda key: embeddings[rows[key]] if key in rows else None
