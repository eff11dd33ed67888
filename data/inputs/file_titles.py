"""A title out of a file's name, where people named their files and cameras did not."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from ..tags import clean_tag

CAMERA_WORDS = frozenset(
    {
        *("img", "image", "imag", "pic", "picture", "photo", "foto", "bild", "dsc", "dscn", "dscf", "dcim", "cimg", "pano", "panorama"),
        *("vid", "video", "mov", "movie", "mvi", "clip", "film", "pxl", "mvimg", "gopr", "dji", "wp", "wa", "fb", "imgp", "sam"),
        *("screenshot", "screencast", "screen", "shot", "recording", "whatsapp", "signal", "telegram", "received", "snapchat"),
        *("burst", "cover", "portrait", "hdr", "night", "edited", "copy", "kopie", "final", "untitled", "scan", "frame", "at", "am", "pm"),
        *("arw", "cr2", "cr3", "nef", "dng", "orf", "raf", "raw", "jpg", "jpeg", "mp4"),
    }
)  # fmt: skip
"""Words that cameras, phones and programs write into names: a name that has no others gives no title."""

_WITHIN = re.compile(
    r"\[[\w-]{6,}\]"  # the id that yt-dlp puts at the end
    r"|\((?:\d+|copy|kopie)\)"  # a second copy
    r"|\b(?:19|20)\d{2}[-_. ]?[01]\d[-_. ]?[0-3]\d\b(?:[-_. T]?(?:at )?\d{1,2}[-_.:h]?\d{2}(?:[-_.:m]?\d{2})?s?\b)?"  # date, time
    r"|\b(?:2160|1440|1080|720|480|360)[pi]\b|\b(?:[xh]26[45]|hevc|4k|8k|hd|uhd)\b",
    re.IGNORECASE,
)
_BETWEEN = re.compile(r"[\s_.+~,;]+|(?<=[^\W\d_])-+(?=[^\W\d_])|(?:^|\s)-+(?=\s|$)|(?<=\W)-+|-+(?=\W|\d|$)|(?<=\d)-+")
_LETTERS = re.compile(r"[^\W\d_]")
_CODE = re.compile(r"(?=[^\W_]*\d)(?=[^\W_]*[A-Za-z])[A-Za-z0-9]{6,}|[0-9a-fA-F]{12,}")
"""A word of letters and digits of six characters or more is an id or a checksum."""


def title_from_name(name: str) -> str:
    """What a person called a file, as a title; ``""`` for numbers, dates, ids and what cameras write.

    Separators become spaces; the suffix, dates, ids in brackets, and numbers before and counters after go.

    Args:
        name: of the file, with or without folders.
    """
    stem = PurePosixPath(name.replace("\\", "/")).stem
    words = [word for word in _BETWEEN.split(_WITHIN.sub(" ", clean_tag(stem).replace("_", " "))) if word.strip("-'")]
    words = [word for word in words if not _CODE.fullmatch(word)]
    if not any(_is_telling(word) for word in words):
        return ""
    while not _LETTERS.search(words[0]):
        words.pop(0)
    while re.fullmatch(r"0\d+|\d", words[-1]):
        words.pop()
    return " ".join(words)


def _is_telling(word: str) -> bool:
    """Whether a word is a person's: of two letters or more, or one of a script that needs no more."""
    letters = _LETTERS.findall(word)
    plain = word.lower().strip("()[]'")
    if plain.rstrip("0123456789") in CAMERA_WORDS or (len(letters) < 3 and any(char.isdigit() for char in word)):
        return False
    return len(letters) >= 2 or any(letter > "\u2e7f" for letter in letters)
