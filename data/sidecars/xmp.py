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
ALL, DESCRIPTION, ITEM, VALUE = (f"{{{RDF}}}{name}" for name in ("RDF", "Description", "li", "value"))
LANGUAGE = "{http://www.w3.org/XML/1998/namespace}lang"

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
        if merged != there and _has_more_than_texts(document, name):
            raise InputError(f"its {name.rpartition('}')[2]} says more of its tags than their names")
        if merged != there:
            data = check_change(document, _with_items(document, name, merged).encode("utf-8"), {name})
    return data


def _items(document: Document, name: str) -> list[str]:
    """Items of the lists of a property, which some write as one text in an attribute or element."""
    found: list[str] = []
    for element in _properties(document, name):
        items = [item.findtext(f".//{VALUE}") or item.text or "" for item in element.iter(ITEM)]
        found += items or [element.text or ""]
    found += [description.attrib[name] for description in _with_attribute(document, name)]
    return list(unique_tags(found))


def _descriptions(document: Document) -> list[Element]:
    """Those of the file itself: within them there may be others, of a region of a picture or of what it was made of."""
    return [description for rdf in document.root.iter(ALL) for description in rdf.findall(DESCRIPTION)]


def _properties(document: Document, name: str) -> list[Element]:
    return [element for description in _descriptions(document) for element in description.findall(name)]


def _with_attribute(document: Document, name: str) -> list[Element]:
    return [description for description in _descriptions(document) if name in description.attrib]


def _has_more_than_texts(document: Document, name: str) -> bool:
    """Whether an item is no text alone: what else it says would be lost."""
    items = [item for element in _properties(document, name) for item in element.iter(ITEM)]
    return any(len(item) or not (item.text or item.attrib.keys() <= {LANGUAGE}) for item in items)


def _places(document: Document, name: str) -> list[int]:
    """Numbers of the pieces that :func:`_properties` has, or with the name of a description, :func:`_descriptions`."""

    def parent(number: int) -> int:
        return document.pieces[number].parent

    found = document.find(name, ALL if name == DESCRIPTION else DESCRIPTION)
    return [number for number in found if name == DESCRIPTION or document.pieces[parent(parent(number))].name == ALL]


def _with_items(document: Document, name: str, items: Iterable[str]) -> str:
    text = document.text
    numbers = _places(document, name)
    for number in reversed(numbers[1:]):
        text = text[: document.pieces[number].start].rstrip(" \t") + text[document.pieces[number].end :]
    if numbers:
        piece = document.pieces[numbers[0]]
        bag = _bag(document, name, numbers[0], items, indent_before(text, piece.start))
        return text[: piece.start] + bag + text[piece.end :]
    if not (descriptions := _places(document, DESCRIPTION)):
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
