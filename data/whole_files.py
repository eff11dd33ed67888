"""Files that are whole or not there: written under another name, forced to the disk, renamed; by one process at a time."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from .errors import OptsgError, RunError


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yields the name to write to; what is there when the block ends well becomes ``path``.

    Raises:
        RunError: the file cannot be written (a full disk, no permission), or is a device or pipe, which a file must not take the
            place of; one that was there before is kept.
    """
    temporary = path.with_name(path.name + ".tmp")
    try:
        check_is_replaceable(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.unlink(missing_ok=True)
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise RunError(f"{path} cannot be written: {error.strerror or error}; an earlier one is kept") from error


def check_is_replaceable(path: Path) -> None:
    """Raises OSError for a device, pipe or socket, and for names of them such as ``/dev/stdout``: a renamed file would take its place."""
    is_other = path.exists() and not (path.is_file() or path.is_dir())
    if is_other or (path.is_symlink() and path.parent.resolve() == DEVICES):
        raise OSError(0, "it is no file but a pipe, socket or device")


DEVICES = Path("/dev")


def keep_owner_and_mode(path: Path, temporary: Path) -> None:
    """Gives what is to become ``path`` the owner and mode of the file that is there."""
    now = path.stat()
    with contextlib.suppress(PermissionError):  # only root gives files away
        os.chown(temporary, now.st_uid, now.st_gid)
    temporary.chmod(now.st_mode & 0o7777)


def write_text(path: Path, chunks: Iterable[str]) -> None:
    """Writes UTF-8 text; errors as :func:`whole_file`."""
    with whole_file(path) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(chunks)


def check_name(path: Path, error: type[OptsgError]) -> None:
    """Refuses ``.``, ``..`` and the like, beside which nothing can be named after them.

    Raises:
        error: it is one.
    """
    if path.name in ("", ".."):
        whole = Path(os.path.abspath(path))  # noqa: PTH100 (links stay)
        say = f"give it with its name, {whole}" if whole.name else "choose another name"
        raise error(f"{str(path)!r} has no name of its own; {say}")


def json_text(values: object, **form: Any) -> str:
    """JSON that UTF-8 can hold: half of a surrogate pair, of which names that are not UTF-8 are made (PEP 383), is an escape.

    Args:
        form: as ``json.dumps`` takes it.
    """
    return json.dumps(values, ensure_ascii=False, **form).encode("utf-8", "backslashreplace").decode("utf-8")


@contextmanager
def lock_out(
    out: Path,
    error: type[OptsgError],
    *,
    busy: str = "is being written by another process; wait until it has finished, or choose another --out",
) -> Iterator[None]:
    """Holds ``OUT.lock``; the system lets go of it whenever the process ends, however it ends.

    Args:
        out: what is written.
        error: what is raised.
        busy: what another process is doing with it, for people.

    Raises:
        error: another process holds it, or there can be no such file.
    """
    check_name(out, error)
    missing = [folder for folder in out.parents if not folder.exists()]
    try:
        check_is_replaceable(out)
        out.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(out.with_name(out.name + ".lock"))
        lock.acquire(timeout=0)
    except Timeout as held:
        raise error(f"{out} {busy}") from held
    except OSError as refused:
        reason = refused.strerror or refused
        raise error(f"{out} cannot be written: {reason}; what was finished before is kept") from refused
    try:
        yield
    finally:
        with contextlib.suppress(OSError):  # while it is still held: whoever waits for it notices and makes a new one
            Path(lock.lock_file).unlink()
        lock.release()
        with contextlib.suppress(OSError):  # folders made for the lock alone: what has something in it stays
            for folder in missing:
                folder.rmdir()
