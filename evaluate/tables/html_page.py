"""``tables.html``: the same results as one page that opens from disk."""

from __future__ import annotations

from collections.abc import Sequence

from ... import __version__
from ..report.page import Html, element, join, page
from .case_studies import CHOSEN_BY, MEANINGS, SIGNS, Case, JudgedTag
from .heat_map import heat_map
from .prompt_orders import PromptOrders
from .results import NO_TITLE, READING, Results, Section, TextTable

STYLE = """
:root { --common: #14693a; --common-fill: #e3f3e8; --rare: #1d5fa8; --rare-fill: #e4eefb; --unseen: #8a4b00; --unseen-fill: #fbeed8; }
@media (prefers-color-scheme: dark) {
  :root { --common: #7fd8a0; --common-fill: #1a3325; --rare: #7db4f0; --rare-fill: #1b2f47; --unseen: #f0b35e; --unseen-fill: #3d2c14; }
}
.common { color: var(--common); background: var(--common-fill); }
.rare { color: var(--rare); background: var(--rare-fill); border-color: currentColor; }
.unseen { color: var(--unseen); background: var(--unseen-fill); border-color: currentColor; }
.page { overflow-wrap: anywhere; }
.wide { overflow-x: auto; overflow-wrap: normal; margin: 0 0 18px; }
.wide table { border-collapse: collapse; font-size: .875rem; font-variant-numeric: tabular-nums; }
.wide th, .wide td { padding: 4px 12px 4px 0; text-align: right; white-space: nowrap; border-bottom: 1px solid var(--line); }
.wide thead th { color: var(--quiet); font-weight: 500; white-space: normal; vertical-align: bottom; }
.wide th:first-child { text-align: left; font-weight: 500; }
.wide tr.paper th, .wide tr.paper td { color: var(--quiet); font-weight: 400; }
.wide tr.paper th { padding-left: 1.2em; }
pre { background: var(--well); border-radius: 6px; padding: 8px 12px; overflow-x: auto; font-size: .8125rem; }
.drawing { max-width: 640px; overflow-x: auto; } .drawing svg { display: block; max-width: 100%; height: auto; }
.order { margin: 0 0 10px; }
.legend li { grid-template-columns: 9rem 1fr; }
"""


def html(results: Results) -> Html:
    """The page."""
    links = [(_anchor(section), section.title) for section in results.sections]
    sections = [_section(section) for section in results.sections]
    if results.orders is not None:
        links.append(("figure-3", "Figure 3"))
        sections.append(_orders(results.orders))
    if results.cases:
        links.append(("figure-4", "Figure 4"))
        sections.append(_cases(results.cases))
    return page(
        "The paper's tables",
        _header(results),
        links,
        sections,
        f"Made by optsg {__version__}. The same results are in tables.md, every run in runs.",
        script="",
        style=STYLE,
    )


def _anchor(section: Section) -> str:
    return f"table-{section.key}"


def _header(results: Results) -> Html:
    facts = (element("div", element("dt", name), element("dd", value, dir="auto")) for name, value in results.facts)
    parts = [
        element("p", "optsg-tables", class_="eyebrow"),
        element("h1", "The paper's tables"),
        element("p", READING, class_="note"),
        element("dl", *facts, class_="facts"),
    ]
    if results.missing:
        lines = (element("li", line) for line in results.missing)
        parts.append(element("section", element("h2", "What is missing"), element("ul", *lines, class_="note")))
    return element("header", *parts)


def _section(section: Section) -> Html:
    plot = [] if section.plot is None else [element("div", section.plot, class_="drawing")]
    return element(
        "section",
        element("h2", section.title),
        element("pre", element("code", section.command)),
        element("p", section.note, class_="note"),
        *(_table(table) for table in section.tables),
        *plot,
        id=_anchor(section),
    )


def _table(table: TextTable) -> Html:
    head = element("tr", *(element("th", column, scope="col") for column in table.columns))
    body = (
        element(
            "tr",
            element("th", row[0].strip(), scope="row"),
            *(element("td", cell) for cell in row[1:]),
            class_="paper" if row[0].startswith(" ") else None,
        )
        for row in table.rows
    )
    written = element("table", element("thead", head), element("tbody", *body))
    caption = [element("h3", table.caption)] if table.caption else []
    return element("div", *caption, written, class_="wide")


def _orders(figure: PromptOrders) -> Html:
    listed = (
        element("div", element("h3", decoded.name), _tags(decoded.tags, "no tags"), class_="order")
        for decoded in figure.decoded
    )
    return element(
        "section",
        element("h2", "Figure 3: one video under several prompt orders"),
        element(
            "p",
            _isolated([figure.title or NO_TITLE]),
            " (",
            _isolated([figure.id]),
            "). Annotated: ",
            _isolated(figure.true),
            ".",
        ),
        element(
            "p",
            "Each tag stands with the number of the prompt that wrote it; NIL is left out. Below: how alike prompts (across) "
            "and annotated tags (down) are, darker for more; a frame marks each tag's best prompt.",
            class_="note",
        ),
        _legend(),
        *listed,
        element("div", heat_map(figure), class_="drawing"),
        id="figure-3",
    )


def _isolated(texts: Sequence[str]) -> Html:
    """Texts with commas between them; the direction of none turns round what stands beside it."""
    return join([part for text in texts for part in (", ", element("bdi", text))][1:])


def _cases(cases: Sequence[Case]) -> Html:
    return element(
        "section",
        element("h2", "Figure 4: case studies"),
        element("p", CHOSEN_BY, class_="note"),
        _legend(),
        element("div", *map(_case, cases), class_="cards"),
        id="figure-4",
    )


def _case(case: Case) -> Html:
    parts = [element("h4", case.title or NO_TITLE, dir="auto"), element("p", case.id, class_="id")]
    for name, tags in (("annotated", case.true), *case.predicted.items()):
        parts += [element("h5", name), _tags([(None, tag) for tag in tags], "no tags")]
    return element("article", *parts, class_="card")


def _tags(tags: Sequence[tuple[int | None, JudgedTag]], none: str) -> Html:
    entries = [element("li", _tag(prompt, tag)) for prompt, tag in tags] or [element("li", none, class_="none")]
    return element("ul", *entries, class_="taglist")


def _tag(prompt: int | None, tag: JudgedTag) -> Html:
    number = [] if prompt is None else [element("span", str(prompt), class_="score", title=f"prompt {prompt}")]
    return element(
        "span",
        element("span", SIGNS[tag.verdict], class_="sign", aria_hidden="true"),
        element("span", f"{tag.verdict}: ", class_="spoken"),
        element("span", tag.text, dir="auto"),
        *number,
        class_=f"tag {tag.verdict}",
        title=MEANINGS[tag.verdict],
    )


def _legend() -> Html:
    entries = (
        element(
            "li",
            element("span", element("span", SIGNS[verdict], class_="sign"), verdict, class_=f"tag {verdict}"),
            meaning,
        )
        for verdict, meaning in MEANINGS.items()
    )
    return element("ul", *entries, class_="legend")
