"""Trainings in processes of their own, which a test may kill, and several of which may train together."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from optsg.train.loop.saved_states import state_files
from safetensors.torch import load_file

from tests.command_server import open_server
from tests.tiny_world import read_log


@dataclass
class Trainings:
    """The process that starts trainings (:mod:`tests.train.training_server`)."""

    process: subprocess.Popen[str]
    folder: Path

    def run(
        self,
        *arguments: str,
        processes: int = 1,
        after: float | None = None,
        number: int = signal.SIGKILL,
        to: int = 0,
        once: Path | None = None,
    ) -> tuple[list[int], float]:
        """One training: exit codes (−9 when a kill came before the end) and seconds.

        Args:
            processes: that train together.
            after: seconds until the signal ``number`` to process ``to``; from when ``once`` has a state, where that is
                a run.
        """
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        started = time.monotonic()
        self.process.stdin.write(json.dumps({"arguments": arguments, "processes": processes}) + "\n")
        self.process.stdin.flush()
        children = json.loads(self.process.stdout.readline())
        while once is not None and not state_files(once):
            assert not select.select([self.process.stdout], [], [], 0.05)[0], "it ended before its first state"
        if after is not None and not select.select([self.process.stdout], [], [], after)[0]:
            with contextlib.suppress(ProcessLookupError):  # it has just ended by itself
                os.kill(children[to], number)
        return json.loads(self.process.stdout.readline()), time.monotonic() - started


@contextlib.contextmanager
def open_trainings(folder: Path) -> Iterator[Trainings]:
    """Trainings whose current folder is ``folder``."""
    with open_server("tests.train.training_server", folder) as process:
        yield Trainings(process, folder)


def assert_same_run(one: Path, other: Path) -> None:
    """Same weights to the last bit, same decision, same log: both computed the same shapes in the same order, on one machine."""
    weights, others = (load_file(run / "model.safetensors") for run in (one, other))
    assert weights.keys() == others.keys()
    assert all(torch.equal(weights[name], others[name]) for name in weights)
    assert (one / "decision.json").read_text() == (other / "decision.json").read_text()
    events = [[{**event, "seconds": 0} for event in read_log(run)] for run in (one, other)]
    assert events[0] == events[1]
