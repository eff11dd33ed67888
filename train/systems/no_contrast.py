"""``no-contrast``: OP-TSG without the contrastive loss L_cl (Table 7, E)."""

from __future__ import annotations

from typing import ClassVar

from .op_tsg import PAPER_SETTINGS, OpTsg


class NoContrast(OpTsg):
    """Prompts are still matched to tags by their cosines, but only the generation loss teaches them."""

    settings: ClassVar[tuple[str, ...]] = ("contrastive=false", *PAPER_SETTINGS)
