"""Which order prompts write the pinned tags of a video: those that would write them most likely, of silent ones first.

In training a tag is matched to the prompt nearest to it by embedding (Eq. 2). A pinned tag may be one that has no embedding
in the run; what the decoder thinks of it, it says of any tag.

Legend: B videos, S title tokens, N prompts, L pinned tags, D width, E tag-embedding width, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ...data.word_pieces import BOS, MARKS, NIL
from ..model.matching import match_prompts
from ..model.op_tsg import OPTSG
from ..model.tag_sequence import MAX_STEPS, MAX_TARGET_TOKENS
from ..model.token_output import PlainOutput, TokenOutput
from .steering import Pieces
from .tag_control import BatchControl

DISPLACED = 1000.0
"""What it costs to take a prompt from another tag: more than any log-probability. A pinned tag shall not cost another one."""


def place_pins(
    model: OPTSG,
    prompts: Tensor,
    features: Tensor,
    mask: Tensor,
    output: TokenOutput | None,
    control: BatchControl,
    *,
    nil_bias: float = 0.0,
    silent: Tensor | None = None,
) -> tuple[list[list[Pieces]], list[list[int]]]:
    """Per video the pinned tags that can be written, and the prompts that write them.

    Args:
        prompts: (B, N, E) of features F (B, S, D) with mask (B, S).
        silent: (B, N) which prompts would write no tag; without it those whose first piece is [NIL].
    """
    parallel = model.config.decoding == "parallel"
    # Half of the longest sequence is left for what the model adds.
    room = prompts.shape[1] * MAX_STEPS if parallel else MAX_TARGET_TOKENS // 2
    pins = [control.spelled_pins(row, prompts.shape[1], room) for row in range(len(prompts))]
    chosen: list[list[int]] = [[] for _ in pins]
    if some := [row for row, own in enumerate(pins) if own]:
        rows = torch.tensor(some, device=prompts.device)
        kept = None if output is None else output.keep(rows)
        first = first_pieces(model, prompts[rows], features[rows], mask[rows], kept)
        quiet = first[..., NIL] - nil_bias > first[..., MARKS:].amax(dim=-1) if silent is None else silent[rows]
        for row, scores, free in zip(some, first, quiet, strict=True):
            chosen[row] = choose_prompts(scores, free, pins[row])
    return pins, chosen


def choose_prompts(first_pieces: Tensor, silent: Tensor, pins: Sequence[Pieces]) -> list[int]:
    """The prompt of each pinned tag of one video, no prompt twice.

    Args:
        first_pieces: (N, V) log-probability of the first piece that each prompt writes.
        silent: (N,) whether the prompt would write no tag.
        pins: at most N tags.
    """
    if not pins:
        return []
    begins = torch.tensor([tag[0] for tag in pins], device=first_pieces.device)
    choices = first_pieces[:, MARKS:].argmax(dim=1, keepdim=True) + MARKS
    others = ~silent[:, None] & (choices != begins)
    gain = (first_pieces[:, begins].float().clamp(min=-DISPLACED / 2) - DISPLACED * others).cpu().numpy()
    prompt_of = {int(tag): prompt for prompt, tag in enumerate(match_prompts(gain)) if tag >= 0}
    return [prompt_of[tag] for tag in range(len(pins))]


def prompts_in_front(chosen: Sequence[Sequence[int]], prompts: int, device: torch.device) -> Tensor:
    """(B, N) an order of the prompts for each video: the chosen ones, then the others as they are."""
    rows = [[*first, *(number for number in range(prompts) if number not in first)] for first in chosen]
    return torch.tensor(rows, device=device)


def first_pieces(
    model: OPTSG, prompts: Tensor, features: Tensor, mask: Tensor, output: TokenOutput | None = None
) -> Tensor:
    """Log-probabilities (B, N, V) of the first piece that each prompt writes; in sequential decoding as the first one."""
    output = output or PlainOutput(model.decoder)
    videos, slots = prompts.shape[:2]
    if model.config.decoding == "parallel":
        begin = torch.full((videos, slots), BOS, device=prompts.device)
        sight = torch.ones(videos, 1, slots, slots, dtype=torch.bool, device=prompts.device)
        hidden = model.decoder.step_slots(model.decoder.begin(prompts, features, mask), begin, sight)
        return output(hidden).float().log_softmax(-1)
    begin = torch.full((videos, 1), BOS, device=prompts.device)
    first = []
    for slot in range(slots):
        in_front = prompts[:, [slot, *(other for other in range(slots) if other != slot)]]
        first.append(output(model.decoder(in_front, begin, features, mask)).float().log_softmax(-1))
    return torch.cat(first, dim=1)
