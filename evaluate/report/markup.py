"""Pages made of elements, for the results of ``optsg-judge``; other pages are templates, see :mod:`.page`.

Text cannot turn into markup: only :class:`Html` is passed through; every other child and every attribute value is escaped.
"""

from __future__ import annotations

import base64
import hashlib
import html
from collections.abc import Iterable, Sequence
from pathlib import Path

from .tables import Cell

ASSETS = Path(__file__).parent / "assets"
STYLE, SCRIPT = (ASSETS / "report.css").read_text("utf-8"), (ASSETS / "report.js").read_text("utf-8")


def page(
    title: str,
    header: Html,
    links: Sequence[tuple[str, str]],
    sections: Sequence[Html],
    footer: str,
    *,
    script: str = SCRIPT,
    style: str = "",
) -> Html:
    """A whole HTML document.

    Args:
        title: shown in the browser's tab.
        header: what stands above the links.
        links: (id of a section, its name).
        sections: the body.
        footer: one line at the end.
        script: the page's only script; none for an empty one.
        style: added to the style sheet.
    """
    navigation = element(
        "nav", *(element("a", name, href=f"#{anchor}") for anchor, name in links), aria_label="Sections"
    )
    body = element(
        "body",
        element("div", header, navigation, element("main", *sections), element("footer", footer), class_="page"),
        *([element("script", Html(script))] if script else []),
    )
    return join(
        [Html("<!doctype html>\n"), element("html", _head(title, script, STYLE + style), body, lang="en"), Html("\n")]
    )


def _head(title: str, script: str, style: str) -> Html:
    return element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=_policy(script)),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", title),
        element("style", Html(style)),
    )


def _policy(script: str) -> str:
    """The browser may load nothing from elsewhere and run no script but ours, whatever text gets into the page."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    return f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"


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


def sortable_table(
    table_id: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[Cell]],
    *,
    sorted_by: str | None,
    label: str,
    things: str,
    descending: bool = True,
    search: bool = True,
) -> Html:
    """A table in a frame that scrolls, with headings that sort and, above it, a search over its names.

    Args:
        table_id: the element's id.
        columns: headings.
        rows: cells in the order of the columns, the first of which names the row.
        sorted_by: the heading that the rows are sorted by.
        label: what it shows, for screen readers.
        things: what a row is, in singular, for the count of those found.
        descending: the direction of ``sorted_by``.
        search: whether there is a search.
    """
    direction = "descending" if descending else "ascending"
    texts = [row.is_name for row in rows[0]] if rows else [False] * len(columns)
    head = element(
        "tr",
        *(
            element(
                "th",
                element("button", name, type="button", data_column=number, data_text=texts[number]),
                scope="col",
                aria_sort=direction if name == sorted_by else "none",
                class_="name" if texts[number] else None,
            )
            for number, name in enumerate(columns)
        ),
    )
    body = (element("tr", *(_cell(number, cell) for number, cell in enumerate(row))) for row in rows)
    table = element(
        "table", element("thead", head), element("tbody", *body), class_="numbers tags", id=table_id, data_sortable=True
    )
    frame = element("div", table, class_="scroll", tabindex="0", role="region", aria_label=label)
    return element("div", *([search_field(table_id, len(rows), things)] if search else []), frame)


def search_field(table_id: str, rows: int, things: str) -> Html:
    """A search over the names in a table's rows."""
    field = f"{table_id}-filter"
    return element(
        "label",
        f"Find a {things} ",
        element("input", type="search", id=field, data_table=table_id, autocomplete="off", spellcheck="false"),
        element("output", count_of(rows, things), data_things=things, for_=field),
        class_="search",
    )


def _cell(number: int, cell: Cell) -> Html:
    if number == 0:
        return element("th", cell.content, scope="row", dir="auto" if cell.is_name else None, class_=cell.kind)
    kind = " ".join(part for part in ("name" if cell.is_name else "", cell.kind or "") if part)
    return element("td", cell.content, dir="auto" if cell.is_name else None, data_value=cell.value, class_=kind or None)


def count_of(number: int, things: str) -> str:
    """With the thing in singular or plural: 1 tag, 2 tags."""
    return f"{number:,} {things}" + ("" if number == 1 else "s")
