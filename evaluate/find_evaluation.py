"""Which evaluation of a run a command reads."""

from __future__ import annotations

from pathlib import Path

from ..data.errors import RunError


def find_evaluation(run: Path, name: str) -> Path:
    """The folder ``run/eval/name``.

    Args:
        name: a split, or what ``optsg-eval`` named the folder after its options.

    Raises:
        RunError: the run was not evaluated so.
    """
    folder = run / "eval" / name
    if folder.is_dir():
        return folder
    others = sorted(path.name for path in folder.parent.iterdir()) if folder.parent.is_dir() else []
    known = f"; it has {', '.join(others)}" if others else ""
    raise RunError(
        f"{run} has no evaluation {name!r}{known}; make it with: optsg-eval --run {run} --split {name.split('-')[0]}"
    )
