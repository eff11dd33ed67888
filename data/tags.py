"""Tag identity: when two spellings are the same tag.

A tag is its normalised text: NFKC, trimmed, inner white space collapsed, case folded.
The *key* identifies a tag everywhere; the *spelling* is what people read.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

NIL_TEXT = "[PAD]"
"""The paper's name of the tag that stands for no tag; its embedding is that of this text, read as words."""


def clean_tag(raw: str) -> str:
    """Spelling of a tag as shown to people: NFKC, control characters and runs of white space to one space, trimmed."""
    text = unicodedata.normalize("NFKC", raw)
    text = "".join(" " if unicodedata.category(char) in ("Cc", "Cs") else char for char in text)
    return " ".join(text.split())


def tag_key(tag: str) -> str:
    """Identity of a tag: its cleaned spelling, case folded."""
    return clean_tag(clean_tag(tag).casefold())


def unique_tags(raw_tags: Iterable[str]) -> tuple[str, ...]:
    """Cleaned spellings without empty ones and without repeats of a key; the first spelling wins, order is kept."""
    spellings: dict[str, str] = {}
    for raw in raw_tags:
        spelling = clean_tag(raw)
        if spelling:
            spellings.setdefault(tag_key(spelling), spelling)
    return tuple(spellings.values())
