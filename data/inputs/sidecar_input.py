"""yt-dlp's ``NAME.info.json`` beside ``NAME.mp4``, and the same fields where video2dataset stores them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import InputError


def read_info(path: Path, name: str | Path) -> dict[str, Any]:
    """The whole of one ``.info.json``, called ``name`` in errors; :class:`InputError` if it cannot be read."""
    try:
        info = json.loads(path.read_bytes())
    except OSError as error:
        raise InputError(f"{name} cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{name} is not JSON ({error})") from error
    if not isinstance(info, dict):
        raise InputError(f"{name} is not a JSON object, which is what yt-dlp --write-info-json writes")
    return info


def read_sidecar(path: Path) -> dict[str, object]:
    """Columns out of one ``.info.json``; errors as :func:`read_info`."""
    info = read_info(path, path.name)
    return {"id": info.get("id"), **yt_dlp_columns(info)}


def yt_dlp_columns(info: Mapping[str, object]) -> dict[str, object]:
    """Title and tags of yt-dlp's information; its ``categories`` are no tags: the site chose them, not the uploader."""
    return {"title": info.get("title"), "tags": info.get("tags")}
