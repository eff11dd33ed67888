"""Writing tags (paper §3.3, ``method.md`` §5): greedy decoding, confidence, and from tokens back to tags.

Legend: B videos, N prompts, S title tokens, T written tokens, D width, E tag-embedding width.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from ..data.tag_table import TagTable
from ..data.tags import clean_tag, tag_key
from ..data.title_tokenizer import TitleTokenizer
from ..data.vocabulary import BOS, EOS, MARKS, NIL, PAD, SEPARATOR, Vocabulary
from .constraints.steering import Steering
from .tag_decoder import TagDecoder
from .tag_sequence import MAX_TARGET_TOKENS
from .token_output import PlainOutput, TokenOutput


@dataclass(frozen=True, kw_only=True)
class PredictedTag:
    """One tag of one video.

    Attributes:
        text: the tag in its own spelling if it is known, put together from word pieces if it is novel.
        score: confidence in [0, 1]; 1 for a pinned tag.
        novel: not a tag of the training split.
        prompt: number of the order prompt that wrote it; ``None`` in a system without prompts.
        pinned: it was given, not predicted.
        written: what the model wrote where that has another name, an alias or a tag whose place an allowed one took.
        distance: in the latter case, 1 − cosine of the two tags' embeddings.
    """

    text: str
    score: float
    novel: bool
    prompt: int | None = None
    pinned: bool = False
    written: str | None = None
    distance: float | None = None


@dataclass(frozen=True, kw_only=True)
class WrittenTokens:
    """What greedy decoding wrote: ``tokens`` (B, T), their ``log_probs`` (B, T) and p(NIL) at each place (B, T).

    ``prompts`` (B, N) are the numbers of the prompts that the slots stand for, where that is not their natural order.
    """

    tokens: Tensor
    log_probs: Tensor
    nil_probs: Tensor
    prompts: Tensor | None = None


@torch.no_grad()
def greedy_decode(
    decoder: TagDecoder,
    prompts: Tensor | None,
    features: Tensor,
    mask: Tensor,
    *,
    nil_bias: float = 0.0,
    eos_bias: float = 0.0,
    output: TokenOutput | None = None,
    steering: Steering | None = None,
    use_cache: bool = True,
) -> WrittenTokens:
    """Writes the likeliest token at each place until every video has ended.

    Whenever half of the videos have ended, the others go on alone.

    Args:
        prompts: (B, N, E) in the order in which tags are wanted; ``None`` for a decoder without prompts, which writes
            neither [NIL] nor a separator with nothing before it.
        features: F (B, S, D) with mask (B, S).
        nil_bias: taken off the logit of [NIL]; more of it, more tags. Probabilities are reported without it.
        eos_bias: taken off the logit of the end mark, likewise.
        output: hidden states (B, 1, D) to scores (B, 1, V); the decoder's own output without it.
        steering: limits what may be written; probabilities are reported without it.
        use_cache: whether keys and values of earlier positions are kept; the result is the same.
    """
    output = output or PlainOutput(decoder)
    state = decoder.begin(prompts, features, mask) if use_cache else None
    videos = len(features)
    rows = torch.arange(videos, device=features.device)
    tokens = torch.full((videos, 1), BOS, device=features.device)
    separators = torch.zeros(videos, dtype=torch.int64, device=features.device)
    ended = torch.zeros(videos, dtype=torch.bool, device=features.device)
    chosen: list[Tensor] = []
    log_probs: list[Tensor] = []
    nil_probs: list[Tensor] = []
    for _ in range(MAX_TARGET_TOKENS):
        if state is not None:
            hidden = decoder.step(state, tokens[:, -1])
        else:
            hidden = decoder(prompts, tokens, features, mask)[:, -1:]
        log_prob = output(hidden)[:, 0].float().log_softmax(-1)
        # What is preferred or forbidden are marks, the first columns: they alone are changed and put back.
        marks = log_prob[:, :MARKS].clone()
        log_prob[:, NIL] -= nil_bias
        log_prob[:, EOS] -= eos_bias
        log_prob[:, PAD : BOS + 1] = float("-inf")
        if prompts is None:
            log_prob[:, NIL] = float("-inf")
            log_prob[:, SEPARATOR].masked_fill_((tokens[:, -1] == SEPARATOR) | (tokens[:, -1] == BOS), float("-inf"))
        else:
            # N prompts, N slots: after the last one comes the end and no further slot.
            log_prob[:, SEPARATOR].masked_fill_(separators >= prompts.shape[1] - 1, float("-inf"))
        token = likeliest(log_prob if steering is None else steering.limited(log_prob)).masked_fill(ended, PAD)
        log_prob[:, :MARKS] = marks
        chosen.append(spread(token, rows, videos, PAD))
        log_probs.append(spread(log_prob.gather(1, token[:, None])[:, 0], rows, videos, 0.0))
        nil_probs.append(spread(log_prob[:, NIL].exp(), rows, videos, 0.0))
        tokens = torch.cat([tokens, token[:, None]], dim=1)
        if steering is not None:
            steering.read(token)
        separators += token == SEPARATOR
        ended = ended | (token == EOS)
        going = torch.nonzero(~ended).squeeze(1)
        if not len(going):
            break
        if len(going) <= len(rows) // 2:
            rows, tokens, separators, ended = rows[going], tokens[going], separators[going], ended[going]
            features, mask = features[going], mask[going]
            prompts = None if prompts is None else prompts[going]
            output = output.keep(going)
            if state is not None:
                state.keep(going)
            if steering is not None:
                steering.keep(going)
    return WrittenTokens(
        tokens=torch.stack(chosen, 1), log_probs=torch.stack(log_probs, 1), nil_probs=torch.stack(nil_probs, 1)
    )


def likeliest(scores: Tensor) -> Tensor:
    """Index of the largest of the last dimension, the first of equal ones. numpy's is six times as fast on a CPU."""
    if scores.device.type == "cpu" and not scores.requires_grad:
        return torch.from_numpy(np.asarray(scores.numpy().argmax(axis=-1)))
    return scores.argmax(dim=-1)


def spread(values: Tensor, rows: Tensor, videos: int, nothing: float) -> Tensor:
    """Values (b, …) of these rows of a batch -> (videos, …), ``nothing`` for the others."""
    return values.new_full((videos, *values.shape[1:]), nothing).index_copy(0, rows, values)


def drop_unfinished(written: WrittenTokens) -> WrittenTokens:
    """Takes away the tag that a video was writing when the longest length was reached: it is half a tag."""
    tokens = written.tokens.clone()
    separators = (tokens == SEPARATOR).long().cumsum(dim=1)
    last = (separators == separators[:, -1:]) & ~(tokens == EOS).any(dim=1, keepdim=True)
    return replace(written, tokens=tokens.masked_fill(last, PAD))


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
            text = join_punctuation(clean_tag(self._tokenizer.decode(pieces)).removeprefix("##"))
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
