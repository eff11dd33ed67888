"""One name of a file in the spellings that cameras, file systems and programs give it."""

from __future__ import annotations

import unicodedata
from pathlib import Path


def unicode_forms(name: str) -> list[str]:
    """A name as it is, and with accents as one character and as two: macOS, unzip and spreadsheets do not agree on one."""
    return list(dict.fromkeys([name, unicodedata.normalize("NFC", name), unicodedata.normalize("NFD", name)]))


def file_spellings(name: str) -> list[str]:
    """A name in all Unicode forms, and with its suffix in upper case, as cameras and cards write it; the name itself first."""
    stem, dot, suffix = name.rpartition(".")
    return [form for cased in dict.fromkeys([name, stem + dot + suffix.upper()]) for form in unicode_forms(cased)]


def as_spelt(path: Path) -> Path:
    """The file of that name in the spelling that is there, or the path itself where there is none."""
    return next((one for one in map(path.with_name, file_spellings(path.name)) if one.is_file()), path)
