"""The ordered tag sequence (paper §3.2.3, Eq. 6): from an assignment of tags to prompts to target tokens.

In the prompts' input order, each slot holds its tag's word pieces or [NIL]; slots are joined by the separator and the
sequence ends with the end mark. Legend: B videos, N prompts, T target tokens.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...data.word_pieces import BOS, EOS, MARKS, NIL, PAD, SEPARATOR
from ..device import send
from .piece_table import PieceTable

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
    table = PieceTable.of(pieces)
    lengths = table.lengths(assignments)
    ends = np.cumsum(lengths + 1, axis=1) - 1  # a separator stands before every slot but the first
    fits = ends <= limit - 1
    whole = fits.all(axis=1)
    rows, slots = np.nonzero(fits)
    pieces_of, place = table.written(assignments[fits])
    starts = (ends - lengths)[fits]
    # Ends rise from slot to slot, so the slots that fit are the first ones.
    sizes = np.where(fits, ends, 0).max(axis=1) + whole
    targets = np.full((len(assignments), _padded_length(int(sizes.max()), limit)), PAD, np.int64)
    targets[np.repeat(rows, lengths[fits]), np.repeat(starts, lengths[fits]) + place] = pieces_of
    targets[rows[slots > 0], starts[slots > 0] - 1] = SEPARATOR
    targets[whole, sizes[whole] - 1] = EOS
    inputs = np.full_like(targets, PAD)
    inputs[:, 1:] = targets[:, :-1]
    inputs[:, 0] = BOS
    inputs[np.arange(targets.shape[1]) >= sizes[:, None]] = PAD
    return torch.from_numpy(inputs), torch.from_numpy(targets)


def _padded_length(longest: int, limit: int) -> int:
    """A multiple of 8: few different shapes, for which a CPU prepares its matrix kernels one by one."""
    return min(limit, -(-max(1, longest) // 8) * 8)


def sequence_batch(sequences: Sequence[Sequence[int]], limit: int = MAX_TARGET_TOKENS) -> tuple[Tensor, Tensor]:
    """:func:`target_batch` of targets that are put together already, none longer than ``limit``."""
    longest = _padded_length(max(len(sequence) for sequence in sequences), limit)
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


MAX_STEPS = 33
"""A tag that has not ended after 32 pieces is dropped."""


@dataclass(frozen=True, kw_only=True)
class SlotTargets:
    """Decoder inputs and targets (B, T), filled up with PAD, and where each token stands.

    Every slot begins with the begin mark and ends with the separator; one without a tag is the begin mark with the
    target [NIL].
    """

    inputs: Tensor
    targets: Tensor
    slots: Tensor
    positions: Tensor

    def to(self, device: torch.device) -> SlotTargets:
        """The same on a device."""
        return SlotTargets(**{name: send(value, device) for name, value in vars(self).items()})

    @property
    def layout(self) -> TokenLayout:
        """A token reads the tokens of its own tag up to itself, and of all others what stands before its place.

        The begin marks, which carry the prompts, see each other.
        """
        query, key = self.positions[:, :, None], self.positions[:, None, :]
        own = (self.slots[:, :, None] == self.slots[:, None, :]) & (key <= query)
        visible = (key < query) | (key == 0) | own
        there = self.inputs != PAD
        # Padding reads itself: attention over nothing is not a number.
        itself = torch.eye(self.inputs.shape[1], dtype=torch.bool, device=there.device)
        return TokenLayout(
            slots=self.slots, positions=self.positions, mask=((visible & there[:, None, :]) | itself)[:, None]
        )


def slot_targets(assignments: NDArray[np.int64], pieces: Mapping[int, Sequence[int]]) -> SlotTargets:
    """Inputs and targets of a batch.

    Args:
        assignments: (B, N) tag of every slot, -1 for NIL.
        pieces: decoder ids of every tag that occurs, fewer than :data:`MAX_STEPS` each.
    """
    table = PieceTable.of(pieces)
    lengths = table.lengths(assignments) + (assignments >= 0)  # a tag ends with the separator
    flat, flat_tags = lengths.ravel(), assignments.ravel()
    sizes = lengths.sum(axis=1)
    rows = np.repeat(np.arange(len(sizes)), sizes)
    columns = np.arange(len(rows)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    place = np.arange(len(rows)) - np.repeat(np.cumsum(flat) - flat, flat)
    written = np.full(len(rows), SEPARATOR, np.int64)
    is_end = (place == np.repeat(flat, flat) - 1) & (np.repeat(flat_tags, flat) >= 0)
    written[~is_end] = table.written(flat_tags)[0]
    before = np.where(place == 0, BOS, np.concatenate([[BOS], written[:-1]]))
    slot = np.repeat(np.tile(np.arange(assignments.shape[1]), len(assignments)), flat)
    longest = _padded_length(int(sizes.max()), int(sizes.max()) + 8)
    values = np.zeros((4, len(sizes), longest), np.int64)
    values[:2] = PAD
    values[:, rows, columns] = [before, written, slot, place]
    inputs, targets, slots, positions = torch.from_numpy(values)
    return SlotTargets(inputs=inputs, targets=targets, slots=slots, positions=positions)


@dataclass(frozen=True, kw_only=True)
class TokenLayout:
    """Where target tokens stand and what they read, where that is not one sequence from left to right.

    Attributes:
        slots: (B, T) prompt whose tag the token belongs to.
        positions: (B, T) place in the tag.
        mask: (B, 1, T, T), true = may look.
    """

    slots: Tensor
    positions: Tensor
    mask: Tensor
