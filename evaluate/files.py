"""Writing result files whole or not at all."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path

from ..data.errors import RunError


def write_text(path: Path, chunks: Iterable[str]) -> None:
    """Writes UTF-8 text under another name and renames it, so that a file with the right name is always whole.

    Raises:
        RunError: the file cannot be written; one that was there before is kept.
    """
    temporary = path.with_name(path.name + ".tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("w", encoding="utf-8", newline="\n") as file:
            file.writelines(chunks)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise RunError(f"{path} cannot be written: {error.strerror or error}; an earlier one is kept") from error
