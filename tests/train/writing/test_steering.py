"""The trie, what a video may still be given, and how decoding is held to it."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from optsg.data.word_pieces import EOS, NIL, PAD, SEPARATOR
from optsg.train.writing.pins import choose_prompts, prompts_in_front
from optsg.train.writing.steering import ROOT, Allowance, Steering, TagTrie

TAGS = [(10,), (10, 11), (12, 13), (12, 14), (12, 14)]
VOCABULARY = 16


def allowed(steering: Steering, rows: int = 1) -> list[list[int]]:
    scores = torch.zeros(rows, VOCABULARY)
    steering.limit(scores)
    return [torch.nonzero(row > float("-inf")).flatten().tolist() for row in scores]


def written(steering: Steering, *tokens: int) -> None:
    for token in tokens:
        steering.read(torch.tensor([token]))


def test_the_trie_holds_every_tag_once() -> None:
    trie = TagTrie(TAGS)
    assert len(trie) == 4
    assert [trie.holds(tag) for tag in ((10,), (10, 11), (12,), (12, 14), (14,), ())] == [True, True, False, True] + [
        False
    ] * 2
    assert sorted(trie.children[ROOT]) == [10, 12]
    assert trie.path((12, 15)) is None


def test_only_pieces_that_lead_to_an_allowed_tag_may_come_next() -> None:
    steering = Steering([Allowance(TagTrie(TAGS))])
    assert allowed(steering) == [[EOS, SEPARATOR, NIL, 10, 12]]
    written(steering, 10)
    assert allowed(steering) == [[EOS, SEPARATOR, 11]]
    written(steering, 11)
    assert allowed(steering) == [[EOS, SEPARATOR]]
    written(steering, SEPARATOR, 12)
    assert allowed(steering) == [[13, 14]]
    written(steering, 13, SEPARATOR, NIL)
    assert allowed(steering) == [[EOS, SEPARATOR]]


def test_a_taken_tag_and_what_leads_to_taken_tags_alone_are_out() -> None:
    steering = Steering([Allowance(TagTrie(TAGS), [(10,), (12, 13), (12, 14), (15,)])])
    assert allowed(steering) == [[EOS, SEPARATOR, NIL, 10]]
    written(steering, 10)
    assert allowed(steering) == [[11]]


def test_where_every_tag_is_taken_nothing_may_be_written() -> None:
    assert allowed(Steering([Allowance(TagTrie(TAGS), TAGS)])) == [[EOS, SEPARATOR, NIL]]
    assert allowed(Steering([Allowance(TagTrie([]))])) == [[EOS, SEPARATOR, NIL]]


def test_without_a_trie_only_taken_tags_cannot_end() -> None:
    everything = list(range(VOCABULARY))
    open_ends = [token for token in everything if token not in (EOS, SEPARATOR)]
    steering = Steering([Allowance(taken=[(10,)])])
    assert allowed(steering) == [everything]
    written(steering, 10)
    assert allowed(steering) == [open_ends]
    written(steering, 11)
    assert allowed(steering) == [everything]


def test_forced_tokens_come_first_and_the_last_forced_tag_can_only_end() -> None:
    steering = Steering([Allowance(TagTrie(TAGS), [(7, 8)])], [[7, 8]])
    for token in (7, 8):
        assert allowed(steering) == [[token]]
        written(steering, token)
    assert allowed(steering) == [[EOS, SEPARATOR]]
    written(steering, SEPARATOR)
    assert allowed(steering) == [[EOS, SEPARATOR, NIL, 10, 12]]


def test_a_forced_token_wins_over_every_score() -> None:
    steering = Steering([Allowance()], [[7]])
    scores = torch.full((1, VOCABULARY), float("-inf"))
    scores[0, 3] = 5.0
    steering.limit(scores)
    assert int(scores.argmax()) == 7


def test_no_repeats_is_kept_per_video() -> None:
    """Video 0 wrote 10 and has 10 again; video 1 wrote "10 11" and has nothing yet (Chen et al., AAAI 2018)."""
    held = Steering([Allowance(), Allowance()], repeats=False)
    for tokens in ([10, 10], [SEPARATOR, 11], [10, SEPARATOR]):
        held.read(torch.tensor(tokens))
    scores = torch.zeros(2, 12)
    held.limit(scores)
    assert scores[0].isinf().nonzero().flatten().tolist() == [EOS, SEPARATOR]
    assert not bool(scores[1].isinf().any())
    held.read(torch.tensor([11, 10]))
    scores = torch.zeros(2, 12)
    held.limit(scores)
    assert not bool(scores.isinf().any()), "10 11 is new to video 0, 10 to video 1"


def test_after_the_last_tag_that_is_left_comes_the_end() -> None:
    steering = Steering([Allowance(TagTrie([(10,), (12,)]))], repeats=False)
    written(steering, 10)
    assert allowed(steering) == [[EOS, SEPARATOR]]
    written(steering, SEPARATOR, 12)
    assert allowed(steering) == [[EOS]]


def test_rows_are_kept_and_padding_is_no_writing() -> None:
    steering = Steering([Allowance(TagTrie(TAGS)) for _ in range(3)])
    steering.read(torch.tensor([PAD, 12, 10]))
    steering.keep(torch.tensor([1, 2]))
    assert allowed(steering, 2) == [[13, 14], [EOS, SEPARATOR, 11]]


@pytest.mark.parametrize("seed", range(20))
def test_any_choice_among_what_is_allowed_writes_free_tags_alone(seed: int) -> None:
    dice = np.random.default_rng(seed)
    tags = {tuple(dice.integers(6, 10, size=dice.integers(1, 4)).tolist()) for _ in range(12)}
    taken = {tag for tag in tags if dice.random() < 0.4}
    steering = Steering([Allowance(TagTrie(tags), taken)], repeats=False)
    pieces: list[int] = []
    found: list[tuple[int, ...]] = []
    for _ in range(200):
        choices = [token for token in allowed(steering)[0] if token != NIL]
        token = int(dice.choice(choices))
        if token in (SEPARATOR, EOS):
            found += [tuple(pieces)] if pieces else []
            pieces = []
        else:
            pieces.append(token)
        if token == EOS:
            break
        written(steering, token)
    assert set(found) <= tags - taken
    assert len(found) == len(set(found))


def test_pinned_tags_go_to_the_prompts_that_write_them_most_likely() -> None:
    scores = torch.tensor(np.random.default_rng(0).normal(size=(5, 12)))
    pins = [(6, 4), (7,), (9, 1, 1)]
    silent = torch.ones(5, dtype=torch.bool)
    best = max(
        itertools.permutations(range(5), 3),
        key=lambda chosen: sum(scores[n, p[0]] for n, p in zip(chosen, pins, strict=True)),
    )
    assert tuple(choose_prompts(scores, silent, pins)) == best
    assert choose_prompts(scores, silent, []) == []
    assert prompts_in_front([[3, 1], []], 4, torch.device("cpu")).tolist() == [[3, 1, 0, 2], [0, 1, 2, 3]]


def test_a_pinned_tag_takes_no_prompt_from_another_tag_while_one_is_silent() -> None:
    """Prompt 0 writes 8 and would write 7 with more chance than the silent prompt 2; prompt 1 writes 7 itself."""
    scores = torch.full((3, 10), -9.0)
    scores[0, [8, 7]] = torch.tensor([-0.1, -2.0])
    scores[1, 7] = -3.0
    scores[2, [NIL, 7]] = torch.tensor([-0.1, -5.0])
    silent = torch.tensor([False, False, True])
    assert choose_prompts(scores, silent, [(7,)]) == [1]
    assert choose_prompts(scores, silent, [(9,)]) == [2]
    assert sorted(choose_prompts(scores, silent, [(9,), (9, 8)])) != [0, 1]
    assert choose_prompts(scores[:1], silent[:1], [(9,)]) == [0]
