"""From assignments to target tokens (paper Eq. 6)."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from optsg.data.word_pieces import BOS, EOS, MARKS, NIL, PAD, SEPARATOR
from optsg.train.model.piece_table import PieceTable
from optsg.train.model.tag_sequence import (
    mean_by_slot,
    positions_in_tag,
    slot_targets,
    slots_of,
    tag_sequence,
    target_batch,
    written_places,
)

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


def test_means_by_slot_are_over_word_pieces_alone() -> None:
    _, wanted = target_batch(np.array([[1, -1, 0], [2, 0, -1]]), PIECES)
    values = torch.arange(1.0, 1 + wanted.numel())  # 1, 2, … for [[11, 12, |, NIL, |, 10, EOS, PAD], [13, 14, 15, |, …
    places = written_places(wanted, multiple=8)
    found = mean_by_slot(values[places], wanted, places, 3)
    assert found.tolist() == [[1.5, 0.0, 6.0], [10.0, 13.0, 0.0]]


def filled_up(sequences: list[list[int]], longest: int) -> list[list[int]]:
    return [sequence + [PAD] * (longest - len(sequence)) for sequence in sequences]


@pytest.mark.parametrize("limit", [5, 8, 9, 12, 160])
def test_targets_of_a_batch_are_those_of_its_videos_one_by_one(limit: int) -> None:
    random = np.random.default_rng(limit)
    pieces = {tag: random.integers(MARKS, 99, int(random.integers(1, 5))).tolist() for tag in range(0, 40, 3)}
    for prompts in (1, 2, 7):
        assignments = random.choice([-1, *pieces], (50, prompts))
        sequences = [tag_sequence(row, pieces, limit) for row in assignments.tolist()]
        inputs, targets = target_batch(assignments, pieces, limit)
        assert targets.shape[1] == min(limit, -(-max(1, *map(len, sequences)) // 8) * 8)
        assert targets.tolist() == filled_up(sequences, targets.shape[1])
        before = [[BOS, *sequence][: len(sequence)] for sequence in sequences]
        assert inputs.tolist() == filled_up(before, targets.shape[1])
        assert inputs.dtype == targets.dtype == torch.int64


def test_targets_of_slots_are_those_of_their_tags_one_by_one() -> None:
    random = np.random.default_rng(0)
    assignments = random.choice([-1, *PIECES], (50, 6))
    found = slot_targets(assignments, PIECES)
    for row, tags in enumerate(assignments.tolist()):
        written = [[*PIECES[tag], SEPARATOR] if tag >= 0 else [NIL] for tag in tags]
        count = sum(map(len, written))
        assert (
            found.targets[row].tolist()
            == filled_up([[token for slot in written for token in slot]], found.targets.shape[1])[0]
        )
        read = [token for slot in written for token in [BOS, *slot[:-1]]]
        assert found.inputs[row].tolist() == filled_up([read], found.inputs.shape[1])[0]
        places = [(slot, place) for slot, tokens in enumerate(written) for place in range(len(tokens))]
        assert list(zip(found.slots[row].tolist(), found.positions[row].tolist(), strict=True))[:count] == places
        assert (
            found.slots[row, count:].tolist()
            == found.positions[row, count:].tolist()
            == [0] * (found.slots.shape[1] - count)
        )
    assert found.targets.shape[1] % 8 == 0


def test_a_table_of_pieces_is_the_mapping_it_was_made_of() -> None:
    table = PieceTable({2: [7, 8], 5: [9]})
    assert dict(table) == {2: [7, 8], 5: [9]}
    assert table.knows(np.array([0, 2, 5, 6, 100])).tolist() == [False, True, True, False, False]
    values, places = table.written(np.array([5, -1, 2]))
    assert (values.tolist(), places.tolist()) == ([9, NIL, 7, 8], [0, 0, 0, 1])
    assert PieceTable.of(table) is table
    with pytest.raises(IndexError):
        table.lengths(np.array([7]))
    assert PieceTable({}).knows(np.array([0])).tolist() == [False]
