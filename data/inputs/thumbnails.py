"""Pictures that stand for a video: what yt-dlp and media libraries put beside it. They are no inputs of their own.

``X.jpg`` and ``X.mp4.jpg`` beside ``X.mp4``; with an ``X.info.json`` also ``X.0.jpg``, which is how yt-dlp names all thumbnails.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable

from ..media import MediaKind
from .files_by_stem import PathList
from .relative_paths import without_suffix

KindOf = Callable[[str], MediaKind | None]


def part_thumbnails(media: PathList, has_sidecar: Callable[[str], bool], kind_of: KindOf) -> tuple[PathList, PathList]:
    """Sorted videos and pictures as those that are inputs, and the thumbnails among them; both sorted.

    Args:
        media: paths.
        has_sidecar: whether there is a ``.info.json`` for a path without its suffix.
        kind_of: kind of a path.
    """
    if not any(kind_of(path) == "video" for path in media):
        return media, PathList()
    inputs, thumbnails = PathList(), PathList()
    for path in media:
        is_thumbnail = kind_of(path) == "image" and _has_video(media, path, has_sidecar, kind_of)
        (thumbnails if is_thumbnail else inputs).append(path)
    return inputs, thumbnails


def _has_video(media: PathList, path: str, has_sidecar: Callable[[str], bool], kind_of: KindOf) -> bool:
    base = without_suffix(path)
    if kind_of(base) == "video" and _first_from(media, base) == base:
        return True
    shorter = without_suffix(base)
    bases = [base, shorter] if shorter != base and has_sidecar(shorter) else [base]
    return any(_video_of(media, one, kind_of) for one in bases)


def _video_of(media: PathList, base: str, kind_of: KindOf) -> bool:
    """Whether there is a video called ``base`` and a suffix; such names follow each other among sorted ones."""
    start = base + "."
    for number in range(_position(media, start), len(media)):
        name = media[number]
        if not name.startswith(start):
            return False
        if kind_of(name) == "video" and without_suffix(name) == base:
            return True
    return False


def _position(media: PathList, path: str) -> int:
    return bisect_left(media, path)


def _first_from(media: PathList, path: str) -> str | None:
    position = _position(media, path)
    return media[position] if position < len(media) else None
