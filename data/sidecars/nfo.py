"""``NAME.nfo``: what Kodi, Jellyfin and Emby know of a video, with a ``<tag>`` for each tag."""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import InputError
from ..tags import tag_key, unique_tags
from .xml_text import Document, check_change, indent_before, read_document, xml_text

TAG, TITLE = "tag", "title"

XML_STARTS = (b"<", b"\xff\xfe<\x00", b"\xfe\xff\x00<")
"""Of UTF-8, and of UTF-16, which is refused rather than taken for a link."""


def read_nfo(data: bytes) -> dict[str, object]:
    """``tags`` and ``title``, where it has them; a file that is a link alone has nothing.

    Raises:
        InputError: it is no XML that is read here.
    """
    if not data.lstrip().removeprefix(b"\xef\xbb\xbf").startswith(XML_STARTS):
        return {}
    document = read_document(data)
    tags, titles = _texts(document, TAG), _texts(document, TITLE)
    return {**({"tags": tags} if tags else {}), **({"title": titles[0]} if titles else {})}


def merged_nfo(old: bytes | None, tags: Sequence[str], *, replace: bool = False, title: str = "") -> bytes:
    """The file with these tags behind its own; the same bytes where it has them all.

    Args:
        old: what is there; ``None`` where nothing is.
        tags: to be in it.
        replace: these tags alone; all that is not tags stays.
        title: of a new file.

    Raises:
        InputError: it is no XML that is read here, or written in a way that tags cannot be put into safely.
    """
    data = old
    if data is None:
        head = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
        data = f"{head}<movie>\n    <title>{xml_text(title)}</title>\n</movie>\n".encode()
    document = read_document(data)
    there = _texts(document, TAG)
    known = {tag_key(tag) for tag in there}
    wanted = unique_tags(tags)
    merged = list(wanted) if replace else [*there, *(tag for tag in wanted if tag_key(tag) not in known)]
    if merged == there:
        return data
    return check_change(document, _with_tags(document, merged).encode("utf-8"), {TAG})


def _texts(document: Document, name: str) -> list[str]:
    return list(unique_tags(element.text or "" for element in document.root.findall(name)))


def _with_tags(document: Document, tags: Sequence[str]) -> str:
    """All tags where the first one stands, or else before the end of the root."""
    text, root = document.text, document.pieces[0]
    if root.is_empty:
        raise InputError("it has an empty root")
    numbers = [number for number in document.find(TAG) if document.pieces[number].parent == 0]
    inside = document.pieces[1].start if len(document.pieces) > 1 else root.close_start
    indent = indent_before(text, document.pieces[numbers[0]].start if numbers else inside)
    lines = "".join(f"{indent}<{TAG}>{document.escaped(tag)}</{TAG}>" for tag in tags)
    for number in reversed(numbers):
        piece = document.pieces[number]
        start = piece.start - len(indent_before(text, piece.start))
        text = text[:start] + (lines if number == numbers[0] else "") + text[piece.end :]
    if numbers:
        return text
    before = text[: root.close_start]
    gap = indent_before(before, len(before))
    return before.removesuffix(gap) + lines + gap + text[root.close_start :]
