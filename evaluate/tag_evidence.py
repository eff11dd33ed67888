"""Evidence of a tag for people: seconds of the video and words of the title, in place of numbers of frames and tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..data.title_tokenizer import TitleTokenizer
from ..train.evidence import TagEvidence


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What a tag rests on.

    Attributes:
        frames: (seconds from the start, share of the evidence) of every frame that the model saw, in their order; the
            shares sum to 1, or are all 0. Empty for an image, and where the model does not look.
        words: (word, share) of every word of the title that the model read, likewise.
    """

    frames: tuple[tuple[float, float], ...]
    words: tuple[tuple[str, float], ...]

    @property
    def second(self) -> float | None:
        """Time of the frame with the largest share; ``None`` where no frame has any."""
        best = max(self.frames, key=lambda frame: frame[1], default=(0.0, 0.0))
        return best[0] if best[1] > 0 else None

    @property
    def word(self) -> str | None:
        """The word with the largest share; ``None`` where no word has any."""
        best = max(self.words, key=lambda word: word[1], default=("", 0.0))
        return best[0] if best[1] > 0 else None

    def to_json(self) -> dict[str, Any]:
        """``{"frames": [[second, share], …], "words": [[word, share], …]}``, shares rounded to a thousandth."""
        return {
            "frames": [[round(second, 3), round(share, 3)] for second, share in self.frames],
            "words": [[word, round(share, 3)] for word, share in self.words],
        }


def evidence_for_people(
    found: TagEvidence, *, times: Sequence[float], title: str, tokenizer: TitleTokenizer
) -> Evidence:
    """Puts times to frames and words to tokens; a word has the shares of its pieces together, special tokens none.

    Args:
        times: seconds of the video's frames; none for an image, whose evidence is of patches.
    """
    words: dict[tuple[int, int], float] = {}
    for span, share in zip(tokenizer.title_words(title), found.tokens, strict=False):
        if span is not None:
            words[span] = words.get(span, 0.0) + share
    total = sum(words.values()) or 1.0
    return Evidence(
        frames=tuple(zip(times, found.visual, strict=True)) if len(times) and found.visual else (),
        words=tuple((title[start:end], share / total) for (start, end), share in words.items()),
    )
