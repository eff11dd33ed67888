"""Safetensors files that are whole or not there."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from ..data.whole_files import whole_file


def save_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Writes a safetensors file; a reader sees the old file or the new one.

    Raises:
        RunError: it cannot be written; an earlier one is kept.
    """
    with whole_file(path) as temporary:
        try:
            save_file({name: tensor.contiguous().clone() for name, tensor in tensors.items()}, temporary)
        except SafetensorError as error:
            raise OSError(str(error)) from error
