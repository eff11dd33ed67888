"""The classifiers' losses against numbers worked out by hand, the published formula, and PyTorch's own."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
import torch
from optsg.train.objective.losses import asymmetric_loss, binary_cross_entropy
from torch import Tensor
from torch.nn import functional


def logits_of(rows: Sequence[Sequence[float]]) -> Tensor:
    """Logits of these probabilities."""
    return torch.tensor(rows).logit()


def bce(logits: Tensor, targets: Tensor) -> Tensor:
    return binary_cross_entropy(logits, targets, count_mean=lambda count: count)


def asl(logits: Tensor, targets: Tensor, positive: float = 0.0, negative: float = 4.0, margin: float = 0.05) -> Tensor:
    return asymmetric_loss(
        logits,
        targets,
        gamma_positive=positive,
        gamma_negative=negative,
        margin=margin,
        count_mean=lambda count: count,
    )


def published(p: float, has_tag: bool, positive: float, negative: float, margin: float) -> float:
    """One tag's loss as in Ridnik et al., Eq. 1 and 4–7, in plain numbers."""
    if has_tag:
        return -math.pow(1 - p, positive) * math.log(p)
    shifted = max(p - margin, 0.0)
    return -math.pow(shifted, negative) * math.log(1 - shifted)


PROBABILITIES = [[0.75, 0.25, 0.03], [0.9, 0.5, 0.6]]
TARGETS = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])


def test_binary_cross_entropy_by_hand() -> None:
    # −ln 0.75 − ln 0.75 − ln 0.97, and −ln 0.1 − ln 0.5 − ln 0.4, over two videos.
    by_hand = (0.287682 + 0.287682 + 0.030459 + 2.302585 + 0.693147 + 0.916291) / 2
    assert bce(logits_of(PROBABILITIES), TARGETS).item() == pytest.approx(by_hand, abs=1e-5)


def test_binary_cross_entropy_is_torch_s_summed_over_tags() -> None:
    torch.manual_seed(0)
    logits, targets = 5 * torch.randn(7, 11), (torch.rand(7, 11) < 0.3).float()
    mean = functional.binary_cross_entropy_with_logits(logits, targets)
    assert bce(logits, targets).item() == pytest.approx(11 * mean.item(), rel=1e-6)


def test_asymmetric_loss_by_hand() -> None:
    # p − m is 0.2, 0 and 0.85, 0.55 for the tags that are not there:
    # −ln 0.75 − 0.2⁴ ln 0.8 − 0, and −0.85⁴ ln 0.15 − ln 0.5 − 0.55⁴ ln 0.45, over two videos.
    by_hand = (0.287682 + 0.0016 * 0.223144 + 0 + 0.522006 * 1.897120 + 0.693147 + 0.091506 * 0.798508) / 2
    assert asl(logits_of(PROBABILITIES), TARGETS).item() == pytest.approx(by_hand, abs=1e-5)


@pytest.mark.parametrize(("positive", "negative", "margin"), [(0, 4, 0.05), (1, 4, 0.05), (2, 2, 0), (0, 1, 0.2)])
def test_asymmetric_loss_is_the_published_formula(positive: float, negative: float, margin: float) -> None:
    expected = sum(
        published(p, bool(target), positive, negative, margin)
        for row, marks in zip(PROBABILITIES, TARGETS.tolist(), strict=True)
        for p, target in zip(row, marks, strict=True)
    )
    found = asl(logits_of(PROBABILITIES), TARGETS, positive, negative, margin)
    assert found.item() == pytest.approx(expected / 2, rel=1e-5)


def test_without_focusing_and_margin_it_is_binary_cross_entropy() -> None:
    logits = torch.linspace(-6, 6, 12).view(3, 4)
    targets = (torch.arange(12).view(3, 4) % 3 == 0).float()
    assert asl(logits, targets, 0, 0, 0).item() == pytest.approx(bce(logits, targets).item(), rel=1e-5)


def test_gradients_are_those_of_the_formula_focusing_weight_included() -> None:
    torch.manual_seed(0)
    logits = (2 * torch.randn(3, 5, dtype=torch.float64)).requires_grad_()
    targets = (torch.rand(3, 5) < 0.4).double()
    assert torch.autograd.gradcheck(lambda x: asl(x, targets), (logits,))


@pytest.mark.parametrize("has_tag", [0.0, 1.0])
@pytest.mark.parametrize("loss", [bce, asl])
def test_losses_and_gradients_are_finite_however_sure_the_model_is(loss, has_tag: float) -> None:
    logits = torch.tensor([[-1e4, -200.0, -20.0, -3.0, 0.0, 3.0, 20.0, 200.0, 1e4]], requires_grad=True)
    value = loss(logits, torch.full_like(logits, has_tag))
    value.backward()
    assert torch.isfinite(value)
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()


def test_an_absent_tag_below_the_margin_costs_and_teaches_nothing() -> None:
    logits = logits_of([[0.049, 0.001, 0.06]]).requires_grad_()
    asl(logits, torch.zeros(1, 3)).backward()
    assert logits.grad is not None
    assert logits.grad[0, :2].tolist() == [0.0, 0.0]
    assert logits.grad[0, 2] > 0


@pytest.mark.parametrize("loss", [binary_cross_entropy, asymmetric_loss])
def test_the_mean_over_shares_is_the_loss_of_the_joint_batch(loss) -> None:
    """Two processes with five and three videos: each divides by their mean of four."""
    torch.manual_seed(0)
    logits, targets = torch.randn(8, 6), (torch.rand(8, 6) < 0.3).float()
    options = {"gamma_positive": 0.0, "gamma_negative": 4.0, "margin": 0.05} if loss is asymmetric_loss else {}
    joint = loss(logits, targets, count_mean=lambda count: count, **options)
    shares = [
        loss(logits[part], targets[part], count_mean=lambda _: torch.tensor(4.0), **options)
        for part in (slice(5), slice(5, 8))
    ]
    assert (sum(shares) / 2).item() == pytest.approx(joint.item(), rel=1e-6)
