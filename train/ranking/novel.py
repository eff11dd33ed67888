"""Tags that no training video has: of whole words, and how likely they are right.

Two sources propose them. A decoder that writes word pieces writes new tags, and also debris: beginnings of words, endings of
others; what comes out is made of whole words alone, of the title or of training tags, as the decoder joined them. And a title's
own words and short phrases are often its tags, whether or not training had them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...data.predicted_tag import PredictedTag
from ...data.tag_table import TagTable
from ...data.tags import tag_key

WRITTEN_FEATURES = ("score", "root", "in the title", "words", "words of training tags", "characters")
"""What rankers of earlier versions read: they know written tags alone."""

FEATURES = (
    *WRITTEN_FEATURES,
    "from the title alone",
    "words from the title alone",
    "whole title",
    "frequency in titles",
)

_WORD = re.compile(r"\w+")
_SHORTEST = 2
"""Characters of a word; a single one, where it is no whole tag's word in training, is what is left of something."""

LONGEST_PHRASE = 3
"""Words of a title that are proposed together."""


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
    """Finds novel tags among written ones and in titles.

    Args:
        tag_table: the training tags, whose words are whole.
        frequency: of a word in the titles of training, 0 for the rarest and unknown ones.
        from_titles: whether titles propose tags too.
    """

    def __init__(self, tag_table: TagTable, frequency: Callable[[str], float], *, from_titles: bool = True):
        self._table, self._frequency, self._from_titles = tag_table, frequency, from_titles
        self._known = frozenset(word for key in tag_table.keys for word in _WORD.findall(key))

    def candidates(
        self, tags: Sequence[Sequence[PredictedTag]], titles: Sequence[Sequence[str]], *, any_words: bool = False
    ) -> list[NovelCandidate]:
        """The novel tags of whole words, written ones first.

        Args:
            tags: predicted tags of every video.
            titles: the words of every title.
            any_words: whether written tags of other words are good too: a person has listed them.
        """
        found = []
        for video, (own, title) in enumerate(zip(tags, titles, strict=True)):
            words = frozenset(title)
            written = [tag for tag in own if tag.novel and (any_words or self._is_whole(tag, words))]
            found += [NovelCandidate(video, tag, self._features(tag, title, written=True)) for tag in written]
            keys = {tag_key(tag.text) for tag in own}
            for text in self._phrases(title) if self._from_titles else ():
                if tag_key(text) not in keys:
                    tag = PredictedTag(text=text, score=0.0, novel=True)
                    found.append(NovelCandidate(video, tag, self._features(tag, title, written=False)))
        return found

    def _phrases(self, title: Sequence[str]) -> Iterator[str]:
        """Words and short phrases of a title that are no training tags, each once."""
        spans = (
            title[start : start + length]
            for length in range(1, LONGEST_PHRASE + 1)
            for start in range(len(title) - length + 1)
        )
        for text in dict.fromkeys(" ".join(words) for words in spans):
            if len(text) >= _SHORTEST and not self._table.is_known(tag_key(text)):
                yield text

    def _is_whole(self, tag: PredictedTag, title: frozenset[str]) -> bool:
        words = _WORD.findall(tag_key(tag.text))
        return bool(words) and all(word in self._known or (word in title and len(word) >= _SHORTEST) for word in words)

    def _features(self, tag: PredictedTag, title: Sequence[str], *, written: bool) -> tuple[float, ...]:
        words = _WORD.findall(tag_key(tag.text))
        count = max(len(words), 1)
        return (
            tag.score,
            tag.score**0.5,
            sum(word in title for word in words) / count,
            float(len(words)),
            sum(word in self._known for word in words) / count,
            float(np.log1p(len(tag.text))),
            float(not written),
            0.0 if written else float(len(words)),
            float(words == [*title]),
            max((self._frequency(word) for word in words), default=0.0),
        )


def features_of(candidates: Sequence[NovelCandidate]) -> NDArray[np.float32]:
    """(T, F)."""
    return np.array([each.features for each in candidates], np.float32).reshape(len(candidates), len(FEATURES))
