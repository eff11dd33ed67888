"""The same tower in fewer passes over memory: normalisations and activations become part of the convolutions before them."""

from __future__ import annotations

import copy
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

RELATIVE_TOLERANCE = 1e-3


def fold_batch_norms(model: nn.Module) -> nn.Module:
    """A copy in evaluation mode with every convolution + batch normalisation made one convolution.

    Pairs are found by their order as children of one module, which need not be the order in which they run: whether the
    copy computes the same is for :func:`is_same` to say. The model itself is returned where there is nothing to fold.
    """
    if not any(isinstance(module, nn.BatchNorm2d) for module in model.modules()):
        return model
    folded = _copied(model).eval()
    for parent in folded.modules():
        for (_, convolution), (name, norm) in pairwise(list(parent.named_children())):
            if isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                _fold(convolution, norm)
                setattr(parent, name, _what_follows(norm))
    return folded


def fuse_activations(model: nn.Module) -> nn.Module:
    """A copy whose convolutions clamp their own results, where a ReLU or ReLU6 follows; by order, as above.

    The fused operator is oneDNN's, of the CPU. The model itself is returned where there is nothing to fuse.
    """
    if not hasattr(torch.ops.mkldnn, "_convolution_pointwise"):
        return model
    fused, found = _copied(model), False
    for parent in fused.modules():
        for (name, convolution), (after, activation) in pairwise(list(parent.named_children())):
            if _can_fuse(convolution) and type(activation) in (nn.ReLU, nn.ReLU6):
                assert isinstance(convolution, nn.Conv2d)
                setattr(parent, name, _FusedConvolution(convolution, is_clamped=isinstance(activation, nn.ReLU6)))
                setattr(parent, after, nn.Identity())
                found = True
    return fused if found else model


def is_same(found: Tensor, expected: Tensor) -> bool:
    """Whether two ways to compute the same agree, relative to the greatest value."""
    scale = float(expected.abs().max())
    return torch.allclose(found, expected, rtol=0, atol=RELATIVE_TOLERANCE * scale)


class _FusedConvolution(nn.Module):
    """A convolution whose result is clamped from below at 0, and at 6 from above if ``is_clamped``, while it is in registers."""

    def __init__(self, convolution: nn.Conv2d, *, is_clamped: bool):
        super().__init__()
        self.weight, self.bias = convolution.weight, convolution.bias
        self._geometry = [
            *map(list, (convolution.padding, convolution.stride, convolution.dilation)),
            convolution.groups,
        ]
        self._activation = ("hardtanh", [0.0, 6.0]) if is_clamped else ("relu", [])

    def forward(self, pixels: Tensor) -> Tensor:
        found: Tensor = torch.ops.mkldnn._convolution_pointwise(
            pixels, self.weight, self.bias, *self._geometry, *self._activation, ""
        )
        return found


def _copied(model: nn.Module) -> nn.Module:
    """A copy whose layers can be replaced and whose weights can be moved; until then they lie where the model's lie."""
    shared: dict[int, torch.Tensor] = {
        id(each): nn.Parameter(each.data, requires_grad=each.requires_grad) for each in model.parameters()
    }
    shared |= {id(each): each.detach() for each in model.buffers()}
    copied: nn.Module = copy.deepcopy(model, shared)
    return copied


def _can_fuse(module: nn.Module) -> bool:
    return type(module) is nn.Conv2d and not isinstance(module.padding, str) and module.padding_mode == "zeros"


def _fold(convolution: nn.Conv2d, norm: nn.BatchNorm2d) -> None:
    assert norm.running_mean is not None
    assert norm.running_var is not None
    weight, bias = fuse_conv_bn_weights(
        convolution.weight,
        convolution.bias,
        norm.running_mean,
        norm.running_var,
        norm.eps,
        norm.weight,
        norm.bias,
    )
    convolution.weight = nn.Parameter(weight.detach(), requires_grad=False)
    convolution.bias = nn.Parameter(bias.detach(), requires_grad=False)


def _what_follows(norm: nn.BatchNorm2d) -> nn.Module:
    """The activation that timm's normalisations carry with them."""
    activation = getattr(norm, "act", None)
    return activation if isinstance(activation, nn.Module) else nn.Identity()
