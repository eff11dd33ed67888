"""The proposals as a page in which a person accepts and refuses them; it opens from disk, and gives the CSV back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from ... import __version__
from ...data.vocabulary.proposal import COLUMNS, KINDS, NO, YES, Proposal, csv_line
from ..report.page import render_page
from .summary import MEANINGS

PAGES = Path(__file__).with_name("pages")


def proposals_page(proposals: Sequence[Proposal], *, source: str, tags: int) -> str:
    """A whole HTML document that fetches nothing.

    Args:
        source: name of the store or run.
        tags: that it has.
    """
    counts = Counter(proposal.kind for proposal in proposals)
    return render_page(
        "proposals.html",
        folder=PAGES,
        styles=("report.css", PAGES / "proposals.css"),
        script=PAGES / "proposals.js",
        source=source,
        tags=tags,
        kinds=[(kind, MEANINGS[kind], counts[kind]) for kind in KINDS if counts[kind]],
        proposals=[(proposal, csv_line(proposal.cells()).rstrip("\n")) for proposal in proposals],
        heading=csv_line(COLUMNS).rstrip("\n"),
        answers=(YES, NO),
        version=__version__,
    )
