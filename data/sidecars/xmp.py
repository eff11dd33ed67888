"""``NAME.jpg.xmp`` and ``NAME.xmp``: tags as exiftool, digiKam, Lightroom and darktable keep them.

``dc:subject`` has tags flat, ``lr:hierarchicalSubject`` has paths with bars: ``animal|cat``, with ``animal`` and ``cat`` in ``dc:subject``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from xml.etree.ElementTree import Element

from ..errors import InputError
from ..tags import tag_key, unique_tags
from .tag_paths import bar_paths, flat_tags, joined_tags
from .xml_text import Document, check_change, indent_before, read_document

RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
DC = "http://purl.org/dc/elements/1.1/"
LIGHTROOM = "http://ns.adobe.com/lightroom/1.0/"
META = "adobe:ns:meta/"

SUBJECT, PATHS, TITLE = f"{{{DC}}}subject", f"{{{LIGHTROOM}}}hierarchicalSubject", f"{{{DC}}}title"
DESCRIPTION, BAG, ITEM = f"{{{RDF}}}Description", f"{{{RDF}}}Bag", f"{{{RDF}}}li"

EMPTY = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\n'
    f'<x:xmpmeta xmlns:x="{META}">\n'
    f' <rdf:RDF xmlns:rdf="{RDF}">\n'
    '  <rdf:Description rdf:about="">\n'
    "  </rdf:Description>\n"
    " </rdf:RDF>\n"
    "</x:xmpmeta>\n"
    '<?xpacket end="w"?>\n'
).encode()


def read_xmp(data: bytes) -> dict[str, object]:
    """``tags`` and ``title``, where it has them.

    Raises:
        InputError: it is no XML that is read here.
    """
    document = read_document(data)
    tags = joined_tags(_items(document, SUBJECT), _items(document, PATHS))
    titles = _items(document, TITLE)
    return {**({"tags": list(tags)} if tags else {}), **({"title": titles[0]} if titles else {})}


def merged_xmp(old: bytes | None, tags: Sequence[str], *, replace: bool = False, separator: str | None = None) -> bytes:
    """The file with these tags beside its own; the same bytes where it has them all.

    Args:
        old: what is there; ``None`` where nothing is.
        tags: to be in it.
        replace: these tags alone; all that is not tags stays.
        separator: of the parts of tags that are paths.

    Raises:
        InputError: it is no XML that is read here, or written in a way that tags cannot be put into safely.
    """
    data = EMPTY if old is None else old
    for name, wanted in ((SUBJECT, flat_tags(tags, separator)), (PATHS, bar_paths(tags, separator))):
        document = read_document(data)
        there = _items(document, name)
        known = {tag_key(tag) for tag in there}
        merged = list(wanted) if replace else [*there, *(tag for tag in wanted if tag_key(tag) not in known)]
        if merged != there and _with_attribute(document, name):
            raise InputError(f"it has {name.rpartition('}')[2]} in an attribute, where only one tag has room")
        if merged != there:
            data = check_change(document, _with_items(document, name, merged).encode("utf-8"), {name})
    return data


def _items(document: Document, name: str) -> list[str]:
    """Items of the lists of a property, which some write as one text in an attribute or element."""
    found: list[str] = []
    for element in document.root.iter(name):
        items = [item.text or "" for item in element.iter(ITEM)]
        found += items or [element.text or ""]
    found += [description.attrib[name] for description in _with_attribute(document, name)]
    return list(unique_tags(found))


def _with_attribute(document: Document, name: str) -> list[Element]:
    return [description for description in document.root.iter(DESCRIPTION) if name in description.attrib]


def _with_items(document: Document, name: str, items: Iterable[str]) -> str:
    text = document.text
    numbers = document.find(name, DESCRIPTION)
    for number in reversed(numbers[1:]):
        text = text[: document.pieces[number].start].rstrip(" \t") + text[document.pieces[number].end :]
    if numbers:
        piece = document.pieces[numbers[0]]
        bag = _bag(document, name, numbers[0], items, indent_before(text, piece.start))
        return text[: piece.start] + bag + text[piece.end :]
    if not (descriptions := document.find(DESCRIPTION)):
        raise InputError("it has no rdf:Description")
    number = descriptions[0]
    piece = document.pieces[number]
    outer = indent_before(text, piece.start)
    indent = outer + " " if outer else ""
    bag = indent + _bag(document, name, number, items, indent)
    if piece.is_empty:
        opened = text[piece.start : piece.end].removesuffix("/>").rstrip()
        close = text[piece.start + 1 : piece.end].split()[0].removesuffix("/>")
        return f"{text[: piece.start]}{opened}>{bag}{outer}</{close}>{text[piece.end :]}"
    before = text[: piece.close_start]
    gap = indent_before(before, len(before))
    return before.removesuffix(gap) + bag + gap + text[piece.close_start :]


def _bag(document: Document, name: str, near: int, items: Iterable[str], indent: str) -> str:
    """The property as a bag; prefixes that are not declared where it stands are declared by it."""
    namespace, _, local = name[1:].partition("}")
    piece = document.pieces[near]
    usual = {DC: "dc", LIGHTROOM: "lr", RDF: "rdf"}
    # The property's own tag goes, and what it declared goes with it.
    scope = document.pieces[piece.parent] if piece.name == name else piece
    prefix, rdf = (scope.prefix_of(uri) or usual[uri] for uri in (namespace, RDF))
    declared = "" if scope.prefix_of(namespace) else f' xmlns:{prefix}="{namespace}"'
    step = indent + " " if indent else ""
    lines = "".join(f"{step}{' ' * bool(step)}<{rdf}:li>{document.escaped(item)}</{rdf}:li>" for item in items)
    return f"<{prefix}:{local}{declared}>{step}<{rdf}:Bag>{lines}{step}</{rdf}:Bag>{indent}</{prefix}:{local}>"
