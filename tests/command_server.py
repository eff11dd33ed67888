"""Processes that have done all imports and fork for every command: a start in milliseconds, killed like any other."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parent.parent


@contextlib.contextmanager
def open_server(module: str, folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A module that reads jobs from its standard input, a line each, with ``folder`` as its current folder."""
    with subprocess.Popen(
        [sys.executable, "-m", module],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield process
        assert process.stdin is not None
        process.stdin.close()


def end_with(command: Callable[[], int], output: str) -> NoReturn:
    """In a fork: runs a command with its output in a file and ends the process with its exit code."""
    file = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    os.dup2(file, 1)
    os.dup2(file, 2)
    code = command()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
