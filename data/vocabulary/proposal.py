"""A change of a vocabulary that is proposed, and the CSV in which a person accepts or refuses it."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal, get_args

from ..foreign.csv_cells import as_cell

Kind = Literal["spelling", "alias", "parent", "one-off"]

KINDS: tuple[Kind, ...] = get_args(Kind)

COLUMNS = ("kind", "tag", "into", "score", "evidence", "count_tag", "count_into", "accept")

YES, NO = "yes", "no"
"""What a person writes into the column ``accept``."""


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """One change.

    Attributes:
        kind: ``spelling`` and ``alias`` make ``tag`` another name of ``into``; ``one-off`` takes ``tag`` away; ``parent`` gives
            ``into`` to every video that has ``tag``.
        tag, into: spellings; a one-off tag has no ``into``.
        score: from 0 to 1, how much speaks for it.
        evidence: what speaks for it, for people.
        count_tag, count_into: videos that have them.
    """

    kind: Kind
    tag: str
    into: str
    score: float
    evidence: str
    count_tag: int
    count_into: int

    def cells(self) -> tuple[str, ...]:
        """Its row of the CSV, less the column ``accept``."""
        texts = (self.kind, as_cell(self.tag), as_cell(self.into), f"{self.score:.3f}", as_cell(self.evidence))
        return (*texts, str(self.count_tag), str(self.count_into) if self.into else "")


def csv_lines(proposals: Iterable[Proposal]) -> Iterator[str]:
    """The CSV, headings first; nothing is accepted yet."""
    yield csv_line(COLUMNS)
    for proposal in proposals:
        yield csv_line((*proposal.cells(), ""))


def csv_line(cells: Iterable[str]) -> str:
    """One line with its end."""
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerow(cells)
    return buffer.getvalue()
