"""Building HTML in which text cannot turn into markup.

Only :class:`Html` is passed through; every other child and every attribute value is escaped. Nothing in the report is
made by pasting strings together.
"""

from __future__ import annotations

import html
from collections.abc import Iterable

_VOID = frozenset({"meta", "img", "input", "br"})


class Html(str):
    """Text that is HTML already."""

    __slots__ = ()


def legal(text: str) -> str:
    """Text in which characters that HTML and XML cannot hold have become the replacement character."""
    return "".join(char if _is_legal(char) else "\ufffd" for char in text)


def escape(text: str) -> Html:
    """Plain text as HTML, made :func:`legal`."""
    return Html(html.escape(legal(text), quote=True))


def _is_legal(char: str) -> bool:
    code = ord(char)
    if code in (0xFFFE, 0xFFFF):  # a picture is read as XML, which has no such characters
        return False
    return char in "\t\n" or (code >= 0x20 and not 0x7F <= code < 0xA0 and not 0xD800 <= code < 0xE000)


def join(children: Iterable[Html | str]) -> Html:
    """Children one after another, plain ones escaped."""
    return Html("".join(child if isinstance(child, Html) else escape(child) for child in children))


def element(name: str, /, *children: Html | str, **attributes: str | float | None) -> Html:
    """An HTML or SVG element.

    Args:
        name: the element's name.
        children: plain text, which is escaped, and :class:`Html`, which is not.
        attributes: ``class_`` is written as ``class`` and other underscores as hyphens; ``None`` and ``False`` leave
            an attribute out, ``True`` writes it without a value.
    """
    written = "".join(_attribute(key, value) for key, value in attributes.items())
    if name in _VOID:
        return Html(f"<{name}{written}>")
    return Html(f"<{name}{written}>{join(children)}</{name}>")


def _attribute(key: str, value: str | float | None) -> str:
    if value is None or value is False:
        return ""
    name = key.rstrip("_").replace("_", "-")
    if value is True:
        return f" {name}"
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    return f' {name}="{escape(text)}"'
