"""Schedule, averaged weights, master weights and the cheap dropout."""

from __future__ import annotations

import pytest
import torch
from optsg.train.config import TrainingConfig
from optsg.train.loop.optimiser import (
    AVERAGE_EVERY,
    AveragedWeights,
    MasterWeights,
    average_interval,
    build_optimiser,
    clip_gradients,
    learning_rate_factor,
)
from optsg.train.model.layers import Attention, Dropout
from torch import nn


def test_learning_rate_rises_in_a_line_and_falls_to_zero() -> None:
    factors = [learning_rate_factor(step, 100, 0.1) for step in range(100)]
    assert factors[:10] == pytest.approx([(step + 1) / 10 for step in range(10)])
    assert factors[10] == pytest.approx(1.0)
    assert factors[55] == pytest.approx(0.5)
    assert factors[10:] == sorted(factors[10:], reverse=True)
    assert factors[-1] < 0.001


def test_pretrained_parts_have_their_own_rate_and_vectors_no_decay() -> None:
    config = TrainingConfig(learning_rate=1e-3, pretrained_learning_rate=1e-5, weight_decay=0.1)
    parameters = [nn.Parameter(torch.zeros(2, 2)), nn.Parameter(torch.zeros(2)), nn.Parameter(torch.zeros(2, 2))]
    optimiser = build_optimiser(["decoder.weight", "decoder.bias", "title_encoder.model.weight"], parameters, config)
    settings = {id(g["params"][0]): (g["peak_lr"], g["weight_decay"]) for g in optimiser.param_groups}
    assert [settings[id(p)] for p in parameters] == [(1e-3, 0.1), (1e-3, 0.0), (1e-5, 0.1)]


def test_the_average_follows_its_formula() -> None:
    master = nn.Parameter(torch.zeros(3))
    average = AveragedWeights([master], 0.99)
    expected = 0.0
    for step in range(40):
        with torch.no_grad():
            master.add_(1.0)
        average.update(step)
        if (step + 1) % AVERAGE_EVERY == 0:
            decay = min(0.99, (1 + step) / (10 + step)) ** AVERAGE_EVERY
            expected = decay * expected + (1 - decay) * (step + 1)
    assert average.values[0].tolist() == pytest.approx([expected] * 3, rel=1e-5)


@pytest.mark.parametrize(("steps_per_epoch", "every"), [(1, 1), (3, 3), (4, 4), (1000, 4)])
def test_the_average_is_taken_in_every_epoch_and_forgets_as_fast(steps_per_epoch: int, every: int) -> None:
    assert average_interval(steps_per_epoch) == every
    master = nn.Parameter(torch.ones(1))
    average = AveragedWeights([master], 0.5, every=every)
    average.values[0].zero_()
    for step in range(1000, 1000 + 12 * every):
        before = average.values[0].item()
        average.update(step)
        assert (average.values[0].item() != before) == ((step + 1) % every == 0 and before < 1)
        if average.values[0].item() != before:
            assert 1 - average.values[0].item() == pytest.approx((1 - before) * 0.5**every, abs=1e-6)


def test_clipping_is_that_of_pytorch() -> None:
    torch.manual_seed(0)
    for scale in (0.01, 10.0):
        ours = [nn.Parameter(torch.zeros(size)) for size in (3, 50, 7)]
        theirs = [nn.Parameter(torch.zeros(size)) for size in (3, 50, 7)]
        for one, other in zip(ours[:2], theirs[:2], strict=True):
            one.grad = scale * torch.randn(one.shape)
            other.grad = one.grad.clone()
        clip_gradients(ours, 1.0)
        nn.utils.clip_grad_norm_(theirs, 1.0, foreach=True)
        for one, other in zip(ours[:2], theirs[:2], strict=True):
            assert one.grad is not None
            assert other.grad is not None
            assert torch.equal(one.grad, other.grad)
        assert ours[2].grad is None
    clip_gradients([nn.Parameter(torch.zeros(2))], 1.0)


def test_small_steps_are_not_lost_in_bfloat16() -> None:
    model = nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        model.weight.fill_(1.0)
    weights = MasterWeights(model, torch.bfloat16)
    optimiser = torch.optim.SGD(weights.masters, lr=1e-4)
    for _ in range(100):
        (-model(torch.ones(1, 1, dtype=torch.bfloat16)).sum()).backward()
        weights.collect_gradients()
        optimiser.step()
        optimiser.zero_grad()  # gradients of micro-batches add up
        weights.publish()
    assert weights.masters[0].item() == pytest.approx(1.01, abs=1e-4)
    assert model.weight.dtype == torch.bfloat16
    assert model.weight.item() == pytest.approx(1.0078125)


def test_in_float32_the_masters_are_the_parameters() -> None:
    model = nn.Linear(2, 2)
    weights = MasterWeights(model, torch.float32)
    assert all(master is parameter for master, parameter in zip(weights.masters, model.parameters(), strict=True))


@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_dropout_drops_at_its_rate_keeps_the_mean_and_follows_the_seed(rate: float) -> None:
    dropout, x = Dropout(rate), torch.ones(1000, 333)
    torch.manual_seed(1)
    one = dropout(x)
    torch.manual_seed(1)
    assert torch.equal(one, dropout(x))
    assert not torch.equal(one, dropout(x))
    assert (one == 0).float().mean().item() == pytest.approx(rate, abs=0.005)
    assert one.mean().item() == pytest.approx(1.0, abs=0.01)
    assert torch.equal(dropout.eval()(x), x)


def test_dropout_passes_its_mask_to_the_gradient() -> None:
    x = torch.ones(64, requires_grad=True)
    y = Dropout(0.5)(x)
    y.sum().backward()
    assert torch.equal(x.grad, y.detach())  # type: ignore[arg-type]


@pytest.mark.parametrize("masked", [False, True])
def test_attention_equals_torch(masked: bool) -> None:
    """Both ways of computing it, with and without gradients, against torch.nn.MultiheadAttention."""
    torch.manual_seed(0)
    ours, theirs = Attention(16, 4), nn.MultiheadAttention(16, 4, batch_first=True)
    with torch.no_grad():
        theirs.in_proj_weight.copy_(torch.cat([ours.query.weight, ours.key_value.weight]))
        theirs.in_proj_bias.copy_(torch.cat([ours.query.bias, ours.key_value.bias]))
        theirs.out_proj.load_state_dict(ours.output.state_dict())
    x, memory = torch.randn(2, 5, 16), torch.randn(2, 7, 16)
    mask = torch.rand(5, 7) < 0.7 if masked else None
    if mask is not None:
        mask[:, 0] = True
    expected, _ = theirs(x, memory, memory, attn_mask=None if mask is None else ~mask)
    assert torch.allclose(ours(x, ours.project(memory), mask), expected, atol=1e-6)
    with torch.no_grad():
        assert torch.allclose(ours(x, ours.project(memory), mask), expected, atol=1e-6)
