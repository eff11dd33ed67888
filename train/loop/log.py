"""The training log: ``log.jsonl`` for programs, TensorBoard for eyes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from torch.utils.tensorboard import SummaryWriter

from ...data.foreign.json_reader import JSON_DAMAGE, check_is_file, parse_json
from ...data.whole_files import write_text
from ..run_files import LOG, write_errors


class TrainingLog:
    """Appends events of a run.

    Args:
        run: the run folder; ``None`` in the processes that write nothing.
        keep_epochs: on resumption, the number of finished epochs: events of later ones are dropped, they come again.
        keep_steps: the number of steps of those epochs.
    """

    def __init__(self, run: Path | None, *, keep_epochs: int | None = None, keep_steps: int = 0):
        self._path = None if run is None else run / LOG
        if run is None or self._path is None:
            return
        with write_errors(self._path):
            lines = _lines(self._path)
        if keep_epochs is not None and lines:
            write_text(self._path, (line + "\n" for line in lines if _is_kept(line, keep_epochs)))
        purge = None if keep_epochs is None else keep_steps + 1
        with write_errors(run / "tensorboard"):
            self._board: Any = SummaryWriter(run / "tensorboard", purge_step=purge)

    def write(self, event: str, step: int, **values: Any) -> None:
        """One line; numbers also become TensorBoard scalars ``event/name``.

        Raises:
            RunError: the line cannot be written.
        """
        if self._path is None:
            return
        with write_errors(self._path), self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"event": event, "step": step, **values}, ensure_ascii=False) + "\n")
        for name, value in values.items():
            if isinstance(value, (int, float)) and name != "epoch":
                self._board.add_scalar(f"{event}/{name}", value, step)

    def close(self) -> None:
        """Closes TensorBoard's events; ``log.jsonl`` is closed after every line."""
        if self._path is not None:
            self._board.close()


def _lines(path: Path) -> list[str]:
    if not path.exists():
        return []
    check_is_file(path)
    return path.read_text(encoding="utf-8", errors="replace").splitlines()


def _is_kept(line: str, epochs: int) -> bool:
    try:
        return int(parse_json(line, finite=False)["epoch"]) <= epochs
    except JSON_DAMAGE:
        return False  # a line cut off by the interruption
