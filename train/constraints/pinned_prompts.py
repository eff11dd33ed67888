"""Which order prompts write the pinned tags of a video: those that would write them most likely.

In training a tag is matched to the prompt nearest to it by embedding (Eq. 2). A pinned tag may be one that has no embedding
in the run; what the decoder thinks of it, it says of any tag. Legend: B videos, N prompts, L pinned tags, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..matching import match_prompts
from .allowance import Pieces


def choose_prompts(first_pieces: Tensor, pins: Sequence[Pieces]) -> list[int]:
    """The prompt of each pinned tag of one video, no prompt twice.

    Args:
        first_pieces: (N, V) log-probability of the first piece that each prompt writes.
        pins: at most N tags.
    """
    if not pins:
        return []
    gain = first_pieces[:, [tag[0] for tag in pins]].float().cpu().numpy()
    prompt_of = {int(tag): prompt for prompt, tag in enumerate(match_prompts(gain)) if tag >= 0}
    return [prompt_of[tag] for tag in range(len(pins))]


def prompts_in_front(chosen: Sequence[Sequence[int]], prompts: int, device: torch.device) -> Tensor:
    """(B, N) an order of the prompts for each video: the chosen ones, then the others as they are."""
    rows = [[*first, *(number for number in range(prompts) if number not in first)] for first in chosen]
    return torch.tensor(rows, device=device)
