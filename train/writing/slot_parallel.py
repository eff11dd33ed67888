"""Slot-parallel writing: all prompts write their tags at once, piece by piece.

The paper's decoder writes one tag after the other, in as many steps as the whole sequence has tokens. Here step t writes
the t-th piece of every tag, having read the prompts and all pieces that any tag has before place t. The number of
steps is that of the longest tag, and no prompt comes before another: the prompts' order cannot matter.

Legend: B videos, N prompts, T target tokens of all slots, t pieces of the longest tag, D width, V vocabulary.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ...data.word_pieces import BOS, EOS, MARKS, NIL, PAD, SEPARATOR
from ..model.tag_decoder import TagDecoder
from ..model.tag_sequence import MAX_STEPS
from ..model.token_output import PlainOutput, TokenOutput
from .greedy import WrittenTokens, is_worth_keeping, likeliest, spread
from .steering import Steering


@torch.no_grad()
def slot_parallel_decode(
    decoder: TagDecoder,
    prompts: Tensor,
    features: Tensor,
    mask: Tensor,
    *,
    nil_bias: float = 0.0,
    output: TokenOutput | None = None,
    steering: Steering | None = None,
) -> WrittenTokens:
    """Writes the likeliest piece of every tag at each step until all have ended.

    Whenever half of the videos have ended, the others go on alone, but for batches of few videos.

    Args:
        prompts: (B, N, E).
        features: F (B, S, D) with mask (B, S).
        nil_bias: taken off the logit of [NIL]; more of it, more tags. Probabilities are reported without it.
        output: hidden states (B, N, D) to scores (B, N, V); the decoder's own output without it.
        steering: of all slots, video by video; limits what may be written, not the probabilities that are reported.

    Returns:
        the tags slot by slot, each closed by the separator, as sequential decoding gives them.
    """
    output = output or PlainOutput(decoder)
    state = decoder.begin(prompts, features, mask)
    videos, slots = prompts.shape[:2]
    rows = torch.arange(videos, device=prompts.device)
    tokens = torch.full((videos, slots), BOS, device=prompts.device)
    open_ = torch.ones(videos, slots, dtype=torch.bool, device=prompts.device)
    # Who sees what, as the mask of training has it (SlotTargets.layout). Of the present step a slot sees its own token, at
    # step 0 all begin marks, which carry the prompts; of earlier steps the tokens of all tags that had not ended by then.
    own = torch.eye(slots, dtype=torch.bool, device=prompts.device).expand(videos, -1, -1)
    earlier = open_.new_zeros((videos, slots, 0))
    steps: list[tuple[Tensor, ...]] = []
    for step in range(MAX_STEPS):
        now = own if step else torch.ones_like(own)
        log_prob = output(decoder.step_slots(state, tokens, torch.cat([earlier, now], dim=2)[:, None])).float()
        log_prob = log_prob.log_softmax(-1)
        # What is preferred or forbidden are marks, the first columns: they alone are changed and put back.
        marks = log_prob[..., :MARKS].clone()
        log_prob[..., NIL] -= nil_bias
        log_prob[..., PAD : EOS + 1] = float("-inf")
        # A tag begins with a piece or is NIL; later there is no NIL within it.
        log_prob[..., NIL if step else SEPARATOR] = float("-inf")
        token = likeliest(log_prob if steering is None else steering.limited(log_prob))
        if steering is not None:
            steering.read(token)
        log_prob[..., :MARKS] = marks
        found = (token.masked_fill(~open_, PAD), _pick(log_prob, token), log_prob[..., NIL].exp())
        steps.append(tuple(spread(values, rows, videos, PAD) for values in found))
        # Ended tags write on, unread: what they have written so far stays in sight of the others.
        earlier = torch.cat([earlier, open_[:, None, :].expand(-1, slots, -1)], dim=2)
        open_ = open_ & (token != SEPARATOR) & (token != NIL)
        tokens = token
        going = torch.nonzero(open_.any(dim=1)).squeeze(1)
        if is_worth_keeping(len(going), len(rows)):
            rows, tokens, open_, own, earlier = (values[going] for values in (rows, tokens, open_, own, earlier))
            state.keep(going)
            output = output.keep(going)
            if steering is not None:
                steering.keep((going[:, None] * slots + torch.arange(slots, device=going.device)).flatten())
        if not len(going):
            break
    unfinished = spread(open_, rows, videos, 0)
    written, log_probs, nil_probs = (torch.stack(parts, dim=2) for parts in zip(*steps, strict=True))
    return _slot_by_slot(written.masked_fill(unfinished[..., None], PAD), log_probs, nil_probs)


def _pick(log_prob: Tensor, token: Tensor) -> Tensor:
    return log_prob.gather(2, token[..., None])[..., 0]


def _slot_by_slot(tokens: Tensor, log_probs: Tensor, nil_probs: Tensor) -> WrittenTokens:
    """(B, N, t) each -> (B, ·): every slot's tokens, its separator, the next slot's, without gaps."""
    ends = (tokens == SEPARATOR) | (tokens == PAD)
    last = torch.full_like(tokens[..., :1], SEPARATOR)
    flat = torch.cat([tokens.masked_fill(ends, PAD), last], dim=2).flatten(1)
    order = (flat == PAD).byte().argsort(dim=1, stable=True)
    nothing = torch.zeros_like(log_probs[..., :1])
    return WrittenTokens(
        tokens=flat.gather(1, order),
        log_probs=torch.cat([log_probs, nothing], dim=2).flatten(1).gather(1, order),
        nil_probs=torch.cat([nil_probs, nothing], dim=2).flatten(1).gather(1, order),
    )
