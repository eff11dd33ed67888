"""The same tower in fewer passes over memory.

Normalisations and activations become part of the convolutions before them, weights are brought into the processor's order once,
and TensorFlow's uneven padding becomes even.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional
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

    The fused operator is oneDNN's, of the CPU; in half precision the other convolutions use it too. The model itself is returned
    where there is nothing to fuse.
    """
    if not all(hasattr(torch.ops.mkldnn, name) for name in ("_convolution_pointwise", "_reorder_convolution_weight")):
        return model
    fused, found = _copied(model), False
    for parent in fused.modules():
        for (name, convolution), (after, activation) in pairwise(list(parent.named_children())):
            if _can_fuse(convolution) and type(activation) in (nn.ReLU, nn.ReLU6):
                assert isinstance(convolution, nn.Conv2d)
                setattr(parent, name, _FusedConvolution(convolution, type(activation)))
                setattr(parent, after, nn.Identity())
                found = True
    if not found:
        return model
    for parent in fused.modules():
        for name, convolution in list(parent.named_children()):
            if _can_fuse(convolution):
                assert isinstance(convolution, nn.Conv2d)
                if convolution.weight.dtype != torch.float32:  # whose sums would come in another order
                    setattr(parent, name, _FusedConvolution(convolution, nn.Identity))
    return fused


def is_same(found: Tensor, expected: Tensor) -> bool:
    """Whether two ways to compute the same agree, relative to the greatest value."""
    scale = float(expected.abs().max())
    return torch.allclose(found, expected, rtol=0, atol=RELATIVE_TOLERANCE * scale)


_ACTIVATIONS: Mapping[type[nn.Module], tuple[str, Sequence[float]]] = {
    nn.ReLU: ("relu", ()),
    nn.ReLU6: ("hardtanh", (0.0, 6.0)),
    nn.Identity: ("none", ()),
}
"""oneDNN's names for what becomes of a result while it is in registers, and their numbers."""


class SamePadding(nn.Conv2d):
    """TensorFlow's "same": where an odd number of pixels is missing, the greater half is behind the last one."""

    def forward(self, pixels: Tensor) -> Tensor:
        """(n, C, H, W) to (n, D, ⌈H / stride⌉, ⌈W / stride⌉)."""
        missing = _missing(pixels.shape[-2:], self.kernel_size, self.stride)
        found: Tensor = super().forward(functional.pad(pixels, _halves(missing)))
        return found


def _missing(sides: Sequence[int], kernel: Sequence[int], stride: Sequence[int]) -> list[int]:
    """Pixels that (H, W) lack for a result at every step of the stride."""
    steps = zip(sides, kernel, stride, strict=True)
    return [max(0, (-(-side // step) - 1) * step + size - side) for side, size, step in steps]


def _halves(missing: Sequence[int]) -> list[int]:
    """Left, right, top and bottom, as :func:`torch.nn.functional.pad` takes them."""
    return [half for count in reversed(missing) for half in (count // 2, count - count // 2)]


@dataclass(frozen=True)
class _Packed:
    """A convolution's weight in the order that its operator reads for pixels of this height and width.

    Attributes:
        size: (H, W).
        weight: opaque.
        padding: on both sides.
        filled: what pixels are filled up by beforehand; empty: by nothing.
    """

    size: tuple[int, ...]
    weight: Tensor
    padding: list[int]
    filled: list[int]


class _FusedConvolution(nn.Module):
    """A convolution whose result passes an activation while it is in registers."""

    def __init__(self, convolution: nn.Conv2d, activation: type[nn.Module]):
        super().__init__()
        self.weight, self.bias = convolution.weight, convolution.bias
        self._is_same = isinstance(convolution, SamePadding)
        self._padding, self._stride, self._dilation = (
            [int(number) for number in numbers]
            for numbers in (convolution.padding, convolution.stride, convolution.dilation)
        )
        self._groups = convolution.groups
        name, numbers = _ACTIVATIONS[activation]
        self._activation = name, list(numbers)
        self._packed: _Packed | None = None

    def forward(self, pixels: Tensor) -> Tensor:
        packed = self._packed
        if packed is None or packed.size != pixels.shape[-2:]:
            packed = self._packed = self._pack(pixels)
        if packed.filled:
            pixels = functional.pad(pixels, packed.filled)
        geometry = (packed.padding, self._stride, self._dilation, self._groups)
        found: Tensor = torch.ops.mkldnn._convolution_pointwise(
            pixels, packed.weight, self.bias, *geometry, *self._activation, ""
        )
        return found

    def _pack(self, pixels: Tensor) -> _Packed:
        """For one picture of this size: what is computed must not depend on how many came first."""
        size = pixels.shape[-2:]
        weight, padding, filled = self._padded(size) if self._is_same else (self.weight, self._padding, list[int]())
        one = functional.pad(pixels[:1], filled) if filled else pixels[:1]
        geometry = (padding, self._stride, self._dilation, self._groups)
        ordered = torch.ops.mkldnn._reorder_convolution_weight(weight, *geometry, list(one.shape))
        return _Packed(size=tuple(size), weight=ordered, padding=padding, filled=filled)

    def _padded(self, size: Sequence[int]) -> tuple[Tensor, list[int], list[int]]:
        """Weight, padding on both sides, and what is filled up beforehand.

        A depthwise kernel gets a first row and column of zeros where the padding is uneven: as much is then missing on both
        sides, no picture is copied, and the sums are the same to the bit. Others would have too many zeros to multiply.
        """
        missing = _missing(size, self.weight.shape[-2:], self._stride)
        if self._groups < len(self.weight):
            return self.weight, [0, 0], _halves(missing)
        top, left = (count % 2 for count in missing)
        widened = functional.pad(self.weight, (left, 0, top, 0))
        return widened, [count - count // 2 for count in missing], []


def _copied(model: nn.Module) -> nn.Module:
    """A copy whose layers can be replaced and whose weights can be moved; until then they lie where the model's lie."""
    shared: dict[int, torch.Tensor] = {
        id(each): nn.Parameter(each.data, requires_grad=each.requires_grad) for each in model.parameters()
    }
    shared |= {id(each): each.detach() for each in model.buffers()}
    copied: nn.Module = copy.deepcopy(model, shared)
    return copied


def _can_fuse(module: nn.Module) -> bool:
    known = type(module) in (nn.Conv2d, SamePadding)
    return known and not isinstance(module.padding, str) and module.padding_mode == "zeros"


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
