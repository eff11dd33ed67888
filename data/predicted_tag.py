"""A predicted tag: the contract between the systems that predict and everything that scores, shows or writes tags."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class PredictedTag:
    """One tag of one video.

    Attributes:
        text: the tag in its own spelling if it is known, put together from word pieces if it is novel.
        score: confidence in [0, 1]; 1 for a pinned tag.
        novel: not a tag of the training split.
        prompt: number of the order prompt that wrote it; ``None`` in a system without prompts.
        pinned: it was given, not predicted.
        written: what the model wrote where that has another name, an alias or a tag whose place an allowed one took.
        distance: in the latter case, 1 − cosine of the two tags' embeddings.
    """

    text: str
    score: float
    novel: bool
    prompt: int | None = None
    pinned: bool = False
    written: str | None = None
    distance: float | None = None
