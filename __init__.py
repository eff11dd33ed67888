"""Order-prompted tag sequence generation for video tagging (OP-TSG, ICCV 2023).

``optsg.Tagger`` tags files from Python, ``optsg.OPTSG`` is the model. They are imported when they are first asked for:
``import optsg`` itself needs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .evaluate.tag.tagger import Embedding, Features, Tag, Tagger
    from .train.model.op_tsg import OPTSG

__version__ = "0.1.0"
__all__ = ["OPTSG", "Embedding", "Features", "Tag", "Tagger", "__version__"]


def __getattr__(name: str) -> object:
    if name in ("Embedding", "Features", "Tag", "Tagger"):
        from .evaluate.tag import tagger

        return getattr(tagger, name)
    if name == "OPTSG":
        from .train.model.op_tsg import OPTSG

        return OPTSG
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
