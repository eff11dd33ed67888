"""Building blocks of the model against the formulas that they are quick ways of."""

from __future__ import annotations

import pytest
import torch
from optsg.train.model import layers
from optsg.train.model.layers import Dropout, wide_linear
from optsg.train.model.title_encoder import TitleEncoder, use_quick_dropout
from torch import Tensor, nn

from tests.tiny_world import tiny_text_tables


def dropped_plainly(x: Tensor, threshold: int) -> Tensor:
    """The same draws, used as a mask."""
    draws = torch.empty((x.numel() + 7) // 8, dtype=torch.int64).random_(-(2**63), None)
    dropped = draws.view(torch.uint8)[: x.numel()].view(x.shape) < threshold
    return x.masked_fill(dropped, 0.0) * (256 / (256 - threshold))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize(("rate", "threshold"), [(0.1, 26), (0.5, 128), (0.99, 253)])
def test_dropout_is_a_mask_and_a_scale_to_the_last_bit(dtype: torch.dtype, rate: float, threshold: int) -> None:
    torch.manual_seed(1)
    values = torch.randn(3, 5, 7, dtype=dtype)
    values[0, 0] = torch.tensor([float("inf"), -float("inf"), float("nan"), 0.0, -0.0, 1e30, -1e-30], dtype=dtype)
    weights = torch.randn(3, 7, 5, dtype=dtype)
    found = []
    for drop in (Dropout(rate).train(), lambda x: dropped_plainly(x, threshold)):
        x = values.clone().requires_grad_()
        torch.manual_seed(2)
        y = drop(x.transpose(1, 2))  # as after splitting heads: not contiguous
        (y * weights)[1:].sum().backward()
        assert x.grad is not None
        found.append((y.detach(), x.grad))
    for one, other in zip(*found, strict=True):
        assert torch.equal(one.nan_to_num(nan=-7.0), other.nan_to_num(nan=-7.0))
    kept = (found[0][0] != 0).float().mean()
    assert abs(float(kept) - (1 - threshold / 256)) < 0.15


def test_dropout_rests_in_evaluation_and_at_rate_zero() -> None:
    x = torch.randn(4)
    assert Dropout(0.5).eval()(x) is x
    assert Dropout(0.001).train()(x) is x


def test_the_title_encoder_drops_as_the_rest_of_the_model_does() -> None:
    tables = tiny_text_tables()
    encoder = TitleEncoder(tables.config_json, 32, 0.2)
    encoder.load_pretrained(tables.weights)
    rates = [module.rate for module in encoder.modules() if isinstance(module, Dropout)]
    assert rates == [0.2] * 5  # after the embeddings, and twice in each of two layers
    assert not any(isinstance(module, nn.Dropout) and module.p for module in encoder.modules())
    tokens, mask = torch.tensor([[2, 5, 6, 3]]), torch.ones(1, 4, dtype=torch.bool)
    torch.manual_seed(0)
    assert not torch.equal(encoder.train()(tokens, mask), encoder(tokens, mask))
    still = TitleEncoder(tables.config_json, 32, 0.0).eval()
    still.load_pretrained(tables.weights)
    assert torch.equal(encoder.eval()(tokens, mask), still(tokens, mask))


def test_dropout_of_rate_zero_stays_what_it_is() -> None:
    model = nn.Sequential(nn.Dropout(0.0), nn.Sequential(nn.Dropout(0.3)))
    use_quick_dropout(model)
    assert isinstance(model[0], nn.Dropout)
    inner = model[1]
    assert isinstance(inner, nn.Sequential)
    assert isinstance(inner[0], Dropout)


@pytest.mark.parametrize("outputs", [13, 16])
def test_a_gpu_s_aligned_product_is_the_product(monkeypatch: pytest.MonkeyPatch, outputs: int) -> None:
    torch.manual_seed(0)
    x, weight, bias = (torch.randn(shape, dtype=torch.float64) for shape in ((2, 3, 4), (outputs, 4), (outputs,)))
    inputs = [tensor.requires_grad_() for tensor in (x, weight, bias)]
    plain = nn.functional.linear(x, weight, bias)
    wanted = torch.randn_like(plain)
    expected = torch.autograd.grad(plain, inputs, wanted)
    monkeypatch.setattr(layers, "has_fused_kernels", lambda _: True)
    aligned = wide_linear(x, weight, bias)
    assert aligned.shape == plain.shape
    torch.testing.assert_close(aligned, plain)
    torch.testing.assert_close(torch.autograd.grad(aligned, inputs, wanted), expected)


@pytest.mark.parametrize("outputs", [13, 16])
def test_scores_filled_up_give_the_losses_of_the_scores(monkeypatch: pytest.MonkeyPatch, outputs: int) -> None:
    torch.manual_seed(0)
    x, weight, bias = (torch.randn(shape, dtype=torch.float64) for shape in ((6, 4), (outputs, 4), (outputs,)))
    inputs, targets = [tensor.requires_grad_() for tensor in (x, weight, bias)], torch.arange(6) % outputs
    plain = nn.functional.cross_entropy(nn.functional.linear(x, weight, bias), targets)
    expected = torch.autograd.grad(plain, inputs)
    monkeypatch.setattr(layers, "has_fused_kernels", lambda _: True)
    filled = wide_linear(x, weight, bias, fill=True)
    assert filled.shape == (6, 16)
    losses = nn.functional.cross_entropy(filled, targets)
    torch.testing.assert_close(losses, plain)
    torch.testing.assert_close(torch.autograd.grad(losses, inputs), expected)
