"""The proposals in a terminal: how many of each kind, and the best of them."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ...data.vocabulary.proposal import KINDS, Kind, Proposal

MEANINGS: dict[Kind, str] = {
    "spelling": "written alike: one tag",
    "alias": "used alike: one tag",
    "parent": "stands where the other does: under it",
    "one-off": "used once, close to nothing: away",
}
"""What each kind proposes."""


def print_summary(proposals: Sequence[Proposal], *, tags: int, shown: int) -> None:
    """Prints a table for each kind that there is.

    Args:
        tags: of the store.
        shown: proposals of a kind.
    """
    console = Console()
    if not proposals:
        console.print(Text(f"nothing to propose for {tags:,} tags"))
    for kind in KINDS:
        found = [proposal for proposal in proposals if proposal.kind == kind]
        if found:
            console.print(Text(f"{kind} ({MEANINGS[kind]}): {len(found):,} of {tags:,} tags"))
        if found and shown:
            console.print(_table(found[:shown]))


def _table(proposals: Sequence[Proposal]) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    for name in ("tag", "into"):
        table.add_column(name, overflow="fold")
    table.add_column("score", justify="right")
    table.add_column("evidence", overflow="fold")
    for one in proposals:
        into = f"{one.into} ({one.count_into:,})" if one.into else ""
        table.add_row(Text(f"{one.tag} ({one.count_tag:,})"), Text(into), Text(f"{one.score:.2f}"), Text(one.evidence))
    return table
