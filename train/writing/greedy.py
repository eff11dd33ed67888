"""Greedy decoding, one token after the other (paper §3.3).

Legend: B videos, N prompts, S title tokens, T written tokens, D width, E tag-embedding width.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from ...data.word_pieces import BOS, EOS, MARKS, NIL, PAD, SEPARATOR
from ..model.tag_decoder import TagDecoder
from ..model.tag_sequence import MAX_TARGET_TOKENS
from ..model.token_output import PlainOutput, TokenOutput
from .steering import Steering


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
    # Which videos of the batch the tensors below are of: as videos end, they get fewer rows.
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
            # No empty tags: a separator stands behind a tag alone.
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
        # Fewer rows means copying every layer's cache, worth it when they are halved. Until then ended videos write PAD.
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
