"""The decoder's vocabulary: the word pieces it can write, and the four marks of the tag sequence.

``corpus`` keeps the pieces that occur in titles and in training tags, plus every single character, which is enough to
spell anything; ``full`` keeps all of the tokenizer's pieces, the paper's setting (``method.md`` §4, Cost).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

from .store import FeatureStore
from .tag_table import TagTable
from .title_tokenizer import TitleTokenizer

VocabularyKind = Literal["corpus", "full"]

PAD, BOS, EOS, SEPARATOR, NIL = range(5)
"""Fill after the end · start of the sequence · end · between two tags · "this prompt has no tag" (the paper's [PAD])."""

MARKS = 5


class Vocabulary:
    """Maps the tokenizer's piece ids to the decoder's ids and back. Ids 0 to 4 are the marks."""

    def __init__(self, pieces: Sequence[int]):
        self.pieces: tuple[int, ...] = tuple(pieces)
        self._ids = {piece: number + MARKS for number, piece in enumerate(self.pieces)}

    def __len__(self) -> int:
        return len(self.pieces) + MARKS

    def can_spell(self, pieces: Iterable[int]) -> bool:
        """Whether every piece is in the vocabulary."""
        return all(piece in self._ids for piece in pieces)

    def encode(self, pieces: Iterable[int]) -> list[int]:
        """Decoder ids of word pieces; a piece outside the vocabulary is a KeyError."""
        return [self._ids[piece] for piece in pieces]

    def decode(self, ids: Iterable[int]) -> list[int]:
        """Word pieces of decoder ids; marks are left out."""
        return [self.pieces[number - MARKS] for number in ids if number >= MARKS]


def build_vocabulary(
    store: FeatureStore, tag_table: TagTable, tokenizer: TitleTokenizer, kind: VocabularyKind
) -> Vocabulary:
    """Vocabulary for a store; the unknown piece and the tokenizer's special tokens are never part of it."""
    pieces = tokenizer.pieces
    if kind == "full":
        chosen = set(pieces.values())
    else:
        chosen = {number for piece, number in pieces.items() if len(piece.removeprefix("##")) == 1}
        chosen.update(piece for tokens in tag_table.tokens for piece in tokens)
        chosen.update(store.title_pieces().tolist())
    return Vocabulary(sorted(chosen - tokenizer.special_ids - {tokenizer.unknown_id}))
