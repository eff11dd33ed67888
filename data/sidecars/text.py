"""``NAME.txt``: tags with commas between them, as the tools that train image models keep them (sd-scripts, kohya, WD14 taggers).

The same files hold captions too. A text of a sentence is a caption and becomes the title; it is never made a list of tags.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from ..errors import InputError
from ..tags import clean_tag, tag_key, unique_tags

MOST_WORDS = 5
"""Words of a tag; what has more between two commas is a sentence."""

_UNDERSCORE = re.compile(r"(?<=\w)_(?=\w)")
_SENTENCE = re.compile(r"[.!?。！？](?:\s|$)")


def read_text_tags(data: bytes) -> dict[str, object]:
    """``{"tags": […]}``, or ``{"title": …}`` of a caption; nothing of an empty file, and of one that is not UTF-8, which may be anything.

    Underscores between letters are spaces where no tag has a space and some have underscores.
    """
    try:
        text = text_of(data).strip()
    except InputError:
        return {}
    if not text:
        return {}
    if _is_caption(text):
        return {"title": " ".join(text.split())}
    tags = _tags(text)
    return {"tags": [_UNDERSCORE.sub(" ", tag) for tag in tags] if _has_underscores(tags) else tags}


def merged_text_tags(
    old: bytes | None, tags: Sequence[str], *, replace: bool = False, underscores: bool = False
) -> bytes:
    """The file with these tags added behind its own; the same bytes where it has them all.

    Args:
        old: what is there; ``None`` where nothing is.
        tags: to be in it.
        replace: these tags alone, whatever was there.
        underscores: write spaces as underscores, as it is done where the file does so already.

    Raises:
        InputError: it is not UTF-8, or a caption, which tags would spoil.
    """
    text = "" if old is None or replace else text_of(old)
    there = _tags(text)
    underscores = underscores or _has_underscores(there)
    known = {tag_key(_UNDERSCORE.sub(" ", tag)) for tag in there}
    spelled = unique_tags(_without_commas(tag) for tag in tags)
    written = [tag.replace(" ", "_") if underscores else tag for tag in spelled]
    new = [tag for tag in written if tag_key(_UNDERSCORE.sub(" ", tag)) not in known]
    if not new and there and old is not None:
        return old
    if text.strip() and _is_caption(text.strip()):
        raise InputError("it holds a sentence and no list of tags")
    kept = text.rstrip().rstrip(",").rstrip()
    end = text[len(text.rstrip()) :] if text.strip() else "\n"
    return (", ".join([kept] * bool(kept) + new) + end).encode("utf-8")


def _without_commas(tag: str) -> str:
    """A tag without what ends one: the form has no quotes."""
    return re.sub(r"[,，、]", " ", clean_tag(tag))


def text_of(data: bytes, encoding: str = "utf-8-sig") -> str:
    """The text of a file; InputError where it is not UTF-8."""
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        raise InputError(f"it is not UTF-8 (byte 0x{error.object[error.start]:02x})") from error


def _tags(text: str) -> list[str]:
    return [tag for part in re.split(r"[,，、\r\n]", text) if (tag := part.strip())]


def _is_caption(text: str) -> bool:
    return _SENTENCE.search(text) is not None or any(len(tag.split()) > MOST_WORDS for tag in _tags(text))


def _has_underscores(tags: Sequence[str]) -> bool:
    return any(_UNDERSCORE.search(tag) for tag in tags) and not any(" " in tag for tag in tags)
