"""Which run folder a command uses."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..data.errors import RunError

LATEST_RUN = Path("runs") / "latest"


BY_OPTION = "with --run DIR"
"""How most commands are told which run to use."""


def find_runs(runs: Sequence[Path], *, named: str = BY_OPTION) -> tuple[Path, ...]:
    """The run folders to use: the given ones, or what ``runs/latest`` points at; ``named`` as in :func:`find_run`.

    Raises:
        RunError: one of them is not there, or is given twice.
    """
    found = tuple(find_run(run, named=named) for run in runs or (None,))
    seen: set[Path] = set()
    for folder in found:
        if folder.resolve() in seen:
            raise RunError(f"{folder} is given twice; name every run once")
        seen.add(folder.resolve())
    return found


def find_run(run: Path | None, *, named: str = BY_OPTION) -> Path:
    """The run folder to use: the given one, or what ``runs/latest`` points at.

    Args:
        named: how a run is named on the command line, for messages.

    Raises:
        RunError: there is no such folder.
    """
    if run is not None:
        if not run.is_dir():
            raise RunError(f"there is no run folder at {run}; runs are made by optsg-train and lie in runs/")
        return run
    target = LATEST_RUN.parent / LATEST_RUN.readlink() if LATEST_RUN.is_symlink() else LATEST_RUN
    if target.is_dir():
        return target
    if target != LATEST_RUN:
        raise RunError(f"{LATEST_RUN} points at {target}, which is not there any more; say which run {named}")
    raise RunError(f"there is no {LATEST_RUN} in this folder; train a run with optsg-train or name one {named}")
