"""Files and folders of a feature store on the disk: whole or not there, read-only, and replaced without a gap.

A file is replaced by one rename. A folder takes two: ``NAME`` → ``NAME.replaced``, ``NAME.tmp`` → ``NAME``. A process
killed between them leaves the old store, whole, under ``NAME.replaced``; :func:`recover_store` gives it its name back.
Where ``NAME`` is a link to a folder, perhaps on another disk, all this is done where it leads (:func:`place_of`).
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

from ..errors import StoreWriteError
from ..whole_files import lock_out

READ_ONLY = 0o444
"""What a file's mode keeps of what the umask left it."""
TABLES_NAME = "tables.h5"
INDEX_NAME = "index.json"
_OWN_NAMES = re.compile(rf"(shard-\d+\.tar|{re.escape(TABLES_NAME)}|{re.escape(INDEX_NAME)})(\.tmp)?")


def is_file_name(path: Path) -> bool:
    """Whether a store of this name is one HDF5 file; any other name is a folder of shards."""
    return path.suffix == ".h5"


def place_of(path: Path) -> Path:
    """Where the folder of a store lies to which ``path`` is a link; any other path as it is: a link to a file is replaced."""
    if is_file_name(path) or not path.is_symlink():
        return path
    place = Path(os.path.realpath(path))
    return path if is_file_name(place) else place


def temporary_name(path: Path) -> Path:
    """Where a store is written before it gets its name."""
    place = place_of(path)
    return place.with_name(place.name + ".tmp")


def replaced_name(path: Path) -> Path:
    """Where an old folder lies while a new one takes its place."""
    place = place_of(path)
    return place.with_name(place.name + ".replaced")


@contextlib.contextmanager
def write_errors(path: Path) -> Iterator[None]:
    """Turns the operating system's and HDF5's write errors into one sentence."""
    try:
        yield
    except (OSError, RuntimeError) as error:
        # HDF5 reports a full disk as RuntimeError when it flushes or closes; other errors keep their own type.
        if isinstance(error, RuntimeError) and "write" not in str(error) and "flush" not in str(error):
            raise
        reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error).split("(")[0]
        message = f"{path} cannot be written: {reason.strip()}; what was finished before is kept"
        raise StoreWriteError(message) from error


def fsync(path: Path) -> None:
    """Forces a file's contents, or a folder's names, to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def replace_durably(temporary: Path, final: Path) -> None:
    """Renames a finished file into place and forces the new name to the disk."""
    temporary.replace(final)
    fsync(final.parent)


def check_target(out: Path) -> None:
    """Refuses to replace something at ``out`` that is no store of the form that its name asks for.

    Raises:
        StoreWriteError: there is a folder where a file should be, the reverse, or a folder with other files in it.
    """
    if is_file_name(out):
        if out.is_dir():
            raise StoreWriteError(f"{out} is a folder; a store whose name ends in .h5 is one file: choose another name")
    elif out.exists() and not out.is_dir():
        raise StoreWriteError(
            f"{out} is a file; a store whose name does not end in .h5 is a folder: choose another name"
        )
    else:
        for folder in (out, temporary_name(out), replaced_name(out)):
            _check_own(folder)


def make_read_only(path: Path) -> None:
    """Takes the right to write from all; who may not read a new file, by the umask, may not read it then either."""
    path.chmod(path.stat().st_mode & READ_ONLY | stat.S_IRUSR)


def publish_file(temporary: Path, final: Path) -> None:
    """Makes a finished file read-only and gives it its name; one that was there before is replaced."""
    make_read_only(temporary)
    fsync(temporary)
    replace_durably(temporary, final)


def publish_folder(temporary: Path, final: Path) -> None:
    """Gives a finished folder its name; one that was there before is replaced and deleted."""
    final = place_of(final)
    fsync(temporary)
    old = replaced_name(final)
    if final.exists():
        final.rename(old)
        fsync(final.parent)
    try:
        temporary.rename(final)
    except BaseException:
        if not final.exists() and old.exists():
            old.rename(final)
        raise
    fsync(final.parent)
    remove_folder(old)


def recover_store(path: Path) -> None:
    """Gives an old folder its name back if a process was killed while it was being replaced, and clears what it left.

    To be called before writing ``path``, never by a reader: another process may be between the two renames.

    Raises:
        StoreWriteError: it cannot.
    """
    path = place_of(path)
    old = replaced_name(path)
    if is_file_name(path) or not old.is_dir():
        return
    _check_own(old)
    with write_errors(path):
        if path.exists():
            remove_folder(old)
        else:
            old.rename(path)
            fsync(path.parent)


def remove_folder(folder: Path) -> None:
    """Deletes a folder of shards, finished or not.

    Raises:
        StoreWriteError: it holds files of other kinds; then nothing is deleted.
    """
    _check_own(folder)
    if folder.is_dir():
        # The index first: what is left of a folder that was deleted halfway must not look like a store.
        for file in sorted(folder.iterdir(), key=lambda file: file.name != INDEX_NAME):
            file.unlink()
        folder.rmdir()


@contextlib.contextmanager
def locked_store(path: Path) -> Iterator[None]:
    """Inside, no other process writes a store, and what a killed one left of it is in order.

    Raises:
        StoreWriteError: another process is writing it, or it cannot be written.
    """
    with lock_out(place_of(path), StoreWriteError):
        recover_store(path)
        yield


def _check_own(folder: Path) -> None:
    foreign = [file.name for file in folder.iterdir() if not _is_own(file)] if folder.is_dir() else []
    if foreign:
        raise StoreWriteError(
            f"{folder} holds files that are not of a feature store, for instance {min(foreign)!r}; choose another name"
        )


def is_own_name(name: str) -> bool:
    """Whether a file of a store's folder is called so."""
    return _OWN_NAMES.fullmatch(name) is not None


def _is_own(file: Path) -> bool:
    return is_own_name(file.name) and not (file.is_dir() and not file.is_symlink())
