"""``no-shuffle``: OP-TSG whose prompts keep their natural order in training (Table 7, C)."""

from __future__ import annotations

from typing import ClassVar

from .op_tsg import PAPER_SETTINGS, OpTsg


class NoShuffle(OpTsg):
    """The decoder always sees the prompts in the order in which it will be asked to write."""

    settings: ClassVar[tuple[str, ...]] = ("shuffle=false", *PAPER_SETTINGS)
