"""Word pieces of titles and tags, from the text encoder's own tokenizer, and those of them that the decoder writes.

The tokenizer travels inside the feature store and the run folder as JSON, so that training, evaluation and tagging split text
exactly as extraction did. The decoder's vocabulary is word pieces and the four marks of the tag sequence. ``corpus`` keeps the
pieces that occur in titles and in training tags, plus every single character, which is enough to spell anything; ``full``
keeps all of the tokenizer's pieces, the paper's setting.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from tokenizers import Tokenizer

from .errors import StoreError
from .store import FeatureStore
from .tag_table import TagTable

MAX_TITLE_TOKENS = 40
"""Of a title, special tokens included. The paper gives no number; 40 pieces hold CREATE's titles of up to 36 characters."""


MAX_TITLE_CHARACTERS = 2000
"""No 40 pieces come from further in; a title of any length then costs the same."""


MAX_TAG_TOKENS = 128
"""Word pieces of a tag that its embedding looks at, special tokens included."""


WORD_BEGINS = "▁"
"""What SentencePiece puts in the place of the space before a word."""


_WITHOUT_SPACES = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\ua4cf\uac00-\ud7af\uf900-\ufaff\U0001b000-\U0001b16f\U00020000-\U0003ffff]"
)
"""Thai, Lao, Burmese and Khmer, and the scripts of Chinese, Japanese and Korean, whose endings stand at the word."""


IDEOGRAPHS = "\u2e80-\u9fff\uf900-\ufaff\U0001b000-\U0001b16f\U00020000-\U0003ffff"
"""Ranges of Chinese and Japanese, which put no space between words, for a class of a regular expression."""


_BETWEEN_IDEOGRAPHS = re.compile(rf"(?<=[{IDEOGRAPHS}]) (?=[{IDEOGRAPHS}])")


def _is_letter(char: str) -> bool:
    return char.isalnum() or unicodedata.category(char).startswith("M")


@dataclass(frozen=True)
class WholeText:
    """A text as the text model reads it: ``ids`` with special tokens, and which of them are words."""

    ids: tuple[int, ...]
    is_word: tuple[bool, ...]


