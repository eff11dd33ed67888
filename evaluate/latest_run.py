"""Which run folder a command uses."""

from __future__ import annotations

from pathlib import Path

from ..data.errors import RunError

LATEST_RUN = Path("runs") / "latest"


def find_run(run: Path | None) -> Path:
    """The run folder to use: the given one, or what ``runs/latest`` points at.

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
        raise RunError(f"{LATEST_RUN} points at {target}, which is not there any more; say which run with --run DIR")
    raise RunError(f"there is no {LATEST_RUN} in this folder; train a run with optsg-train or name one with --run DIR")
