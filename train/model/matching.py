"""Prompt–tag matching (paper §3.2.2, Eq. 2–3): pure functions, no gradient.

Eq. 2 maximises the sum of cos(p_n, e_σ(n)) over one-to-one assignments of the N prompts to the L tags padded with
[NIL] up to N. All NIL columns are the same vector, so the padded square problem has the same optimum as the
rectangular N × L problem on cos(p_n, e_l) - cos(p_n, e_NIL): a prompt given a tag gives up its NIL.

Legend: B videos, N prompts, L tags, E tag-embedding width.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from ...data.errors import DivergedError
from ..device import send

NO_TAG = -1
"""In an assignment: the prompt is matched to [NIL]."""


@torch.no_grad()
def prompt_tag_gain(prompts: Tensor, tags: Tensor, nil: Tensor | None) -> Tensor:
    """What an assignment gains over leaving the prompt to NIL.

    Args:
        prompts: (B, N, E).
        tags: (B, L, E), padded rows may hold anything.
        nil: (E,) embedding of [NIL], or ``None`` to leave the NIL term out (DETR's habit; a different problem).

    Returns:
        (B, N, L) cos(p_n, e_l) - cos(p_n, e_NIL).
    """
    unit = functional.normalize(prompts.float(), dim=-1)
    gain = unit @ functional.normalize(tags.float(), dim=-1).transpose(1, 2)
    if nil is not None:
        gain = gain - (unit @ functional.normalize(nil.float(), dim=0))[..., None]
    return gain


def match_prompts(gain: NDArray[np.float32]) -> NDArray[np.int64]:
    """Best one-to-one assignment of one video.

    Args:
        gain: (N, L) with L ≤ N.

    Returns:
        (N,) index of each prompt's tag, :data:`NO_TAG` for NIL; each of the L tags occurs exactly once.
    """
    found: NDArray[np.int64] = match_batch(gain[None], [gain.shape[1]])[0]
    return found


def match_batch(gain: NDArray[np.float32], lengths: Sequence[int]) -> NDArray[np.int64]:
    """Assignments of a batch: gain (B, N, L) and the number of tags of each video -> (B, N), as :func:`match_prompts`.

    Raises:
        DivergedError: a gain is no number.
    """
    from scipy.optimize import linear_sum_assignment  # takes long to import, and predicting does without

    found = np.full(gain.shape[:2], NO_TAG, np.int64)
    for assignment, video, length in zip(found, gain, lengths, strict=True):
        try:
            prompts, tags = linear_sum_assignment(video[:, :length], maximize=True)
        except ValueError as error:
            raise DivergedError from error
        assignment[prompts] = tags
    return found


def assign_tags(
    prompts: Tensor, tags: Sequence[NDArray[np.int64]], embeddings: Tensor, nil: Tensor | None
) -> NDArray[np.int64]:
    """Tag matched to each prompt of a batch.

    Args:
        prompts: (B, N, E).
        tags: per video, at most N rows of the tag table.
        embeddings: (U, E), the tag table.
        nil: as in :func:`prompt_tag_gain`.

    Returns:
        (B, N) rows of the tag table, :data:`NO_TAG` for NIL.
    """
    lengths = [len(video) for video in tags]
    mask = np.arange(max(1, *lengths)) < np.array(lengths)[:, None]
    padded = np.zeros(mask.shape, np.int64)
    padded[mask] = np.concatenate(tags)
    gain = prompt_tag_gain(prompts, embeddings[send(torch.from_numpy(padded), prompts.device)], nil)
    local = match_batch(gain.cpu().numpy(), lengths)
    return np.where(local == NO_TAG, NO_TAG, np.take_along_axis(padded, local.clip(min=0), axis=1))
