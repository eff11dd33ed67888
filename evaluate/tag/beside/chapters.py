"""``--sidecar vtt``: when tags hold in a video as chapters of WebVTT, ``NAME.chapters.vtt``, which players show along the time line.

Legend: a cue is a time span with a text, here the tags that hold from its start to its end.
"""

from __future__ import annotations

from itertools import pairwise

from ....data.errors import InputError
from ....data.sidecars.text import text_of
from ..tagged_file import TaggedFile

SUFFIX = ".chapters.vtt"

HEAD = "WEBVTT\n\nNOTE Tags by optsg-tag\n"
"""What a file begins with; any other was written by somebody else."""


def chapters(old: bytes | None, tagged: TaggedFile) -> bytes:
    """The file with the segments of these tags, whole: one cue for each span in which the same tags hold.

    Args:
        old: what is there; ``None`` where nothing is.

    Raises:
        InputError: it is not what this wrote before.
    """
    if old is not None and not text_of(old).startswith(HEAD):
        raise InputError("it holds chapters or subtitles that optsg-tag did not write")
    segments = [(one, tag.text) for tag, own in zip(tagged.tags, tagged.segments, strict=False) for one in own]
    bounds = sorted({second for one, _ in segments for second in (one.start, one.end)})
    cues: list[tuple[float, float, list[str]]] = []
    for start, end in pairwise(bounds):
        texts = [text for one, text in segments if one.start <= start and end <= one.end]
        if texts and cues and cues[-1][1:] == (start, texts):
            cues[-1] = (cues[-1][0], end, texts)
        elif texts:
            cues.append((start, end, texts))
    return "".join([HEAD, *(_cue(*cue) for cue in cues)]).encode("utf-8")


def _cue(start: float, end: float, texts: list[str]) -> str:
    return f"\n{_clock(start)} --> {_clock(end)}\n{_escaped(', '.join(texts))}\n"


def _clock(seconds: float) -> str:
    """``HH:MM:SS.mmm``."""
    milliseconds = round(1000 * seconds)
    minutes, rest = divmod(milliseconds, 60_000)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02d}:{minutes:02d}:{rest // 1000:02d}.{rest % 1000:03d}"


def _escaped(text: str) -> str:
    """A text in which WebVTT sees no markup, and no arrow of times."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
