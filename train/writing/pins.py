"""Which order prompts write the pinned tags of a video: those that would write them most likely, of silent ones first.

In training a tag is matched to the prompt nearest to it by embedding (Eq. 2). A pinned tag may be one that has no embedding
in the run; what the decoder thinks of it, it says of any tag. Legend: B videos, N prompts, L pinned tags, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ...data.word_pieces import MARKS
from ..model.matching import match_prompts
from .steering import Pieces

DISPLACED = 1000.0
"""What it costs to take a prompt from another tag: more than any log-probability. A pinned tag shall not cost another one."""


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
