"""From assignments to target tokens (paper Eq. 6)."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from optsg.data.word_pieces import BOS, EOS, NIL, PAD, SEPARATOR
from optsg.train.model.tag_sequence import positions_in_tag, slots_of, tag_sequence, target_batch

PIECES = {0: [10], 1: [11, 12], 2: [13, 14, 15]}


def test_slots_hold_their_tag_or_nil_joined_by_separators() -> None:
    assert tag_sequence([1, -1, 0], PIECES, 160) == [11, 12, SEPARATOR, NIL, SEPARATOR, 10, EOS]


def test_permuting_the_slots_permutes_the_written_tags_and_nothing_else() -> None:
    def written(assignment: list[int]) -> list[tuple[int, ...]]:
        ids = tag_sequence(assignment, PIECES, 160)
        cuts = [-1, *(place for place, token in enumerate(ids) if token == SEPARATOR), len(ids) - 1]
        return [tuple(ids[a + 1 : b]) for a, b in itertools.pairwise(cuts)]

    before = [2, -1, 0, 1]
    for order in ([3, 2, 1, 0], [1, 3, 0, 2]):
        after = written([before[slot] for slot in order])
        assert after == [written(before)[slot] for slot in order]


@pytest.mark.parametrize(
    ("limit", "expected"),
    [(9, [11, 12, SEPARATOR, 13, 14, 15, SEPARATOR, 10, EOS]), (8, [11, 12, SEPARATOR, 13, 14, 15]), (5, [11, 12])],
)
def test_long_targets_are_cut_at_a_tag_boundary_without_the_end_mark(limit: int, expected: list[int]) -> None:
    assert tag_sequence([1, 2, 0], PIECES, limit) == expected


def test_inputs_are_targets_shifted_by_the_begin_mark() -> None:
    inputs, targets = target_batch(np.array([[0, 1], [-1, -1]]), PIECES)
    fill = [PAD] * 3  # to a multiple of 8
    assert inputs.tolist() == [[BOS, 10, SEPARATOR, 11, 12, *fill], [BOS, NIL, SEPARATOR, NIL, PAD, *fill]]
    assert targets.tolist() == [[10, SEPARATOR, 11, 12, EOS, *fill], [NIL, SEPARATOR, NIL, EOS, PAD, *fill]]


def test_slots_and_positions_count_from_the_separators() -> None:
    tokens = torch.tensor([[BOS, 11, 12, SEPARATOR, NIL, SEPARATOR, 10]])
    assert slots_of(tokens).tolist() == [[0, 0, 0, 1, 1, 2, 2]]
    assert positions_in_tag(tokens).tolist() == [[0, 1, 2, 0, 1, 0, 1]]
