"""Safetensors files that are whole or not there."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from ..data.store.digests import file_digest
from ..data.whole_files import whole_file, write_text


def save_tensors(
    path: Path, tensors: Mapping[str, Tensor], *, metadata: Mapping[str, str] | None = None, digest: Path | None = None
) -> None:
    """Writes a safetensors file; a reader sees the old file or the new one.

    Args:
        metadata: texts for the file's header.
        digest: file to write the SHA-256 to first, in the form of ``sha256sum``: no new file is without its digest.

    Raises:
        RunError: it cannot be written; an earlier one is kept.
    """
    with whole_file(path) as temporary:
        try:
            # Copied on the CPU: a device may have no room for it.
            copies = {name: tensor.to("cpu", copy=True).contiguous() for name, tensor in tensors.items()}
            save_file(copies, temporary, metadata=None if metadata is None else dict(metadata))
        except SafetensorError as error:
            raise OSError(str(error)) from error
        if digest is not None:
            write_text(digest, [f"{file_digest(temporary)}  {path.name}\n"])
