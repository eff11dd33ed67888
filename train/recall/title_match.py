"""Training tags that stand in the title, word by word."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import ClassVar

import numpy as np

from ...data.tag_table import TagTable
from ...data.word_pieces import TitleTokenizer
from .source import Scores, Summary


class TitleMatch:
    """1 where all word pieces of a tag stand in the title in a row, from the beginning of a word to the end of one.

    Args:
        tags: the word pieces of every training tag.
        continues: pieces that go on with a word ("##ing").
        letters: pieces that go on with a word where another of them stands before them.
        also: further pieces of some tags, by column.
    """

    name: ClassVar[str] = "title-match"

    def __init__(
        self,
        tags: Sequence[Sequence[int]],
        continues: frozenset[int],
        letters: frozenset[int] = frozenset(),
        also: Mapping[int, Sequence[int]] = MappingProxyType({}),
    ):
        self._continues, self._letters = continues, letters
        self._tags = len(tags)
        self._starting_with: dict[int, list[tuple[tuple[int, ...], int]]] = defaultdict(list)
        for column, pieces in (*enumerate(tags), *also.items()):
            if len(pieces) and pieces[0] not in continues:
                self._starting_with[pieces[0]].append((tuple(pieces), column))

    def score(self, summary: Summary) -> Scores:
        """(B, K) 1 where the tag stands in the title, else 0."""
        scores = np.zeros((len(summary), self._tags), np.float32)
        for row, title in enumerate(summary.titles):
            scores[row, self._found(tuple(title))] = 1.0
        return scores

    def _found(self, title: tuple[int, ...]) -> list[int]:
        return [
            column
            for start, piece in enumerate(title)
            if not self._is_inside_word(title, start)
            for pieces, column in self._starting_with.get(piece, ())
            if title[start : (end := start + len(pieces))] == pieces and not self._is_inside_word(title, end)
        ]

    def _is_inside_word(self, title: tuple[int, ...], place: int) -> bool:
        """Whether a word goes on from the piece before this place to the one at it."""
        if place in (0, len(title)):
            return False
        return title[place] in self._continues or (title[place] in self._letters and title[place - 1] in self._letters)


def pieces_in_titles(tag_table: TagTable, tokenizer: TitleTokenizer) -> dict[int, list[int]]:
    """By column, how titles have tags whose keys nobody writes so: case folding makes "strasse" of "straße", "σκύλοσ" of "σκύλος"."""
    rows = enumerate(zip(tag_table.keys, tag_table.spellings, strict=True))
    folded = {column: spelling for column, (key, spelling) in rows if spelling.lower() != key}
    return dict(zip(folded, tokenizer.encode_tags([*folded.values()]), strict=True))
