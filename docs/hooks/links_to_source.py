"""Pages link to files of the repository, which the site does not have: there such a link becomes its text."""

from __future__ import annotations

import re

# ``[text](../extract/api.py)``, also where text is code; the address may not be a page of these docs.
_OUTSIDE = re.compile(r"\[([^\]]+)\]\(\.\./[^)]*\)")


def on_page_markdown(markdown: str, **_: object) -> str:
    """Called by MkDocs with the text of every page."""
    return _OUTSIDE.sub(r"\1", markdown)
