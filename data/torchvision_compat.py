"""Makes ``import torchvision`` work where its compiled operators do not load.

timm, open_clip and parts of transformers import torchvision for image transforms, which are plain Python and Pillow.
The import itself fails, though, when the compiled half of torchvision does not fit the installed PyTorch (the usual
case: a CPU build of PyTorch beside the torchvision of PyPI): while it registers shape functions for ``nms`` and
``qnms``, it finds that nobody declared these operators. Declaring their schemas is enough. The operators themselves
stay unavailable, and calling one raises torchvision's own error.
"""

from __future__ import annotations

import ctypes
import importlib.util
from pathlib import Path

import torch

_NMS_SIGNATURE = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"

_declared: list[torch.library.Library] = []
"""Keeps the declarations alive: a schema disappears with the ``Library`` object that made it."""


def ensure_torchvision_importable() -> None:
    """Declares ``torchvision::nms`` and ``torchvision::qnms`` if torchvision is installed without usable operators.

    Call it before the first import of torchvision, timm, open_clip or transformers. It does nothing when torchvision
    is absent or whole, and may be called any number of times.
    """
    if _declared or _is_declared("nms") or _compiled_operators_load():
        return
    library = torch.library.Library("torchvision", "FRAGMENT")
    for name in ("nms", "qnms"):
        library.define(name + _NMS_SIGNATURE)
    _declared.append(library)


def _is_declared(operator: str) -> bool:
    return hasattr(torch.ops.torchvision, operator)


def _compiled_operators_load() -> bool:
    """Whether torchvision's extension fits this PyTorch; also true without torchvision, where nothing is to be done."""
    spec = importlib.util.find_spec("torchvision")
    if spec is None or spec.origin is None:
        return True
    for extension in Path(spec.origin).parent.glob("_C.*"):
        try:
            ctypes.CDLL(str(extension))
        except OSError:
            continue
        return True
    return False
