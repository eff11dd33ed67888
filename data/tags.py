"""Tag identity: when two spellings are the same tag.

A tag is its normalised text: NFKC, without what nobody sees, trimmed, inner white space collapsed, case folded.
The *key* identifies a tag everywhere; the *spelling* is what people read.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from html import unescape

NIL_TEXT = "[PAD]"
"""The paper's name of the tag that stands for no tag; its embedding is that of this text, read as words."""


_ENTITY = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,30});")
_ESCAPED_AMPERSANDS = re.compile(r"&(?:(?:amp|AMP|#0{0,5}38|#[xX]0{0,4}26);)+")
_INVISIBLE = re.compile("[\u00ad\u034f\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufeff]")
_JOINERS = re.compile("[\u200c\u200d]+")
_AFFECTED = re.compile(f"{_INVISIBLE.pattern}|{_JOINERS.pattern}|{_ENTITY.pattern}")
MOST_ROUNDS = 8
"""Entities inside entities; more of them are nobody's tag."""
SHORT, MOST_MARKS = 256, 32
"""In texts of more characters than that, marks upon one letter: Unicode orders them, which takes the square of their number."""


def clean_tag(raw: str) -> str:
    """Spelling of a tag as shown to people.

    NFKC, entities of HTML (``&amp;``) as the characters that they stand for, without characters that nobody sees (zero-width
    spaces, soft hyphens, marks of direction), control characters and runs of white space to one space, trimmed. Joiners stay
    where they join: in emoji, and between letters of scripts that write with them.
    """
    if raw.isascii() and raw.isprintable() and "&" not in raw:  # there is nothing but blanks to clean
        return " ".join(raw.split())
    text = _normalized(raw)
    for _ in range(MOST_ROUNDS):
        if _AFFECTED.search(text) is None:
            break
        before = text
        text = unescaped(text)
        text = _normalized(_without_joiners(_INVISIBLE.sub("", text)))
        if text == before:
            break
    text = "".join(" " if unicodedata.category(char) in ("Cc", "Cs") else char for char in text)
    return " ".join(text.split())


def _normalized(text: str) -> str:
    """NFKC, for which few marks may become many."""
    return _with_few_marks(unicodedata.normalize("NFKC", _with_few_marks(text)))


def _with_few_marks(text: str) -> str:
    if len(text) <= SHORT:
        return text
    kept, marks = [], 0
    for char in text:
        is_mark = unicodedata.category(char).startswith("M") or char in "\uff9e\uff9f"
        marks = marks + 1 if is_mark else 0
        if marks <= MOST_MARKS:
            kept.append(char)
    return "".join(kept)


def unescaped(text: str) -> str:
    """Entities of HTML as the characters that they stand for."""
    return _ENTITY.sub(lambda entity: unescape(entity[0]), _ESCAPED_AMPERSANDS.sub("&", text))


def _without_joiners(text: str) -> str:
    """Joiners between two characters that they mean something to, and no others."""

    def kept(joiners: re.Match[str]) -> str:
        start, end = joiners.span()
        before, after = text[start - 1 : start], text[end : end + 1]
        return joiners[0][:1] if before and after and _joins(before) and _joins(after) else ""

    return _JOINERS.sub(kept, text)


def _joins(char: str) -> bool:
    """Symbols and their modifiers, and letters and marks of Arabic, Syriac, the scripts of India and South-East Asia."""
    return (
        unicodedata.category(char) in ("So", "Sk", "Mn", "Mc")
        or "\u0600" <= char <= "\u109f"
        or "\u1780" <= char <= "\u18af"
    )


def tag_key(tag: str) -> str:
    """Identity of a tag: its cleaned spelling, case folded."""
    return clean_tag(clean_tag(tag).casefold())


def current_keys(keys: Sequence[str]) -> list[str]:
    """Keys of an earlier version as they are today; those that would coincide with another stay as they are."""
    if not any(_AFFECTED.search(key) for key in keys):
        return list(keys)
    taken = set(keys)
    found = []
    for key in keys:
        today = tag_key(key) if _AFFECTED.search(key) else key
        found.append(key if today in taken or not today else today)
        taken.add(today)
    return found


def unique_tags(raw_tags: Iterable[str]) -> tuple[str, ...]:
    """Cleaned spellings without empty ones and without repeats of a key; the first spelling wins, order is kept."""
    spellings: dict[str, str] = {}
    for raw in raw_tags:
        spelling = clean_tag(raw)
        if spelling:
            spellings.setdefault(tag_key(spelling), spelling)
    return tuple(spellings.values())
