"""``tables.md``: all results as Markdown, with pictures beside it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet

from ..report.page import legal
from .case_studies import CHOSEN_BY, MEANINGS, SIGNS, Case, JudgedTag
from .prompt_orders import PromptOrders
from .results import NO_TITLE, READING, Results, Section
from .text_tables import TextTable

FIGURE_3 = "figure-3.svg"


def plot_name(section: Section) -> str:
    """File name of a section's plot."""
    return f"table-{section.key}.svg"


def markdown(results: Results) -> Iterator[str]:
    """The document in pieces."""
    yield "# The paper's tables\n\n"
    yield from (f"- {escape(name)}: {escape(value)}\n" for name, value in results.facts)
    yield f"\n{READING}\n"
    for section in results.sections:
        yield f"\n## {section.title}\n\n{escape(section.headline)}\n\n{_fenced(section.command)}\n\n{section.note}\n"
        for table in section.tables:
            yield from _table(table)
        if section.plot is not None:
            yield f"\n![{section.title}: F1 by {escape(section.tables[0].columns[0])}]({plot_name(section)})\n"
    if results.orders is not None:
        yield from _orders(results.orders)
    if results.cases:
        yield from _cases(results.cases)
    if results.missing:
        yield "\n## What is missing\n\n"
        yield from (f"- {escape(line)}\n" for line in results.missing)


def _table(table: TextTable) -> Iterator[str]:
    if table.caption:
        yield f"\n**{table.caption}**\n"
    yield "\n" + _row(table.columns)
    yield "| --- " + "| ---: " * (len(table.columns) - 1) + "|\n"
    yield from (
        _row(row, {column for line, column in table.best if line == number}) for number, row in enumerate(table.rows)
    )


def _row(cells: Sequence[str], best: AbstractSet[int] = frozenset()) -> str:
    """A line of a table; the best cells are strong."""
    written = [escape(cell.strip()) for cell in cells]
    return f"| {' | '.join(f'**{cell}**' if place in best else cell for place, cell in enumerate(written))} |\n"


def _fenced(command: str) -> str:
    """A shell command as a code block, which no run of backticks in it can end."""
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", command)), default=0))
    return f"{fence}sh\n{legal(command)}\n{fence}"


_ALWAYS = re.compile(r"[\\`*<>|\[\]~&@]")


_EDGE_UNDERSCORE = re.compile(r"(?<![^\W_])_|_(?![^\W_])")
"""One that does not stand between letters or digits: "feats_1.h5" is no emphasis."""


_ADDRESS = re.compile(r"(?i)\b(https?|ftp)(?=://)|\b(www)(?=\.)")


_BLOCK = re.compile(r"^(?:#|[-+=](?!\d))|^(?P<number>\d{1,9})(?=[.)](?:\s|$))")
"""What would begin a heading, a list or a rule; "+2.3" does not."""


_REORDERING = re.compile("[\u202a-\u202e\u2066-\u2069]")
"""Embeddings, overrides and isolates: one that is not closed turns round all that follows in the line."""


def escape(text: str) -> str:
    """Text in one line, in which Markdown sees no markup; what it cannot hold becomes the replacement character."""
    line = _REORDERING.sub("\ufffd", legal(" ".join(text.split())))
    line = _EDGE_UNDERSCORE.sub(r"\\_", _ALWAYS.sub(r"\\\g<0>", line))
    line = _ADDRESS.sub(r"\g<0>\\", line)
    return _BLOCK.sub(lambda found: f"{found[0]}\\" if found["number"] else f"\\{found[0]}", line)


def _orders(figure: PromptOrders) -> Iterator[str]:
    yield "\n## Figure 3: one video under several prompt orders\n\n"
    yield f"{escape(figure.title) or NO_TITLE} ({escape(figure.id)}). Annotated: {', '.join(map(escape, figure.true))}. Each tag stands with the "
    yield "number of the prompt that wrote it; NIL is left out.\n\n"
    for decoded in figure.decoded:
        tags = ", ".join(f"{prompt}: {_judged(tag)}" for prompt, tag in decoded.tags) or "no tags"
        yield f"- {decoded.name}: {tags}\n"
    yield f"\n![Cosine of order prompts and annotated tags]({FIGURE_3})\n"
    yield f"\n{_legend()}\n"


def _cases(cases: Sequence[Case]) -> Iterator[str]:
    yield f"\n## Figure 4: case studies\n\n{CHOSEN_BY}\n\n{_legend()}\n"
    for case in cases:
        yield f"\n**{escape(case.title) or NO_TITLE}** ({escape(case.id)})\n\n"
        yield f"- annotated: {', '.join(escape(tag.text) for tag in case.true)}\n"
        for name, tags in case.predicted.items():
            yield f"- {name}: {', '.join(map(_judged, tags)) or 'no tags'}\n"


def _judged(tag: JudgedTag) -> str:
    return f"{SIGNS[tag.verdict]} {escape(tag.text)}"


def _legend() -> str:
    return "; ".join(f"{SIGNS[verdict]} {meaning}" for verdict, meaning in MEANINGS.items()) + "."
