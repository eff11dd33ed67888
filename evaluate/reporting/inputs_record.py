"""Where the stills of a report come from, kept beside the evaluation: ``inputs.json``."""

from __future__ import annotations

import json
from pathlib import Path

from ...data.errors import RunError
from ...data.whole_files import write_text
from ..prediction import json_line

INPUTS = "inputs.json"


def remember_inputs(folder: Path, inputs: Path | None) -> None:
    """Keeps the folder that was extracted in an evaluation's folder, or that there is none; errors as :func:`write_text`."""
    if inputs is None:
        (folder / INPUTS).unlink(missing_ok=True)
    else:
        write_text(folder / INPUTS, [json_line({"inputs": str(inputs.resolve())}), "\n"])


def remembered_inputs(folder: Path) -> Path | None:
    """What :func:`remember_inputs` kept.

    Raises:
        RunError: the file cannot be read.
    """
    path = folder / INPUTS
    if not path.is_file():
        return None
    try:
        return Path(json.loads(path.read_text(encoding="utf-8"))["inputs"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(f"{path} cannot be read ({error}); name the folder again with --inputs DIR") from error
