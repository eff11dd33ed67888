"""Tags written into ``NAME.info.json`` beside ``NAME.mp4``, under a key of their own.

``"optsg_tags": {"run": "small-1", "system": "op-tsg", "tags": [{"tag", "score", "novel", "prompt"}, …]}``. All other keys,
also yt-dlp's own ``tags``, stay as they are. A file that says the same already is not touched.
"""

from __future__ import annotations

import json
from typing import Any

from ...data.errors import InputError, RunError
from ...data.whole_files import write_text
from ..prediction import json_line
from .tagged_file import TaggedFile

KEY = "optsg_tags"


def write_info_json(tagged: TaggedFile, *, run: str, system: str) -> bool:
    """Updates or makes the ``.info.json`` of a file; whether anything changed.

    Raises:
        InputError: what is there is not a JSON object; it is left as it is.
        RunError: it cannot be written; an earlier one is kept.
    """
    assert tagged.sidecar is not None
    path = tagged.sidecar.resolve()  # a link stays one
    info: dict[str, Any] = {}
    if path.exists():
        try:
            read = json.loads(path.read_bytes())
        except OSError as error:
            raise RunError(f"{tagged.sidecar} cannot be read: {error.strerror}") from error
        except (ValueError, RecursionError) as error:
            raise InputError(f"{tagged.sidecar} is not JSON ({error}) and was left as it is") from error
        if not isinstance(read, dict):
            raise InputError(f"{tagged.sidecar} is not a JSON object and was left as it is")
        info = read
    value = json.loads(json_line({"run": run, "system": system, "tags": tagged.rows()}))
    if info.get(KEY) == value:
        return False
    write_text(path, [json.dumps({**info, KEY: value}), "\n"])
    return True
