"""Files of this machine that callers may name: those under one folder, and nothing that a link leads to from there."""

from __future__ import annotations

import stat
from pathlib import Path

from ...data.inputs.relative_paths import printable
from .refusals import unusable

MOST_CHARACTERS = 4096


def find_under(root: Path | None, name: str) -> Path:
    """The file that is called ``name`` under ``root``, links resolved.

    Raises:
        RefusedError: no file may be named, or this one is not there, no regular file, or elsewhere.
    """
    if root is None:
        raise unusable("no files of this machine may be named here; send the file itself")
    shown = printable(name)[:200]
    if not name or "\0" in name or len(name) > MOST_CHARACTERS or Path(name).is_absolute() or ".." in Path(name).parts:
        raise unusable(
            f"{shown!r} is no path that may be named; expected one relative to the served folder, without .."
        )
    base = root.resolve()
    try:
        found = (base / name).resolve(strict=True)
        if not found.is_relative_to(base):
            raise unusable(f"{shown}: it is a link that leads out of the served folder")
        if not stat.S_ISREG(found.stat().st_mode):
            raise unusable(f"{shown}: not a file")
    except (OSError, RuntimeError, ValueError) as error:
        raise unusable(f"{shown}: there is no such file") from error
    return found
