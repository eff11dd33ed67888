"""Prompt–tag matching (paper Eq. 2–3)."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from optsg.train.model.matching import NO_TAG, assign_tags, match_batch, match_prompts, prompt_tag_gain
from scipy.optimize import linear_sum_assignment
from torch.nn import functional


def square_optimum(prompts: torch.Tensor, tags: torch.Tensor, nil: torch.Tensor) -> float:
    """Optimum of Eq. 2 as it is written: tags padded with NIL to N, all of it matched."""
    padded = torch.cat([tags, nil.expand(len(prompts) - len(tags), -1)])
    similarity = functional.normalize(prompts, dim=-1) @ functional.normalize(padded, dim=-1).T
    rows, columns = linear_sum_assignment(similarity.numpy(), maximize=True)
    return float(similarity[rows, columns].sum())


@pytest.mark.parametrize("seed", range(20))
def test_rectangular_matching_reaches_the_optimum_of_the_padded_square(seed: int) -> None:
    torch.manual_seed(seed)
    count = seed % 8
    prompts, tags, nil = torch.randn(7, 5), torch.randn(min(count, 7), 5), torch.randn(5)
    assignment = match_prompts(prompt_tag_gain(prompts[None], tags[None], nil)[0].numpy())
    chosen = torch.stack([nil if tag == NO_TAG else tags[tag] for tag in assignment])
    reached = functional.cosine_similarity(prompts, chosen).sum()
    assert reached.item() == pytest.approx(square_optimum(prompts, tags, nil), abs=1e-5)


@pytest.mark.parametrize("seed", range(10))
def test_matching_equals_brute_force(seed: int) -> None:
    gain = np.random.default_rng(seed).normal(size=(5, 3)).astype(np.float32)
    best = max(itertools.permutations(range(5), 3), key=lambda prompts: sum(gain[p, t] for t, p in enumerate(prompts)))
    assignment = match_prompts(gain)
    assert [int(np.flatnonzero(assignment == tag)[0]) for tag in range(3)] == list(best)


def test_every_tag_is_matched_once_and_the_rest_is_nil() -> None:
    gain = np.random.default_rng(0).normal(size=(4, 6, 5)).astype(np.float32)
    assignment = match_batch(gain, [5, 0, 2, 1])
    for row, length in zip(assignment, [5, 0, 2, 1], strict=True):
        assert sorted(row.tolist()) == [NO_TAG] * (6 - length) + list(range(length))


def test_leaving_the_nil_term_out_is_another_problem() -> None:
    torch.manual_seed(0)
    differing = 0
    for _ in range(50):
        prompts, tags, nil = torch.randn(1, 8, 6), torch.randn(1, 3, 6), torch.randn(6)
        with_nil = match_prompts(prompt_tag_gain(prompts, tags, nil)[0].numpy())
        without = match_prompts(prompt_tag_gain(prompts, tags, None)[0].numpy())
        differing += not np.array_equal(with_nil, without)
    assert differing > 25


def test_assigned_are_rows_of_the_tag_table() -> None:
    """Each prompt lies at one tag's embedding, or at NIL; videos have different numbers of tags, in any order."""
    embeddings, nil = torch.eye(6)[:5], torch.eye(6)[5]
    wanted = np.array([[NO_TAG, 3, 1], [4, NO_TAG, NO_TAG], [NO_TAG, NO_TAG, NO_TAG], [2, 0, 4]])
    prompts = torch.cat([embeddings, nil[None]])[torch.from_numpy(wanted)]
    tags = [np.array(own, np.int64) for own in ([1, 3], [4], [], [0, 4, 2])]
    assert assign_tags(3 * prompts, tags, 2 * embeddings, nil).tolist() == wanted.tolist()


def test_gain_has_no_gradient() -> None:
    prompts = torch.randn(1, 4, 3, requires_grad=True)
    assert not prompt_tag_gain(prompts, torch.randn(1, 2, 3), torch.randn(3)).requires_grad
