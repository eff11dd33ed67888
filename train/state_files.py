"""The files of a training's saved states: the last few, each whole by itself, each with the digest of its bytes.

``state/step-N.safetensors`` holds the tensors and, in its header, how far training had come; ``step-N.safetensors.sha256``
is what ``sha256sum -c`` reads. Nothing points at them: the state of most steps is the newest, and where it is damaged, the
one before it is as good. Earlier versions wrote no digest, and ``progress.json`` beside their one state.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError, safe_open
from torch import Tensor

from ..data.store.digests import file_digest
from .tensor_files import save_tensors

STATE_FOLDER = "state"
PROGRESS = "progress.json"
"""What a finished training leaves of its states."""

_PATTERN = "step-*.safetensors"
_KEY = "progress"


class StateDamaged(Exception):  # noqa: N818 - a finding, told to people as a warning
    """A state file is not what was written; the message says why."""


def state_files(run: Path) -> list[Path]:
    """The states of a run, newest first."""
    return sorted((run / STATE_FOLDER).glob(_PATTERN), reverse=True)


def write_state(run: Path, step: int, progress: str, tensors: Mapping[str, Tensor], *, keep: int) -> None:
    """Writes a state and removes all but the newest ``keep``; those of later steps are of a future that was given up.

    Raises:
        RunError: it cannot be written; earlier ones are kept.
    """
    path = run / STATE_FOLDER / f"step-{step:09d}.safetensors"
    save_tensors(path, tensors, metadata={_KEY: progress}, digest=_digest_file(path))
    for later in [state for state in state_files(run) if state.name > path.name]:
        _remove(later)
    remove_states(run, keep=keep)
    (run / STATE_FOLDER / PROGRESS).unlink(missing_ok=True)


def remove_states(run: Path, *, keep: int = 0) -> None:
    """Removes all states but the newest ``keep``, and what interrupted writing left."""
    states = state_files(run)
    for old in states[keep:]:
        _remove(old)
    kept = {name for state in states[:keep] for name in (state.name, _digest_file(state).name)}
    for other in (run / STATE_FOLDER).glob(f"{_PATTERN}*"):
        if other.name not in kept:
            other.unlink(missing_ok=True)


def state_progress(state: Path) -> str:
    """The text that :func:`write_state` was given; only the file's header is read.

    Raises:
        StateDamaged: there is none.
    """
    try:
        with safe_open(state, framework="pt") as file:
            metadata = file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise StateDamaged(str(error).splitlines()[0]) from error
    if _KEY in metadata:
        return str(metadata[_KEY])
    return _earlier_progress(state)


def check_digest(state: Path) -> None:
    """Compares a state's bytes with its digest.

    Raises:
        StateDamaged: they differ, or the file cannot be read.
    """
    try:
        recorded = _digest_file(state).read_text(encoding="utf-8").split()[:1]
        if recorded != [file_digest(state)]:
            raise StateDamaged("its SHA-256 is not the recorded one")
    except FileNotFoundError as error:
        if not _is_earlier(state):
            raise StateDamaged("its digest is missing") from error
    except (OSError, UnicodeDecodeError) as error:
        raise StateDamaged(str(error)) from error


def _digest_file(state: Path) -> Path:
    return state.with_name(state.name + ".sha256")


def _remove(state: Path) -> None:
    state.unlink(missing_ok=True)
    _digest_file(state).unlink(missing_ok=True)


def _is_earlier(state: Path) -> bool:
    try:
        _earlier_progress(state)
    except StateDamaged:
        return False
    return True


def _earlier_progress(state: Path) -> str:
    """What earlier versions wrote into a file of its own, for the one state that there was."""
    try:
        text = (state.parent / PROGRESS).read_text(encoding="utf-8")
        if json.loads(text)["tensors"] == state.name:
            return text
    except (OSError, ValueError, KeyError, TypeError):
        pass
    raise StateDamaged("it does not say how far training had come")
