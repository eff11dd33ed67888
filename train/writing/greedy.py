"""Greedy decoding, one token after the other (paper §3.3).

A step costs about as much for a few tokens of a video as for one: on a CPU weights are read from memory, on a GPU kernels are
launched. What follows a token is often plain (a separator after [NIL], [NIL] in the next slot), so that it is guessed and read
along with the token; where the decoder writes what was guessed, what comes behind it is known without a further step. What is
written is what would be written without guesses (Leviathan et al., ICML 2023, with rules in place of a small model).

Legend: B videos, N prompts, S title tokens, T written tokens, X tokens read in a step, D width, E tag-embedding width,
V vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from ...data.word_pieces import BOS, EOS, MARKS, NIL, PAD, SEPARATOR
from ..model.tag_decoder import DecoderState, TagDecoder, TextPlaces
from ..model.tag_sequence import MAX_TARGET_TOKENS
from ..model.token_output import PlainOutput, TokenOutput
from .steering import Steering

GUESSES = 1
"""Tokens guessed in a step."""


@dataclass(frozen=True, kw_only=True)
class WrittenTokens:
    """What greedy decoding wrote: ``tokens`` (B, T), their ``log_probs`` (B, T) and p(NIL) at each place (B, T).

    ``prompts`` (B, N) are the numbers of the prompts that the slots stand for, where that is not their natural order.
    """

    tokens: Tensor
    log_probs: Tensor
    nil_probs: Tensor
    prompts: Tensor | None = None


FEW_ROWS = 4
"""Videos of a batch that are written to its end together: what one writes then depends on no other's end."""


