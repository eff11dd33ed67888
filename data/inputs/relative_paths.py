"""Names out of metadata and tar files, kept inside the folder they belong to."""

from __future__ import annotations

import posixpath
import unicodedata
from pathlib import PurePosixPath

from ..errors import InputError


def inside(name: str, *, folder: str = "") -> str:
    """Normalised relative path of ``name`` within ``folder``, both POSIX and relative to the input.

    Only the text is looked at: links on the disk are the business of whoever made the folder.

    Raises:
        InputError: the name is empty, absolute, or leads outside ``folder`` through ``..``.
    """
    path = posixpath.normpath(name) if name else "."
    if path == ".":
        raise InputError(f"{name!r} names no file")
    if posixpath.isabs(path):
        raise InputError(f"{printable(name)!r} is an absolute path, expected one relative to the folder")
    if path.split("/")[0] == "..":
        raise InputError(f"{printable(name)!r} leads outside its folder")
    return posixpath.join(folder, path)


def is_hidden(path: str) -> bool:
    """Whether the file or one of its folders begins with a dot."""
    return any(part.startswith(".") and part not in (".", "..") for part in path.split("/"))


def without_suffix(path: str) -> str:
    """A path without the last suffix of its name."""
    return str(PurePosixPath(path).with_suffix(""))


def printable(text: str) -> str:
    r"""``text`` as it can be stored and printed: control characters as spaces, bytes that are not UTF-8 as ``\xff``."""
    return "".join(map(_printable_character, text))


def _printable_character(char: str) -> str:
    if "\udc80" <= char <= "\udcff":  # a byte of a file name that Python could not decode (PEP 383)
        return f"\\x{ord(char) - 0xDC00:02x}"
    category = unicodedata.category(char)
    return " " if category == "Cc" else "\N{REPLACEMENT CHARACTER}" if category == "Cs" else char
