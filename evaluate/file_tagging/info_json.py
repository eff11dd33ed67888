"""Tags written into ``NAME.info.json`` beside ``NAME.mp4``, under a key of their own.

``"optsg_tags": {"run": "small-1", "system": "op-tsg", "tags": [{"tag", "score", "novel", "prompt"}, …]}``. All other keys,
also yt-dlp's own ``tags``, stay as they are. A file that says the same already is not touched.
"""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import Any

from ...data.errors import InputError, RunError
from ...data.inputs.media_folder import SIDECAR_SUFFIX, media_kind
from ...data.inputs.sidecar_input import read_info
from ...data.media import VIDEO_SUFFIXES
from ...data.whole_files import whole_file
from ..prediction import json_line
from .tagged_file import TaggedFile

KEY = "optsg_tags"


def update_info_json(tagged: TaggedFile, *, run: str, system: str) -> bool:
    """Updates or makes the ``.info.json`` of a file; whether anything changed.

    It is replaced as a whole, and keeps owner and mode. A file that could not be tagged, one without a place of its own,
    and a picture beside a video of the same name, its thumbnail, change nothing.

    Raises:
        InputError: what is there is not a JSON object, or cannot be read or replaced; it is left as it is.
    """
    if tagged.error is not None or tagged.sidecar is None or _is_thumbnail(tagged.path, tagged.sidecar):
        return False
    path = tagged.sidecar.resolve()  # a link stays one
    info = _read(path, tagged.sidecar)
    value = json.loads(json_line({"run": run, "system": system, "tags": tagged.rows()}))
    if info.get(KEY) == value:
        return False
    text = json.dumps({**info, KEY: value}) + "\n"
    try:
        with whole_file(path) as temporary:
            temporary.write_text(text, encoding="utf-8", newline="\n")
            if path.exists():
                _keep_owner_and_mode(path, temporary)
    except RunError as error:
        raise InputError(str(error)) from error
    return True


def _read(path: Path, name: Path) -> dict[str, Any]:
    try:
        return read_info(path, name)
    except InputError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            return {}
        raise InputError(f"{error}; it was left as it is") from error


def _is_thumbnail(path: str, sidecar: Path) -> bool:
    stem = sidecar.name.removesuffix(SIDECAR_SUFFIX)
    return media_kind(path) == "image" and any(sidecar.with_name(stem + end).exists() for end in VIDEO_SUFFIXES)


def _keep_owner_and_mode(path: Path, temporary: Path) -> None:
    now = path.stat()
    with contextlib.suppress(PermissionError):  # only root gives files away
        os.chown(temporary, now.st_uid, now.st_gid)
    temporary.chmod(now.st_mode & 0o7777)
