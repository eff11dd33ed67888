"""What a tag rests on, in a video's card: title words and a strip of frames, shaded by their share of the evidence.

The panel shows one tag's evidence; the page's script shows another's when that tag is pointed at, focused or pressed.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence

from ..prediction import ItemPrediction
from ..report_markup import Html, element
from ..tag_evidence import Evidence


def shares(evidence: Evidence) -> dict[str, str]:
    """Attributes of a tag's button that the script reads: shares in percent."""
    return {
        "data_frames": " ".join(f"{100 * share:.0f}" for _, share in evidence.frames),
        "data_words": " ".join(f"{100 * share:.0f}" for _, share in evidence.words),
    }


def evidence_panel(item: ItemPrediction, evidence: Evidence, stills: Sequence[bytes]) -> Html:
    """The panel with the evidence of the video's first tag.

    Args:
        evidence: of the first tag; every tag has the same frames and words.
        stills: a JPEG of each frame, or none.
    """
    frames = evidence.frames
    pictures = stills if len(stills) == len(frames) else [b""] * len(frames)
    parts = [element("h5", "What ", element("b", item.tags[0].text, class_="evidence-of", dir="auto"), " rests on")]
    if evidence.words:
        strongest = max(share for _, share in evidence.words)
        words = (
            element("span", word, class_="word", style=_style(share, strongest), dir="auto")
            for word, share in evidence.words
        )
        parts.append(element("p", *words, class_="words"))
    if frames:
        strongest = max(share for _, share in frames)
        cells = (
            _frame(second, share, _style(share, strongest), picture)
            for (second, share), picture in zip(frames, pictures, strict=True)
        )
        parts.append(element("ol", *cells, class_="strip"))
    return element("div", *parts, class_="evidence")


def _style(share: float, strongest: float) -> str:
    """The share in percent, and how it compares with the strongest one, from 0 to 1: what shading follows."""
    return f"--share:{100 * share:.0f};--strength:{share / strongest if strongest else 0:.2f}"


def _frame(second: float, share: float, style: str, jpeg: bytes) -> Html:
    source = "data:image/jpeg;base64," + base64.b64encode(jpeg).decode("ascii")
    picture = element("img", src=source, alt="") if jpeg else element("span", class_="cell")
    return element(
        "li",
        picture,
        element("i", aria_hidden="true"),
        element("time", clock(second)),
        element("span", f"{100 * share:.0f} %", class_="share"),
        style=style,
    )


def clock(second: float) -> str:
    """Minutes and seconds, 1:05."""
    whole = int(second + 0.5)
    return f"{whole // 60}:{whole % 60:02}"
