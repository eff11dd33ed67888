"""yt-dlp's ``NAME.info.json`` beside ``NAME.mp4``, and the same fields where video2dataset stores them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from ..errors import InputError


def read_sidecar(path: Path) -> dict[str, object]:
    """Columns out of one ``.info.json``; :class:`InputError` if it cannot be read."""
    try:
        info = json.loads(path.read_bytes())
    except OSError as error:
        raise InputError(f"{path.name} cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path.name} is not JSON ({error})") from error
    if not isinstance(info, dict):
        raise InputError(f"{path.name} is not a JSON object, which is what yt-dlp --write-info-json writes")
    return {"id": info.get("id"), **yt_dlp_columns(info)}


def yt_dlp_columns(info: Mapping[str, object]) -> dict[str, object]:
    """Title and tags of yt-dlp's information; its ``categories`` are no tags: the site chose them, not the uploader."""
    return {"title": info.get("title"), "tags": info.get("tags")}
