"""Runs a command and says what it cost: wall time, processor time and peak memory, its own and its children's.

Memory is each process's own high-water mark (``VmHWM``), read from ``/proc`` while it lives. ``ru_maxrss`` would not do: a
process started by a large one inherits that one's mark. Where there is no ``/proc``, the marks are 0.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

OPTSG_EXTRACT = Path(sys.executable).with_name("optsg-extract")
"""The command beside the Python that runs the benchmark."""

ITS_EXTRACT = "from optsg.extract.cli import main; main()"
"""``optsg-extract`` for ``python -c``: of whatever version is found first, installed or not."""

PROC = Path("/proc")
POLL_SECONDS = 0.05


@dataclass(frozen=True, kw_only=True)
class Usage:
    """What one command cost.

    Attributes:
        wall: seconds from start to end.
        cpu: processor seconds, user and system, of the command and all children it waited for.
        main_mib: peak resident memory of the command itself.
        main_anonymous_mib: the same without the pages of mapped files, as seen every 50 ms.
        largest_child_mib: peak of the process below it that had the highest.
        children: how many processes were seen below it.
        stdout: what it printed.
    """

    wall: float
    cpu: float
    main_mib: float
    main_anonymous_mib: float
    largest_child_mib: float
    children: int
    stdout: str

    def costs(self) -> dict[str, float]:
        """The numbers."""
        names = ("wall", "cpu", "main_mib", "main_anonymous_mib", "largest_child_mib", "children")
        return {name: float(getattr(self, name)) for name in names}


def available_processors() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class _Watch(threading.Thread):
    """Keeps the high-water marks of a process and of everything below it."""

    def __init__(self, pid: int):
        super().__init__(daemon=True)
        self._pid = pid
        self._stopped = threading.Event()
        self.marks: dict[int, float] = {}
        self.anonymous_mib = 0.0

    def run(self) -> None:
        while not self._stopped.wait(POLL_SECONDS):
            for pid in _with_descendants(self._pid):
                self.marks[pid] = max(self.marks.get(pid, 0.0), _memory_mib(pid, "VmHWM"))
            self.anonymous_mib = max(self.anonymous_mib, _memory_mib(self._pid, "RssAnon"))

    def stop(self) -> None:
        self._stopped.set()
        self.join()


def run_measured(
    command: Sequence[str | Path], *, environment: Mapping[str, str] | None = None, timeout: float = 3600.0
) -> Usage:
    """Runs ``command`` with some environment variables changed; its errors go where ours go.

    Raises:
        SystemExit: it failed, or took longer than ``timeout`` seconds (all its processes are ended then).
    """
    words = [str(word) for word in command]
    started = time.perf_counter()
    process = subprocess.Popen(  # noqa: S603
        words,
        env={**os.environ, **(environment or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    watch = _Watch(process.pid)
    watch.start()
    late = threading.Timer(timeout, lambda: os.killpg(process.pid, signal.SIGKILL))
    late.start()
    assert process.stdout is not None
    with process.stdout:
        printed = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)  # subprocess itself would throw the usage away
    wall = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    late.cancel()
    watch.stop()
    if process.returncode:
        raise SystemExit(f"exit code {process.returncode} after {wall:.0f} s of: {' '.join(words)}\n{printed[-2000:]}")
    main = watch.marks.pop(process.pid, 0.0)
    return Usage(
        wall=wall,
        cpu=usage.ru_utime + usage.ru_stime,
        main_mib=main,
        main_anonymous_mib=watch.anonymous_mib,
        largest_child_mib=max(watch.marks.values(), default=0.0),
        children=len(watch.marks),
        stdout=printed,
    )


def _with_descendants(pid: int) -> list[int]:
    found = [pid]
    for parent in found:  # grows while it is walked
        for task in (PROC / str(parent) / "task").glob("*"):
            found += [int(child) for child in _read(task / "children").split()]
    return found


def _memory_mib(pid: int, field: str) -> float:
    lines = [line for line in _read(PROC / str(pid) / "status").splitlines() if line.startswith(f"{field}:")]
    return int(lines[0].split()[1]) / 1024 if lines else 0.0


def _read(path: Path) -> str:
    """Text of a file of /proc, nothing once the process or thread has ended."""
    try:
        return path.read_text()
    except OSError:
        return ""
