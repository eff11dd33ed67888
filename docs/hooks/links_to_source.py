"""Pages link to files of the repository, which the site does not have: there such a link becomes its text.

A page that is a file of the repository (``--8<-- "CONTRIBUTING.md"``) has the links that a page in ``docs/`` would have.
"""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# ``[text](../extract/api.py)``, also where text is code; the address may not be a page of these docs.
_OUTSIDE = re.compile(r"\[([^\]]+)\]\(\.\./[^)]*\)")
_INCLUDED = re.compile(r'(?m)^--8<-- "(\w+\.md)"$')
_RELATIVE = re.compile(r"\]\((?![a-z]+:|#)(docs/)?")


def on_page_markdown(markdown: str, **_: object) -> str:
    """Called by MkDocs with the text of every page."""
    return _OUTSIDE.sub(r"\1", _INCLUDED.sub(_included, markdown))


def _included(line: re.Match[str]) -> str:
    """The file, its links made relative to ``docs/``."""
    text = (ROOT / line[1]).read_text(encoding="utf-8")
    return _RELATIVE.sub(lambda link: "](" if link[1] else "](../", text)
