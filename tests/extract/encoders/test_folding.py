"""Convolutions that are fused: the same numbers as before, whatever the padding."""

from __future__ import annotations

import pytest
import torch
from optsg.extract.encoders.folding import SamePadding, fuse_activations
from torch import Tensor, nn
from torch.nn import functional

CHANNELS = 16


def activated(convolution: nn.Conv2d) -> nn.Module:
    return nn.Sequential(convolution, nn.ReLU6()).eval().requires_grad_(False)


def pictures(side: int, count: int = 2) -> Tensor:
    drawn = torch.randn(count, CHANNELS, side, side, generator=torch.Generator().manual_seed(side))
    return drawn.to(memory_format=torch.channels_last)


@pytest.mark.parametrize("groups", [1, CHANNELS])
@pytest.mark.parametrize(
    ("kernel", "side", "missing"), [(3, 28, (0, 1)), (5, 28, (1, 2)), (3, 27, (1, 1)), (5, 7, (2, 2))]
)
def test_same_padding_has_its_greater_half_behind_and_is_fused_to_the_bit(
    kernel: int, side: int, missing: tuple[int, int], groups: int
) -> None:
    torch.manual_seed(0)
    convolution = SamePadding(CHANNELS, CHANNELS, kernel, 2, groups=groups)
    module = activated(convolution)
    pixels = pictures(side)
    padded = functional.pad(pixels, (*missing, *missing))
    expected = functional.conv2d(padded, convolution.weight, convolution.bias, 2, groups=groups).clamp(0, 6)
    assert torch.equal(module(pixels), expected)
    fused = fuse_activations(module)
    assert fused is not module
    assert torch.equal(fused(pixels), expected)


def test_a_fused_convolution_takes_pictures_of_another_size_and_number() -> None:
    torch.manual_seed(0)
    module = activated(SamePadding(CHANNELS, CHANNELS, 3, 2, groups=CHANNELS))
    fused = fuse_activations(module)
    for side, count in ((28, 2), (27, 2), (28, 5), (28, 1)):
        pixels = pictures(side, count)
        assert torch.equal(fused(pixels), module(pixels))


def test_where_no_activation_follows_nothing_is_fused() -> None:
    module = nn.Sequential(nn.Conv2d(CHANNELS, CHANNELS, 3), nn.Conv2d(CHANNELS, CHANNELS, 3))
    assert fuse_activations(module) is module
