"""The page around the report's sections: one file that opens from disk and fetches nothing."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence

from .report_markup import Html, element, join
from .report_script import SCRIPT
from .report_style import STYLE


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
