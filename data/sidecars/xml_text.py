"""XML from anybody, read within bounds and changed as text, so that what is not changed stays as it was, byte for byte.

Libraries that read a document and write it again lose its declarations, comments, prefixes and white space. Here a change is a piece
of text put in the place of another, and what comes out is read again: all but the changed elements must be what it was.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from xml.etree.ElementTree import Element, ParseError, tostring
from xml.sax.saxutils import escape

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from ..errors import InputError, reason_of
from ..tags import clean_tag

LARGEST_XML, DEEPEST = 16 << 20, 64
"""Bytes, and elements inside each other."""

_MARKUP = re.compile(
    r"<!--.*?(?:-->|\Z)|<!\[CDATA\[.*?(?:\]\]>|\Z)|<\?.*?(?:\?>|\Z)|<!(?:[^>\"']++|\"[^\"]*+(?:\"|\Z)|'[^']*+(?:'|\Z))*+(?:>|\Z)"
    r"|<(?P<close>/?)(?P<name>[^\s/>]++)"
    r"(?P<attributes>(?:[^>\"'/]++|\"[^\"]*+(?:\"|\Z)|'[^']*+(?:'|\Z)|/(?!>))*+)(?P<empty>/?)(?:>|\Z)",
    re.DOTALL,
)
"""Linear in the text, whatever it is: nothing is tried twice, and what is never closed goes to the end, where it is refused."""

_NAMESPACE = re.compile(r"xmlns(?::([^\s=:]++))?\s*+=\s*+(?:\"([^\"]*+)\"|'([^']*+)')")


_ENCODING = re.compile(r"<\?xml[^>]*?\sencoding\s*=\s*[\"']([^\"'>]*)")


@dataclass(kw_only=True)
class Piece:
    """Where an element stands in a text.

    Attributes:
        name: with its namespace, ``{uri}local``.
        prefixes: namespaces by prefix, ``""`` for the default one, as they are inside it.
        start, open_end: of its first tag.
        close_start, end: of its last tag; an empty element has none, and ``close_start`` is ``open_end``.
        parent: of this one among the pieces; -1 for the root.
    """

    name: str
    prefixes: Mapping[str, str]
    start: int
    open_end: int
    close_start: int = -1
    end: int = -1
    parent: int = -1

    @property
    def is_empty(self) -> bool:
        """Whether one tag opens and closes it."""
        return self.close_start == self.end == self.open_end

    def prefix_of(self, namespace: str) -> str | None:
        """How the namespace is written within it; ``None`` where it is not declared."""
        return next((prefix for prefix, uri in self.prefixes.items() if uri == namespace and prefix), None)


@dataclass(frozen=True, kw_only=True)
class Document:
    """A document as a text and as a tree.

    Attributes:
        text: all of it.
        root: as it was read.
        is_utf8: whether its declaration says so, or nothing; another encoding is read where the bytes are UTF-8 too.
        pieces: its elements in the order of their first tags.
    """

    text: str
    root: Element
    is_utf8: bool = True
    pieces: list[Piece] = field(default_factory=list)

    def escaped(self, tag: str) -> str:
        """A tag as the text of an element; other characters than ASCII by their numbers where the encoding has others for them."""
        text = xml_text(tag)
        return text if self.is_utf8 else text.encode("ascii", "xmlcharrefreplace").decode("ascii")

    def find(self, name: str, parent: str | None = None) -> list[int]:
        """Numbers of the elements of a name, of those in a parent of a name."""
        return [
            number
            for number, piece in enumerate(self.pieces)
            if piece.name == name
            and (parent is None or (piece.parent >= 0 and self.pieces[piece.parent].name == parent))
        ]


def read_document(data: bytes) -> Document:
    """A document in UTF-8, whose root may be followed by other text, as Kodi allows a link there.

    Raises:
        InputError: it is no XML, declares entities, is not UTF-8, or is too large.
    """
    if len(data) > LARGEST_XML:
        raise InputError(f"it has more than {LARGEST_XML:,} bytes")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError("it is not UTF-8") from error
    pieces = list(_pieces(text.removeprefix("\ufeff"), len(text) - len(text.removeprefix("\ufeff"))))
    whole = text[: pieces[0].end] if pieces and pieces[0].end > 0 else text
    try:
        root = fromstring(whole.removeprefix("\ufeff").encode("utf-8"), forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError, LookupError) as error:
        raise InputError(f"it is not XML that is read here ({reason_of(error)})") from error
    declared = _ENCODING.match(text.removeprefix("\ufeff"))
    is_utf8 = declared is None or declared[1].lower() in ("utf-8", "utf8")
    return Document(text=text, root=root, is_utf8=is_utf8, pieces=pieces)


def _pieces(text: str, offset: int) -> Iterator[Piece]:
    """Elements of what is hoped to be XML; whoever changes something by them reads the result again."""
    made: list[Piece] = []
    open_pieces: list[int] = []
    for mark in _MARKUP.finditer(text):
        if mark["name"] is None:
            continue
        start, end = mark.start() + offset, mark.end() + offset
        if mark["close"]:
            if open_pieces:
                last = made[open_pieces.pop()]
                last.close_start, last.end = start, end
            if not open_pieces:
                break
            continue
        parent = open_pieces[-1] if open_pieces else -1
        declared = {prefix or "": one or other for prefix, one, other in _NAMESPACE.findall(mark["attributes"])}
        prefixes = {**(made[parent].prefixes if parent >= 0 else {}), **declared}
        prefix, colon, local = mark["name"].rpartition(":")
        uri = prefixes.get(prefix if colon else "", "")
        piece = Piece(
            name=f"{{{uri}}}{local}" if uri else local, prefixes=prefixes, start=start, open_end=end, parent=parent
        )
        made.append(piece)
        if mark["empty"]:
            piece.close_start = piece.end = end
            if parent < 0:
                break
        else:
            open_pieces.append(len(made) - 1)
            if len(open_pieces) > DEEPEST:
                raise InputError(f"it is nested more than {DEEPEST} deep")
    return iter(made)


def check_change(before: Document, after: bytes, changed: Collection[str]) -> bytes:
    """What was written, once it is sure that nothing but elements of the ``changed`` names, and white space, is new.

    Raises:
        InputError: it is not what it should be; what is there stays.
    """
    try:
        now = read_document(after)
    except InputError as error:
        raise InputError(f"it is written in a way that tags cannot be put into safely ({error})") from error
    if _rest(before.root, changed) != _rest(now.root, changed):
        raise InputError("it is written in a way that tags cannot be put into safely")
    return after


def _rest(root: Element, changed: Collection[str]) -> bytes:
    """An element without those of some names and without white space between elements."""
    copy: Any = fromstring(tostring(root))
    for element in list(copy.iter()):
        for child in list(element):
            if child.tag in changed:
                element.remove(child)
    for element in copy.iter():
        element.text = (element.text or "").strip()
        element.tail = (element.tail or "").strip()
    return tostring(copy)


def xml_text(tag: str) -> str:
    """A tag as the text of an element; characters that XML cannot hold are not in tags."""
    return escape(clean_tag(tag))


def indent_before(text: str, place: int) -> str:
    """The line end and the white space between it and a place; nothing where something else stands between."""
    found = re.search(r"\r?\n[ \t]*$", text[:place])
    return found[0] if found else ""
