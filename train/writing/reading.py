"""Tokens back to tags: texts, confidence, and which of them are known."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from ...data.predicted_tag import PredictedTag
from ...data.tag_table import TagTable
from ...data.tags import clean_tag, tag_key
from ...data.word_pieces import EOS, NIL, PAD, SEPARATOR, TitleTokenizer, Vocabulary
from .greedy import WrittenTokens


@dataclass(frozen=True, kw_only=True)
class WrittenTag:
    """One slot's word pieces (decoder ids) with its confidence and its slot."""

    ids: tuple[int, ...]
    score: float
    slot: int


def split_tags(tokens: Sequence[int], log_probs: Sequence[float], nil_probs: Sequence[float]) -> list[WrittenTag]:
    """Splits one video's tokens at separators and drops NIL and empty slots (paper §3.3).

    Confidence is the geometric mean of a tag's token probabilities times 1 - p(NIL) at its first token.
    """
    tags: list[WrittenTag] = []
    slot, start = 0, 0
    for end, token in enumerate([*tokens, EOS]):
        if token not in (SEPARATOR, EOS, PAD):
            continue
        places = [place for place in range(start, end) if tokens[place] != NIL]
        if places:
            mean = sum(log_probs[place] for place in places) / len(places)
            score = math.exp(mean) * (1.0 - nil_probs[start])
            ids = tuple(tokens[place] for place in places)
            tags.append(WrittenTag(ids=ids, score=min(1.0, max(0.0, score)), slot=slot))
        if token in (EOS, PAD):
            break
        slot, start = slot + 1, end + 1
    return tags


_INFIX = re.compile(r"(?<=\w) ?([-'’/.:&_]) ?(?=\w)")


def join_punctuation(text: str) -> str:
    """Removes the spaces that word pieces leave around punctuation inside a word: "hip - hop" becomes "hip-hop"."""
    return _INFIX.sub(r"\1", text)


class TagReader:
    """Turns written word pieces into tags: known ones in their own spelling, others put together and marked novel.

    Args:
        prompts: whether a tag's place in the sequence is the number of an order prompt.
    """

    def __init__(self, vocabulary: Vocabulary, tag_table: TagTable, tokenizer: TitleTokenizer, *, prompts: bool = True):
        self.tag_table = tag_table
        self._prompts = prompts
        self._vocabulary = vocabulary
        self._tokenizer = tokenizer

    def read(
        self, written: WrittenTokens, names: Callable[[int], Mapping[tuple[int, ...], str]] | None = None
    ) -> list[list[PredictedTag]]:
        """Tags of every video, best first; a tag written twice counts once, with its better score.

        Args:
            names: what word pieces (decoder ids) spell for a video of the batch, before the tag table is asked.
        """
        rows = zip(written.tokens.tolist(), written.log_probs.tolist(), written.nil_probs.tolist(), strict=True)
        numbers = None if written.prompts is None else written.prompts.tolist()
        videos = []
        for video, row in enumerate(rows):
            own = names(video) if names else {}
            tags = [self._tag(tag, own.get(tag.ids)) for tag in split_tags(*row)]
            if numbers is not None:
                tags = [replace(tag, prompt=None if tag.prompt is None else numbers[video][tag.prompt]) for tag in tags]
            videos.append(self._unique(tags))
        return videos

    def pieces(self, tag: PredictedTag) -> list[int]:
        """Decoder ids that write a tag; none where the vocabulary cannot write it."""
        key = tag_key(tag.text)
        column = self.tag_table.column_of.get(key)
        pieces = self._tokenizer.encode_tags([key])[0] if column is None else self.tag_table.tokens[column]
        return self._vocabulary.encode(pieces) if self._vocabulary.can_spell(pieces) else []

    def _tag(self, written: WrittenTag, name: str | None) -> PredictedTag:
        pieces = self._vocabulary.decode(written.ids)
        known = self.tag_table.find(pieces)
        if name is not None:
            text, novel = name, not self.tag_table.is_known(tag_key(name))
        elif known is not None:
            text, novel = self.tag_table.spellings[known], False
        else:
            # Other pieces can spell a known tag too ("ca ##t"); it is still that tag, in its own spelling.
            text = join_punctuation(clean_tag(self._tokenizer.spell(pieces)).removeprefix("##"))
            novel = not self.tag_table.is_known(tag_key(text))
            text = self.tag_table.spelling_of.get(tag_key(text), text)
        prompt = written.slot if self._prompts else None
        return PredictedTag(text=text, score=written.score, novel=novel, prompt=prompt)

    @staticmethod
    def _unique(tags: list[PredictedTag]) -> list[PredictedTag]:
        best: dict[str, PredictedTag] = {}
        for tag in sorted(tags, key=lambda tag: -tag.score):
            if tag.text:
                best.setdefault(tag_key(tag.text), tag)
        return list(best.values())
