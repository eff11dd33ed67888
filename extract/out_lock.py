"""One extraction at a time for one output."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from ..data.errors import StoreError
from ..data.store.files import write_errors


@contextmanager
def lock_out(out: Path) -> Iterator[None]:
    """Holds ``OUT.lock``; the system lets go of it whenever the process ends, however it ends.

    Raises:
        StoreError: another process holds it.
        StoreWriteError: there can be no such file.
    """
    with write_errors(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(out.with_name(out.name + ".lock"))
        try:
            lock.acquire(timeout=0)
        except Timeout as error:
            raise StoreError(
                f"{out} is being written by another process; wait until it has finished, or choose another --out"
            ) from error
    try:
        yield
    finally:
        with contextlib.suppress(OSError):  # while it is still held: whoever waits for it notices and makes a new one
            Path(lock.lock_file).unlink()
        lock.release()
