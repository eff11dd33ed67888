"""A lock for each run, so that two runners on one folder share the grid and train nothing twice."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout


class RunBusy(Exception):  # noqa: N818 - it is no error: somebody else trains it
    """Another process holds the run."""


@contextmanager
def lock_run(folder: Path) -> Iterator[None]:
    """Holds a run folder; the system lets go of it whenever the process ends, however it ends.

    Raises:
        RunBusy: another process holds it.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder.with_name(f".{folder.name}.lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise RunBusy(folder.name) from error
    try:
        yield
    finally:
        lock.release()
