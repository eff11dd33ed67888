"""Tags that no training video has: of whole words, and how likely they are right.

Two sources propose them. A decoder that writes word pieces writes new tags, and also debris: beginnings of words, endings of
others; what comes out is made of whole words alone, of the title or of training tags, as the decoder joined them. And a title's
own words and short phrases are often its tags, whether or not training had them. Scripts that put no space between words give
what stands between two marks of punctuation as a word: there is no dictionary here.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...data.predicted_tag import PredictedTag
from ...data.tag_table import TagTable
from ...data.tags import tag_key
from ...data.word_pieces import IDEOGRAPHS
from ..writing.reading import join_punctuation

WRITTEN_FEATURES = ("score", "root", "in the title", "words", "words of training tags", "characters")
"""What rankers of earlier versions read: they know written tags alone."""

FEATURES = (
    *WRITTEN_FEATURES,
    "from the title alone",
    "words from the title alone",
    "whole title",
    "frequency in titles",
)

_JOINTS = frozenset({"", " ", "-", "_", "'", "’"})
"""What stands between two words of a phrase: a phrase ends at any other punctuation."""

_TIGHT = _JOINTS - {" "}

_IDEOGRAPH = re.compile(f"[{IDEOGRAPHS}]")

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
        pieces_of: texts to word pieces. A phrase with those of a training tag is that tag, with accents or without.
        from_titles: whether titles propose tags too.
    """

    def __init__(
        self,
        tag_table: TagTable,
        frequency: Callable[[str], float],
        *,
        pieces_of: Callable[[Sequence[str]], Sequence[Sequence[int]]] | None = None,
        from_titles: bool = True,
    ):
        self._table, self._frequency, self._from_titles = tag_table, frequency, from_titles
        self._pieces_of = pieces_of
        self._known = frozenset(word for key in tag_table.keys for word in words_of(key))

    def candidates(
        self, tags: Sequence[Sequence[PredictedTag]], titles: Sequence[str], *, any_words: bool = False
    ) -> list[NovelCandidate]:
        """The novel tags of whole words, written ones first.

        Args:
            tags: predicted tags of every video.
            titles: every title, as its word pieces spell it.
            any_words: whether written tags of other words are good too: a person has listed them.
        """
        found = []
        for video, (own, text) in enumerate(zip(tags, titles, strict=True)):
            title = words_of(tag_key(text))
            words = frozenset(title)
            written = [tag for tag in own if tag.novel and (any_words or self._is_whole(tag, words))]
            found += [NovelCandidate(video, tag, self._features(tag, title, written=True)) for tag in written]
            keys = {tag_key(tag.text) for tag in own}
            for phrase in self._phrases(text) if self._from_titles else ():
                if tag_key(phrase) not in keys:
                    tag = PredictedTag(text=phrase, score=0.0, novel=True)
                    found.append(NovelCandidate(video, tag, self._features(tag, title, written=False)))
        return found

    def _phrases(self, title: str) -> list[str]:
        """Words and short phrases of a title, as they stand in it, that are no training tags, each once."""
        text = join_punctuation(title)
        spans = _word_spans(text)
        gaps = [text[end:start] for (_, end), (start, _) in pairwise(spans)]
        # One letter of "t-shirt" or "dog's" is in a phrase with what it is joined to, or in none.
        is_splinter = [end - start < _SHORTEST for start, end in spans]
        begins = [not (part and gap in _TIGHT) for part, gap in zip(is_splinter, ["\n", *gaps], strict=False)]
        ends = [not (part and gap in _TIGHT) for part, gap in zip(is_splinter, [*gaps, "\n"], strict=False)]
        found = dict.fromkeys(
            text[spans[first][0] : spans[last][1]]
            for length in range(LONGEST_PHRASE)
            for first, last in enumerate(range(length, len(spans)))
            if begins[first] and ends[last] and _JOINTS.issuperset(gaps[first:last])
        )
        new = [each for each in found if len(each) >= _SHORTEST and not self._table.is_known(tag_key(each))]
        if self._pieces_of is None:
            return new
        return [
            each for each, pieces in zip(new, self._pieces_of(new), strict=True) if self._table.find(pieces) is None
        ]

    def _is_whole(self, tag: PredictedTag, title: frozenset[str]) -> bool:
        words = words_of(tag_key(tag.text))
        # A sign of its own may join words ("rock & roll"), but not begin or end a tag.
        parts = tag.text.split()
        if not words or not all(any(map(str.isalnum, part)) for part in (parts[0], parts[-1])):
            return False
        return all(word in self._known or (word in title and len(word) >= _SHORTEST) for word in words)

    def _features(self, tag: PredictedTag, title: Sequence[str], *, written: bool) -> tuple[float, ...]:
        words = words_of(tag_key(tag.text))
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
    """(T, F) of T candidates; the F features are :data:`FEATURES`."""
    return np.array([each.features for each in candidates], np.float32).reshape(len(candidates), len(FEATURES))


def words_of(text: str) -> list[str]:
    """Words without punctuation, letters with their marks; where Chinese or Japanese meets another script a word ends."""
    return [text[start:end] for start, end in _word_spans(text)]


def _word_spans(text: str) -> list[tuple[int, int]]:
    spans: list[tuple[int, int]] = []
    was_ideograph = False
    for place, char in enumerate(text):
        is_letter, is_ideograph = char.isalnum(), _IDEOGRAPH.match(char) is not None
        is_next = bool(spans) and spans[-1][1] == place
        if is_next and (_is_mark(char) or (is_letter and is_ideograph == was_ideograph)):
            spans[-1] = (spans[-1][0], place + 1)
        elif is_letter:
            spans.append((place, place + 1))
        was_ideograph = is_ideograph if is_letter else was_ideograph
    return spans


def _is_mark(char: str) -> bool:
    """A vowel or accent of the letter before it; what chooses between two looks of an emoji is none."""
    return unicodedata.category(char) in ("Mn", "Mc") and not "\ufe00" <= char <= "\ufe0f"
