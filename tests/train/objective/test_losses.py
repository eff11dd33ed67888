"""Both losses against the formulas of the paper, written out with loops."""

from __future__ import annotations

import math

import pytest
import torch
from optsg.train.config import TrainingConfig
from optsg.train.objective.losses import SequenceLoss, prompt_tag_contrastive_loss
from optsg.train.objective.shares import ALONE
from torch import Tensor, nn
from torch.nn import functional

NIL = 4


def sequence_loss(logits: Tensor, targets: Tensor, nil_weight: float, normalisation: str = "weights") -> Tensor:
    training = TrainingConfig(nil_weight=nil_weight, normalisation=normalisation)  # type: ignore[arg-type]
    per_token = functional.cross_entropy(logits, targets, reduction="none")
    return SequenceLoss(training, pad=0, nil=NIL)(per_token, targets, ALONE)


def contrastive_by_hand(prompts: Tensor, assignment: Tensor, tags: Tensor, scale: float, *, mask: bool) -> float:
    """Eq. 4–5 with loops."""
    unit = functional.normalize(prompts, dim=-1)
    tags = functional.normalize(tags, dim=-1)
    videos, slots = assignment.shape
    pairs = [(i, n, int(assignment[i, n])) for i in range(videos) for n in range(slots) if assignment[i, n] >= 0]
    total = 0.0
    for i, n, tag in pairs:
        positive = math.exp(float(tags[tag] @ unit[i, n]) * scale)
        over_prompts = sum(
            math.exp(float(tags[tag] @ unit[j, m]) * scale)
            for j in range(videos)
            for m in range(slots)
            if not mask or (j, m) == (i, n) or int(assignment[j, m]) != tag
        )
        over_tags = sum(
            math.exp(float(unit[i, n] @ tags[other]) * scale)
            for j, m, other in pairs
            if not mask or (j, m) == (i, n) or other != tag
        )
        total -= (math.log(positive / over_prompts) + math.log(positive / over_tags)) / 2
    return total / len(pairs)


@pytest.mark.parametrize("mask", [True, False])
def test_contrastive_loss_is_the_paper_s(mask: bool) -> None:
    torch.manual_seed(0)
    prompts, tags = torch.randn(3, 4, 6), torch.randn(5, 6)
    assignment = torch.tensor([[0, -1, 2, 1], [-1, 2, -1, -1], [4, 0, -1, 3]])  # tags 0 and 2 occur in two videos
    loss = prompt_tag_contrastive_loss(
        prompts, assignment, tags, torch.tensor(5.0), false_negatives="mask" if mask else "keep"
    )
    assert loss.item() == pytest.approx(contrastive_by_hand(prompts, assignment, tags, 5.0, mask=mask), rel=1e-4)


def test_contrastive_loss_without_any_tag_is_zero_with_a_gradient() -> None:
    prompts = torch.randn(2, 3, 4, requires_grad=True)
    loss = prompt_tag_contrastive_loss(prompts, torch.full((2, 3), -1), torch.randn(2, 4), torch.tensor(1.0))
    loss.backward()
    assert loss.item() == 0.0
    assert prompts.grad is not None
    assert not prompts.grad.any()


def test_nil_gets_exactly_lambda() -> None:
    torch.manual_seed(0)
    logits = torch.randn(6, 9, requires_grad=True)
    targets = torch.tensor([5, NIL, 6, 7, NIL, 2])
    weight = torch.ones(9)
    weight[NIL] = 0.3
    expected = functional.cross_entropy(logits, targets, weight=weight)  # divides by the summed weights too
    loss = sequence_loss(logits, targets, 0.3)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)
    (gradient,) = torch.autograd.grad(loss, logits)
    error = (logits.softmax(-1) - functional.one_hot(targets, 9)).detach()
    assert torch.allclose(gradient[1] / error[1], torch.full((9,), 0.3 / 4.6), rtol=1e-4)
    assert torch.allclose(gradient[0] / error[0], torch.full((9,), 1.0 / 4.6), rtol=1e-4)


def test_padding_counts_nothing() -> None:
    torch.manual_seed(0)
    logits, targets = torch.randn(5, 8), torch.tensor([5, NIL, 0, 0, 6])
    kept = targets != 0
    padded, bare = (sequence_loss(logits[rows], targets[rows], 0.3) for rows in (slice(None), kept))
    assert padded.item() == pytest.approx(bare.item())


def test_the_literal_loss_is_a_sum() -> None:
    logits, targets = torch.zeros(4, 8), torch.tensor([5, NIL, NIL, 6])
    loss = sequence_loss(logits, targets, 0.5, "sum")
    assert loss.item() == pytest.approx(3.0 * math.log(8))


def test_labels_are_smoothed_in_training_alone() -> None:
    loss, model = SequenceLoss(TrainingConfig(label_smoothing=0.1)), nn.Linear(1, 1)
    assert loss.smoothing(model.train()) == 0.1
    assert loss.smoothing(model.eval()) == 0.0
