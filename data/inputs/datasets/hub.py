"""Data sets of the Hugging Face hub, by their names: their files, and never a script that would load them."""

from __future__ import annotations

import re
from pathlib import Path

from ...errors import InputError, reason_of

_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[\w.-]{1,96}", re.ASCII)


def is_hub_name(path: Path) -> bool:
    """Whether something that is not there looks like ``OWNER/NAME``; in a folder that is there, it is a path that was mistyped."""
    return _NAME.fullmatch(path.as_posix()) is not None and not path.parent.exists() and path.suffix.lower() != ".tar"


def fetch_dataset(name: str) -> Path:
    """The folder with a data set's files, downloaded where they are not kept from an earlier time.

    Raises:
        InputError: it is not there, or out of reach.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, repo_type="dataset"))
    except (HFValidationError, HfHubHTTPError, LocalEntryNotFoundError, OSError, ValueError) as error:
        raise InputError(
            f"{name} is neither a file or folder here nor a data set within reach of the Hugging Face hub "
            f"({type(error).__name__}: {reason_of(error)}); where there is a network, hf download {name} --repo-type dataset "
            "--local-dir FOLDER fetches it: give that folder"
        ) from error
