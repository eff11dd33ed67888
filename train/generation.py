"""Writing tags (paper §3.3, ``method.md`` §5): greedy decoding, confidence, and from tokens back to tags.

Legend: B videos, N prompts, S title tokens, T written tokens, D width, E tag-embedding width.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..data.tag_table import TagTable
from ..data.tags import clean_tag, tag_key
from ..data.title_tokenizer import TitleTokenizer
from ..data.vocabulary import BOS, EOS, NIL, PAD, SEPARATOR, Vocabulary
from .tag_decoder import TagDecoder
from .tag_sequence import MAX_TARGET_TOKENS


@dataclass(frozen=True, kw_only=True)
class PredictedTag:
    """One tag of one video.

    Attributes:
        text: the tag in its own spelling if it is known, put together from word pieces if it is novel.
        score: confidence in [0, 1].
        novel: not a tag of the training split.
        prompt: number of the order prompt that wrote it; ``None`` in a system without prompts.
    """

    text: str
    score: float
    novel: bool
    prompt: int | None = None


@dataclass(frozen=True, kw_only=True)
class WrittenTokens:
    """What greedy decoding wrote: ``tokens`` (B, T), their ``log_probs`` (B, T) and p(NIL) at each place (B, T)."""

    tokens: Tensor
    log_probs: Tensor
    nil_probs: Tensor


@torch.no_grad()
def greedy_decode(
    decoder: TagDecoder,
    prompts: Tensor,
    features: Tensor,
    mask: Tensor,
    *,
    nil_bias: float = 0.0,
    use_cache: bool = True,
) -> WrittenTokens:
    """Writes the likeliest token at each place until every video has ended.

    Args:
        prompts: (B, N, E) in the order in which tags are wanted.
        features: F (B, S, D) with mask (B, S).
        nil_bias: taken off the logit of [NIL]; more of it, more tags. Probabilities are reported without it.
        use_cache: whether keys and values of earlier positions are kept; the result is the same.
    """
    state = decoder.begin(prompts, features, mask) if use_cache else None
    tokens = torch.full((len(prompts), 1), BOS, device=prompts.device)
    separators = torch.zeros(len(prompts), dtype=torch.int64, device=prompts.device)
    ended = torch.zeros(len(prompts), dtype=torch.bool, device=prompts.device)
    chosen: list[Tensor] = []
    log_probs: list[Tensor] = []
    nil_probs: list[Tensor] = []
    for _ in range(MAX_TARGET_TOKENS):
        if state is not None:
            logits = decoder.step(state, tokens[:, -1])
        else:
            logits = decoder.logits(decoder(prompts, tokens, features, mask)[:, -1])
        log_prob = logits.float().log_softmax(-1)
        biased = log_prob.clone()
        biased[:, NIL] -= nil_bias
        biased[:, [PAD, BOS]] = float("-inf")
        # N prompts, N slots: after the last one comes the end and no further slot.
        biased[:, SEPARATOR].masked_fill_(separators >= prompts.shape[1] - 1, float("-inf"))
        token = biased.argmax(-1).masked_fill(ended, PAD)
        chosen.append(token)
        log_probs.append(log_prob.gather(1, token[:, None])[:, 0])
        nil_probs.append(log_prob[:, NIL].exp())
        tokens = torch.cat([tokens, token[:, None]], dim=1)
        separators += token == SEPARATOR
        ended = ended | (token == EOS)
        if bool(ended.all()):
            break
    return WrittenTokens(
        tokens=torch.stack(chosen, 1), log_probs=torch.stack(log_probs, 1), nil_probs=torch.stack(nil_probs, 1)
    )


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
    """Turns written word pieces into tags: known ones in their own spelling, others put together and marked novel."""

    def __init__(self, vocabulary: Vocabulary, tag_table: TagTable, tokenizer: TitleTokenizer):
        self.tag_table = tag_table
        self._vocabulary = vocabulary
        self._tokenizer = tokenizer

    def read(self, written: WrittenTokens) -> list[list[PredictedTag]]:
        """Tags of every video, best first; a tag written twice counts once, with its better score."""
        rows = zip(written.tokens.tolist(), written.log_probs.tolist(), written.nil_probs.tolist(), strict=True)
        return [self._unique([self._tag(tag) for tag in split_tags(*row)]) for row in rows]

    def _tag(self, written: WrittenTag) -> PredictedTag:
        pieces = self._vocabulary.decode(written.ids)
        known = self.tag_table.find(pieces)
        if known is not None:
            text, novel = self.tag_table.spellings[known], False
        else:
            # Other pieces can spell a known tag too ("ca ##t"); it is still that tag, in its own spelling.
            text = join_punctuation(clean_tag(self._tokenizer.decode(pieces)).removeprefix("##"))
            novel = not self.tag_table.is_known(tag_key(text))
            text = self.tag_table.spelling_of.get(tag_key(text), text)
        return PredictedTag(text=text, score=written.score, novel=novel, prompt=written.slot)

    @staticmethod
    def _unique(tags: list[PredictedTag]) -> list[PredictedTag]:
        best: dict[str, PredictedTag] = {}
        for tag in sorted(tags, key=lambda tag: -tag.score):
            if tag.text:
                best.setdefault(tag_key(tag.text), tag)
        return list(best.values())
