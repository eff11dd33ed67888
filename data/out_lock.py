"""One writer at a time for one output: a feature store, a table of tags."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from .errors import OptsgError


@contextmanager
def lock_out(out: Path, error: type[OptsgError]) -> Iterator[None]:
    """Holds ``OUT.lock``; the system lets go of it whenever the process ends, however it ends.

    Raises:
        error: another process holds it, or there can be no such file.
    """
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(out.with_name(out.name + ".lock"))
        lock.acquire(timeout=0)
    except Timeout as held:
        raise error(
            f"{out} is being written by another process; wait until it has finished, or choose another --out"
        ) from held
    except OSError as refused:
        reason = refused.strerror or refused
        raise error(f"{out} cannot be written: {reason}; what was finished before is kept") from refused
    try:
        yield
    finally:
        with contextlib.suppress(OSError):  # while it is still held: whoever waits for it notices and makes a new one
            Path(lock.lock_file).unlink()
        lock.release()
