"""Files that are whole or not there: written under another name, forced to the disk, renamed."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from .errors import RunError


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yields the name to write to; what is there when the block ends well becomes ``path``.

    Raises:
        RunError: the file cannot be written (a full disk, no permission); one that was there before is kept.
    """
    temporary = path.with_name(path.name + ".tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise RunError(f"{path} cannot be written: {error.strerror or error}; an earlier one is kept") from error


def write_text(path: Path, chunks: Iterable[str]) -> None:
    """Writes UTF-8 text; errors as :func:`whole_file`."""
    with whole_file(path) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(chunks)
