"""The ordered tag sequence (paper §3.2.3, Eq. 6): from an assignment of tags to prompts to target tokens.

In the prompts' input order, each slot holds its tag's word pieces or [NIL]; slots are joined by the separator and the
sequence ends with the end mark. Legend: B videos, N prompts, T target tokens.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..data.vocabulary import BOS, EOS, MARKS, NIL, PAD, SEPARATOR

MAX_TARGET_TOKENS = 160


def tag_sequence(assignment: Sequence[int], pieces: Mapping[int, Sequence[int]], limit: int) -> list[int]:
    """Target of one video.

    Args:
        assignment: tag of every slot in input order, -1 for NIL.
        pieces: decoder ids of every tag that occurs.
        limit: longest target. A longer one is cut before the first slot that does not fit, without the end mark, so
            that the model does not learn to stop there.
    """
    target: list[int] = []
    for slot, tag in enumerate(assignment):
        written = [SEPARATOR] if slot else []
        written += pieces[tag] if tag >= 0 else [NIL]
        if len(target) + len(written) > limit - 1:
            return target
        target += written
    return [*target, EOS]


def target_batch(
    assignments: NDArray[np.int64], pieces: Mapping[int, Sequence[int]], limit: int = MAX_TARGET_TOKENS
) -> tuple[Tensor, Tensor]:
    """Decoder inputs and targets of a batch.

    Args:
        assignments: (B, N) in input order.

    Returns:
        inputs (B, T), starting with the begin mark, and targets (B, T); both filled up with PAD.
    """
    return sequence_batch([tag_sequence(row, pieces, limit) for row in assignments.tolist()], limit)


def sequence_batch(sequences: Sequence[Sequence[int]], limit: int = MAX_TARGET_TOKENS) -> tuple[Tensor, Tensor]:
    """:func:`target_batch` of targets that are put together already, none longer than ``limit``."""
    # A multiple of 8: few different shapes, for which a CPU prepares its matrix kernels one by one.
    longest = min(limit, -(-max(1, *(len(sequence) for sequence in sequences)) // 8) * 8)
    inputs = torch.full((len(sequences), longest), PAD)
    targets = torch.full((len(sequences), longest), PAD)
    for row, sequence in enumerate(sequences):
        targets[row, : len(sequence)] = torch.tensor(sequence, dtype=torch.int64)
        inputs[row, : len(sequence)] = torch.tensor([BOS, *sequence[:-1]][: len(sequence)], dtype=torch.int64)
    return inputs, targets


def written_places(wanted: Tensor, multiple: int = 256) -> Tensor:
    """Flat indices of the places of (B, T) that hold a target, filled up with padding to a multiple of 256.

    The output projection then runs on little padding and in few different shapes; a CPU prepares its matrix kernels anew
    for every shape.
    """
    flat = wanted.flatten()
    written, padding = torch.nonzero(flat != PAD).squeeze(1), torch.nonzero(flat == PAD).squeeze(1)
    return torch.cat([written, padding[: -len(written) % multiple]])


def mean_by_slot(values: Tensor, wanted: Tensor, places: Tensor, slots: int, *, nil_ends: bool = False) -> Tensor:
    """Mean over the word pieces of every slot: (B, N), 0 where a slot has none.

    Args:
        values: (P,) of the places.
        wanted: (B, T) targets.
        places: (P,) flat indices into (B, T), as :func:`written_places` gives them.
        slots: N.
        nil_ends: whether no separator stands after [NIL], as in slot-parallel targets.
    """
    ends = (wanted == SEPARATOR) | ((wanted == NIL) & nil_ends)
    slot = ends.long().cumsum(dim=1) - ends.long()
    flat = slot + slots * torch.arange(len(wanted), device=wanted.device)[:, None]
    is_piece = (wanted.flatten()[places] >= MARKS) & (slot.flatten()[places] < slots)
    index = flat.flatten()[places][is_piece]
    sums, counts = values.new_zeros(2, len(wanted) * slots)
    sums = sums.index_add(0, index, values[is_piece])
    counts = counts.index_add(0, index, torch.ones_like(values[is_piece]))
    means: Tensor = (sums / counts.clamp(min=1.0)).view(len(wanted), slots)
    return means


def slots_of(tokens: Tensor) -> Tensor:
    """(B, T) decoder inputs -> (B, T) slot being written after each of them: the number of separators so far."""
    return (tokens == SEPARATOR).long().cumsum(dim=1)


def positions_in_tag(tokens: Tensor) -> Tensor:
    """(B, T) decoder inputs -> (B, T) number of tokens since the last separator (or the begin mark)."""
    index = torch.arange(tokens.shape[1], device=tokens.device).expand_as(tokens)
    starts = torch.where(tokens == SEPARATOR, index, torch.zeros_like(index)).cummax(dim=1).values
    return index - starts
