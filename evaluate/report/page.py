"""The pages' templates: a page is one file that opens from disk and fetches nothing.

Text cannot turn into markup: templates escape every value, and what HTML cannot hold becomes the replacement character.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import re
from collections.abc import Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from .tables import percent

FOLDER = Path(__file__).parent
TEMPLATES = FOLDER / "templates"
ILLEGAL = re.compile("[^\t\n\x20-\x7e\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Controls and surrogates, and what XML lacks besides: a picture is read as XML."""


def render_page(
    template: str,
    *,
    styles: Sequence[str | Path] = ("report.css",),
    script: str | Path | None = "report.js",
    folder: Path = TEMPLATES,
    **shown: object,
) -> str:
    """A whole HTML document.

    Args:
        template: a file of ``folder`` that extends ``page.html``.
        styles: files, by default of ``assets/``, that make up its style sheet.
        script: the file, by default of ``assets/``, that is its only script.
        folder: of the template; those of ``templates/`` are found too.
        shown: what the template shows.

    Raises:
        jinja2.UndefinedError: the template shows something that is not given.
    """
    code = "" if script is None else asset(script)
    style = "".join(map(asset, styles))
    page = environment(folder).get_template(template)
    return page.render(style=style, script=code, digest=_digest(code), **shown)


def asset(name: str | Path) -> str:
    """The text of a file in ``assets/``, or of another one."""
    return (FOLDER / "assets" / name).read_text(encoding="utf-8")


def _digest(script: str) -> str:
    """By which the page's policy allows this script and no other, whatever text gets into the page."""
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")


@functools.cache
def environment(folder: Path = TEMPLATES) -> Environment:
    """Where templates are found, first in ``folder``, and how they write values."""
    made = Environment(
        loader=FileSystemLoader([folder, TEMPLATES]),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_written,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.filters |= {"percent": percent, "count": "{:,}".format}
    return made


def _written(value: object) -> object:
    """A value as text of a page; markup that a template made stays as it is."""
    if isinstance(value, float):
        return f"{value:.6g}"
    return value if hasattr(value, "__html__") else legal(str(value))


def legal(text: str) -> str:
    """Text in which characters that HTML and XML cannot hold have become the replacement character."""
    return ILLEGAL.sub("\ufffd", text)
