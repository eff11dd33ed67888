"""Tags that no training video has: of whole words, and how likely they are right.

A decoder that writes word pieces also writes debris: beginnings of words, endings of others. What comes out is made of whole
words alone, of the title or of training tags, as the decoder joined them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...data.predicted_tag import PredictedTag
from ...data.tag_table import TagTable
from ...data.tags import tag_key

FEATURES = ("score", "root", "in the title", "words", "words of training tags", "characters")

_WORD = re.compile(r"\w+")
_SHORTEST = 2
"""Characters of a word; a single one, where it is no whole tag's word in training, is what is left of something."""


class NovelCandidate(NamedTuple):
    """One novel tag of one video.

    Attributes:
        video: number in the batch.
        features: as :data:`FEATURES` names them.
    """

    video: int
    tag: PredictedTag
    features: tuple[float, ...]


class NovelTags:
    """Finds novel tags among written ones.

    Args:
        tag_table: the training tags, whose words are whole.
    """

    def __init__(self, tag_table: TagTable):
        self._known = frozenset(word for key in tag_table.keys for word in _WORD.findall(key))

    def candidates(
        self, tags: Sequence[Sequence[PredictedTag]], titles: Sequence[Sequence[str]], *, any_words: bool = False
    ) -> list[NovelCandidate]:
        """The novel tags of whole words.

        Args:
            tags: predicted tags of every video.
            titles: the words of every title.
            any_words: whether tags of other words are good too: a person has listed them.
        """
        return [
            NovelCandidate(video, tag, self._features(tag, title))
            for video, (own, title) in enumerate(zip(tags, map(frozenset, titles), strict=True))
            for tag in own
            if tag.novel and (any_words or self._is_whole(tag, title))
        ]

    def _is_whole(self, tag: PredictedTag, title: frozenset[str]) -> bool:
        words = _WORD.findall(tag_key(tag.text))
        return bool(words) and all(word in self._known or (word in title and len(word) >= _SHORTEST) for word in words)

    def _features(self, tag: PredictedTag, title: frozenset[str]) -> tuple[float, ...]:
        words = _WORD.findall(tag_key(tag.text))
        count = max(len(words), 1)
        return (
            tag.score,
            tag.score**0.5,
            sum(word in title for word in words) / count,
            float(len(words)),
            sum(word in self._known for word in words) / count,
            float(np.log1p(len(tag.text))),
        )


def features_of(candidates: Sequence[NovelCandidate]) -> NDArray[np.float32]:
    """(T, F)."""
    return np.array([each.features for each in candidates], np.float32).reshape(len(candidates), len(FEATURES))
