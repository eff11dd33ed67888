"""Order-prompted tag sequence generation for video tagging (OP-TSG, ICCV 2023).

``optsg.Tagger`` tags files from Python. It is imported when it is first asked for: ``import optsg`` itself needs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .evaluate.tag.tagger import Tag, Tagger

__version__ = "0.1.0"
__all__ = ["Tag", "Tagger", "__version__"]


def __getattr__(name: str) -> object:
    if name in ("Tag", "Tagger"):
        from .evaluate.tag import tagger

        return getattr(tagger, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
