"""How far a run of the grid has come, as its folder tells."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from ...data.errors import ConfigError, RunError
from ...train.config import RunConfig
from ...train.loop.saved_states import read_progress
from ...train.run.plan import differences
from ...train.run_files import CONFIG
from .plan import PlannedRun

State = Literal["missing", "begun", "interrupted", "trained", "finished"]
"""Not there; there without a saved state; training can go on; only evaluation is missing; all is done."""


def run_state(run: PlannedRun, runs: Path, splits: Sequence[str]) -> State:
    """How far the run is.

    Args:
        runs: the folder of all runs.
        splits: those that it is evaluated on.

    Raises:
        RunError: the folder holds a run of another configuration, or is damaged.
    """
    folder = runs / run.name
    if not (folder / CONFIG).is_file():
        return "missing"
    _check_configuration(run, folder)
    progress = read_progress(folder)
    if progress is None:
        return "begun"
    if not progress.finished:
        return "interrupted"
    done = all((folder / "eval" / split / "metrics.json").is_file() for split in splits)
    return "finished" if done else "trained"


def _check_configuration(run: PlannedRun, folder: Path) -> None:
    try:
        found = RunConfig.from_json((folder / CONFIG).read_text(encoding="utf-8"))
    except ConfigError as error:
        raise RunError(f"{folder / CONFIG}: {error}; remove the folder, or choose another --out") from error
    different = differences(found, run.config)
    if different:
        name, have, want = different[0]
        more = f" (and {len(different) - 1} more)" if len(different) > 1 else ""
        raise RunError(
            f"{folder} was trained with {name}={have}, the grid wants {name}={want}{more}; "
            "remove the folder, or choose another --out"
        )