class TitleTokenizer:
    """A ``tokenizers.Tokenizer`` set to the two ways in which text is read here.

    Text is always plain characters: a tag or title spelled ``[SEP]`` never becomes the special token.
    """

    def __init__(self, tokenizer: Tokenizer):
        tokenizer.no_padding()
        tokenizer.no_truncation()
        tokenizer.encode_special_tokens = True
        self._tokenizer = tokenizer

    @classmethod
    def from_json(cls, text: str) -> TitleTokenizer:
        """From the JSON of a ``tokenizers.Tokenizer``; raises :class:`StoreError` where it is none."""
        try:
            return cls(Tokenizer.from_str(text))
        except Exception as error:  # tokenizers raises bare Exception
            raise StoreError(
                f"the tokenizer cannot be read ({error}); expected the JSON of a tokenizers.Tokenizer"
            ) from error

    def to_json(self) -> str:
        """JSON that :meth:`from_json` reads."""
        return str(self._tokenizer.to_str())

    def encode_titles(self, titles: Sequence[str]) -> list[list[int]]:
        """Ids with special tokens, at most :data:`MAX_TITLE_TOKENS` per title, cut at the end of the text."""
        specials = self._tokenizer.num_special_tokens_to_add(is_pair=False)
        room = MAX_TITLE_TOKENS - specials
        pieces = self._tokenizer.encode_batch([t[:MAX_TITLE_CHARACTERS] for t in titles], add_special_tokens=False)
        for piece in pieces:
            piece.truncate(room)
        return [self._tokenizer.post_process(piece).ids for piece in pieces]

    def title_words(self, title: str) -> list[tuple[int, int] | None]:
        """For each id of :meth:`encode_titles`: where its word stands in the title, ``None`` for special tokens."""
        pieces = self._tokenizer.encode(title[:MAX_TITLE_CHARACTERS], add_special_tokens=False)
        spans: dict[int, tuple[int, int]] = {}
        for word, (start, end) in zip(pieces.word_ids, pieces.offsets, strict=True):
            assert word is not None  # only special tokens belong to no word
            first, last = spans.get(word, (start, end))
            spans[word] = (min(first, start), max(last, end))
        pieces.truncate(MAX_TITLE_TOKENS - self._tokenizer.num_special_tokens_to_add(is_pair=False))
        return [None if word is None else spans[word] for word in self._tokenizer.post_process(pieces).word_ids]

    def encode_tags(self, tags: Sequence[str]) -> list[list[int]]:
        """Ids of every tag's word pieces, without special tokens and whole, however long."""
        return [encoding.ids for encoding in self._tokenizer.encode_batch(list(tags), add_special_tokens=False)]

    def encode_whole(self, tags: Sequence[str], longest: int) -> list[WholeText]:
        """Ids with special tokens, at most ``longest`` and :data:`MAX_TAG_TOKENS` per tag, cut at the end of the text."""
        room = min(longest, MAX_TAG_TOKENS) - self._tokenizer.num_special_tokens_to_add(is_pair=False)
        pieces = self._tokenizer.encode_batch(list(tags), add_special_tokens=False)
        for piece in pieces:
            piece.truncate(room)
        whole = [self._tokenizer.post_process(piece) for piece in pieces]
        return [WholeText(tuple(w.ids), tuple(not mark for mark in w.special_tokens_mask)) for w in whole]

    def decode(self, ids: Sequence[int]) -> str:
        """Text of word pieces; used for tags that are in no table."""
        return str(self._tokenizer.decode(list(ids), skip_special_tokens=False))

    def spell(self, ids: Sequence[int]) -> str:
        """As :meth:`decode`, without the spaces that word pieces leave between characters of Chinese and Japanese."""
        text = self.decode(ids)
        marks_continuing = bool(getattr(self._tokenizer.model, "continuing_subword_prefix", None))
        return _BETWEEN_IDEOGRAPHS.sub("", text) if marks_continuing else text

    @property
    def pieces(self) -> dict[str, int]:
        """Every word piece with its id."""
        return dict(self._tokenizer.get_vocab(with_added_tokens=True))

    @property
    def continuing_ids(self) -> frozenset[int]:
        """Ids of pieces that go on with a word: ``##ing``, or, where words begin with ``▁``, letters without it."""
        prefix = getattr(self._tokenizer.model, "continuing_subword_prefix", None)
        if prefix:
            return frozenset(i for piece, i in self.pieces.items() if piece.startswith(prefix))
        pieces = {piece: i for piece, i in self.pieces.items() if i not in self.special_ids}
        # The mark alone may be a character like any other: "▁▂▃" stands in titles.
        marks_words = any(piece.startswith(WORD_BEGINS) and piece != WORD_BEGINS for piece in pieces)
        return frozenset(i for piece, i in pieces.items() if marks_words and piece[:1].isalnum())

    @property
    def letter_ids(self) -> frozenset[int]:
        """Where every piece is one character: ids of those that are one word with another of them beside them.

        These are letters, digits and their marks, but for scripts that put no space between words.
        """
        pieces = {piece: i for piece, i in self.pieces.items() if i not in self.special_ids}
        if any(len(piece) != 1 for piece in pieces):
            return frozenset()
        return frozenset(i for piece, i in pieces.items() if _is_letter(piece) and not _WITHOUT_SPACES.match(piece))

    @property
    def unknown_id(self) -> int | None:
        """Id of the unknown piece, ``None`` where the tokenizer has none."""
        token = getattr(self._tokenizer.model, "unk_token", None)
        return None if token is None else self._tokenizer.token_to_id(str(token))

    @property
    def special_ids(self) -> frozenset[int]:
        """Ids of pieces that are no text."""
        return frozenset(i for i, token in self._tokenizer.get_added_tokens_decoder().items() if token.special)


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