def is_worth_keeping(going: int, rows: int) -> bool:
    """Whether a batch of ``rows`` is to become one of those alone that have not ended."""
    return rows > FEW_ROWS and going <= rows // 2


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

    Whenever half of the videos have ended, the others go on alone, but for batches of few videos. A tag that has not ended at the longest length is dropped.

    Args:
        prompts: (B, N, E) in the order in which tags are wanted; ``None`` for a decoder without prompts, which writes
            neither [NIL] nor a separator with nothing before it.
        features: F (B, S, D) with mask (B, S).
        nil_bias: taken off the logit of [NIL]; more of it, more tags. Probabilities are reported without it.
        eos_bias: taken off the logit of the end mark, likewise.
        output: hidden states (B, X, D) to scores (B, X, V); the decoder's own output without it.
        steering: limits what may be written; probabilities are reported without it.
        use_cache: whether keys and values of earlier positions are kept; the result is the same.
    """
    output = output or PlainOutput(decoder)
    reading = Cached(decoder, prompts, features, mask) if use_cache else Uncached(decoder, prompts, features, mask)
    choose = _Choice(nil_bias=nil_bias, eos_bias=eos_bias, slots=None if prompts is None else prompts.shape[1])
    page, rows = _Page(len(features), features.device), _Rows(len(features), features.device)
    while len(rows.numbers):
        read = guessed(rows.last, GUESSES if use_cache else 0, slots=prompts is not None)
        scores = output(reading.read(read))
        holds = ~rows.ended
        for place in range(read.shape[1]):
            token, log_prob, nil_prob = choose(scores[:, place], read[:, place], rows.separators, steering)
            page.note(rows, holds, token, log_prob, nil_prob)
            rows.write(token.masked_fill(~holds, PAD))
            if steering is not None:
                steering.read(token.masked_fill(~holds, PAD))
            if place + 1 < read.shape[1]:
                holds = holds & (token == read[:, place + 1]) & ~rows.ended
        reading.take(rows.taken())
        # Fewer rows means copying every layer's cache, worth it when they are halved. Until then ended videos write PAD.
        going = torch.nonzero(~rows.ended).squeeze(1)
        if not len(going) or is_worth_keeping(len(going), len(rows.numbers)):
            rows.keep(going)
            reading.keep(going)
            output = output.keep(going)
            if steering is not None:
                steering.keep(going)
    return drop_unfinished(page.written())


class Cached:
    """Reads on from kept keys and values."""

    def __init__(self, decoder: TagDecoder, prompts: Tensor | None, features: Tensor, mask: Tensor):
        self._decoder = decoder
        self._state: DecoderState = decoder.begin(prompts, features, mask)
        self._places: TextPlaces | None = None

    def read(self, tokens: Tensor) -> Tensor:
        """Tokens (B, X) that follow what was taken so far -> hidden states (B, X, D)."""
        hidden, self._places = self._decoder.step_ahead(self._state, tokens)
        return hidden

    def take(self, counts: Tensor) -> None:
        """How many of them (B,), at least one, are part of the text."""
        assert self._places is not None
        self._state.take(self._places, counts)

    def keep(self, rows: Tensor) -> None:
        """Drops all videos but these."""
        self._state.keep(rows)


class Uncached:
    """Reads all from the start at every step, a token a step."""

    def __init__(self, decoder: TagDecoder, prompts: Tensor | None, features: Tensor, mask: Tensor):
        self._decoder = decoder
        self._prompts, self._features, self._mask = prompts, features, mask
        self._tokens = torch.empty(len(features), 0, dtype=torch.int64, device=features.device)

    def read(self, tokens: Tensor) -> Tensor:
        """As :meth:`Cached.read`, for X = 1."""
        self._tokens = torch.cat([self._tokens, tokens], dim=1)
        hidden: Tensor = self._decoder(self._prompts, self._tokens, self._features, self._mask)
        last: Tensor = hidden[:, -1:]
        return last

    def take(self, counts: Tensor) -> None:
        """Every token is taken."""
        del counts

    def keep(self, rows: Tensor) -> None:
        """Drops all videos but these."""
        self._tokens, self._features, self._mask = self._tokens[rows], self._features[rows], self._mask[rows]
        self._prompts = None if self._prompts is None else self._prompts[rows]


def guessed(last: Tensor, guesses: int, *, slots: bool) -> Tensor:
    """The last token of every video (B,) and as many guesses of what follows it, (B, 1 + guesses).

    Args:
        slots: whether [NIL] is written where there is no tag; else nothing sensible can be guessed behind a separator.
    """
    tokens = [last]
    for _ in range(guesses):
        begins = (tokens[-1] == SEPARATOR) | (tokens[-1] == BOS)
        tokens.append(torch.full_like(last, SEPARATOR).masked_fill(begins, NIL if slots else PAD))
    return torch.stack(tokens, dim=1)


class _Rows:
    """Where the videos stand that are still decoded: as videos end, there are fewer."""

    def __init__(self, videos: int, device: torch.device):
        self.numbers = torch.arange(videos, device=device)
        self.last = torch.full((videos,), BOS, device=device)
        self.separators, self.length, self._before = torch.zeros(3, videos, dtype=torch.int64, device=device)
        self.ended = torch.zeros(videos, dtype=torch.bool, device=device)

    def write(self, tokens: Tensor) -> None:
        """Adds a token (b,) to each, none where it is PAD."""
        some = tokens != PAD
        self.last = torch.where(some, tokens, self.last)
        self.length = self.length + some
        self.separators = self.separators + (tokens == SEPARATOR)
        self.ended = self.ended | (tokens == EOS) | (self.length == MAX_TARGET_TOKENS)

    def taken(self) -> Tensor:
        """How many tokens each has written since this was asked before, (b,), at least 1."""
        counts: Tensor = (self.length - self._before).clamp(min=1)
        self._before = self.length
        return counts

    def keep(self, rows: Tensor) -> None:
        """Drops all but these."""
        for name, values in vars(self).items():
            setattr(self, name, values[rows])


class _Page:
    """What has been written, by video and place."""

    def __init__(self, videos: int, device: torch.device):
        # The last column takes what is noted of videos that have ended.
        shape = (videos, MAX_TARGET_TOKENS + 1)
        self._tokens = torch.full(shape, PAD, device=device)
        self._log_probs, self._nil_probs = torch.zeros(2, *shape, device=device)

    def note(self, rows: _Rows, holds: Tensor, token: Tensor, log_prob: Tensor, nil_prob: Tensor) -> None:
        """Notes at each row's next place a token, its log-probability and p(NIL), each (b,), where that holds."""
        where = (rows.numbers, rows.length.masked_fill(~holds, MAX_TARGET_TOKENS))
        self._tokens[where], self._log_probs[where], self._nil_probs[where] = token, log_prob, nil_prob

    def written(self) -> WrittenTokens:
        """All of it, as wide as the longest."""
        longest = int((self._tokens[:, :-1] != PAD).sum(dim=1).max()) if len(self._tokens) else 0
        return WrittenTokens(
            tokens=self._tokens[:, :longest],
            log_probs=self._log_probs[:, :longest],
            nil_probs=self._nil_probs[:, :longest],
        )


@dataclass(frozen=True, kw_only=True)
class _Choice:
    """The likeliest token that may come next.

    Attributes:
        slots: N; ``None`` without prompts.
    """

    nil_bias: float
    eos_bias: float
    slots: int | None

    def __call__(
        self, scores: Tensor, before: Tensor, separators: Tensor, steering: Steering | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """From scores (b, V), the token before and the number of separators: token, log p, p(NIL), (b,) each."""
        log_prob = scores.float().log_softmax(-1)
        # What is preferred or forbidden are marks, the first columns: they alone are changed and put back.
        marks = log_prob[:, :MARKS].clone()
        log_prob[:, NIL] -= self.nil_bias
        log_prob[:, EOS] -= self.eos_bias
        log_prob[:, PAD : BOS + 1] = float("-inf")
        if self.slots is None:
            # No empty tags: a separator stands behind a tag alone.
            log_prob[:, NIL] = float("-inf")
            log_prob[:, SEPARATOR].masked_fill_((before == SEPARATOR) | (before == BOS), float("-inf"))
        else:
            # N prompts, N slots: after the last one comes the end and no further slot.
            log_prob[:, SEPARATOR].masked_fill_(separators >= self.slots - 1, float("-inf"))
        token = likeliest(log_prob if steering is None else steering.limited(log_prob))
        log_prob[:, :MARKS] = marks
        return token, log_prob.gather(1, token[:, None])[:, 0], log_prob[:, NIL].exp()


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
