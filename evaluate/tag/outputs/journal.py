"""The journal of a command: JSON lines that grow group by group and that the same command goes on with, whatever ended it.

A group is added with one write and forced to the disk; what a kill leaves of a half-written line is cut off when the file
is opened again. A last line that is whole but for its end, as an editor may leave it, is kept. Which run and options made the file is written beside it, before the first line
(:mod:`optsg.evaluate.tag.outputs.made_with`). Which paths have been seen is kept in a few bytes each.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Self

import numpy as np

from ....data.errors import RunError, reason_of
from ....data.foreign.json_reader import JSON_DAMAGE, parse_json
from ....data.whole_files import whole_file
from ...scores.predictions import json_line
from ..tagged_file import TaggedFile, check_row
from .made_with import MadeWith, check_record, record_path, write_record


def real_path(path: Path) -> Path:
    """Where a link leads, be there something or not: what is written goes there, and the link stays one."""
    return Path(os.path.realpath(path))


class Journal:
    """One JSON object a line (:meth:`TaggedFile.to_json`). Use as a context manager.

    Args:
        path: of the file, which may be there already.
        made_with: the run and options that are to go on with it.
        overwrite: begin anew; what the file holds is kept until there is something to write.
        retry_failed: take the lines of files that could not be tagged out, so that they are not done.

    Raises:
        RunError: the file cannot be written, holds something else, or was made with another run or other options.
    """

    def __init__(self, path: Path, made_with: MadeWith, *, overwrite: bool = False, retry_failed: bool = False):
        self.path = path
        self._made_with = made_with
        self._done = PathSet()
        self._is_fresh = True
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            real = real_path(path)
            self._file: BinaryIO = real.open("r+b") if real.exists() else real.open("x+b")
        except OSError as error:
            raise RunError(f"{path} cannot be written: {error.strerror or error}") from error
        try:
            if not overwrite:
                self._go_on(retry_failed)
        except OSError as error:
            self._file.close()
            raise RunError(f"{path} cannot be written: {error.strerror or error}") from error
        except RunError:
            self._file.close()
            raise

    def _go_on(self, retry_failed: bool) -> None:
        """Reads what is done, cuts off a half-written line and goes to the end."""
        whole, again, end = 0, False, b""
        for number, line in enumerate(self._file, start=1):
            if _is_torn(line):
                break
            path, failed = self._read(line, number)
            end = b"" if line.endswith(b"\n") else b"\n"
            if failed and retry_failed:
                again = True
            else:
                self._done.add(path)
            whole += len(line)
        self._is_fresh = not self._done
        if self._done or again:
            check_record(self.path, self._made_with)
            self._file.seek(whole)
            self._file.truncate()
            self._file.write(end)
        elif self._file.tell() > whole and not record_path(self.path).exists():
            raise RunError(f"{self.path} is not what optsg-tag writes (no line is whole); name another file with --out")
        if again:
            self._take_failed_out()

    def _take_failed_out(self) -> None:
        """Replaces the file by one without the lines of files that failed, at whose end it then is."""
        self._file.seek(0)
        with whole_file(real_path(self.path)) as temporary, temporary.open("wb") as kept:
            kept.writelines(line for number, line in enumerate(self._file, start=1) if not self._read(line, number)[1])
        self._file.close()
        self._file = self.path.open("r+b")
        self._file.seek(0, os.SEEK_END)

    def _read(self, line: bytes, number: int) -> tuple[str, bool]:
        """The path in a line, and whether that file failed."""
        try:
            row = check_row(parse_json(line))
        except JSON_DAMAGE as error:
            raise RunError(
                f"{self.path}, line {number}, is not what optsg-tag writes ({reason_of(error)}); name another file with --out"
            ) from error
        return row["path"], "error" in row

    def is_done(self, path: str) -> bool:
        """Whether a file is done, or claimed."""
        return path in self._done

    def claim(self, path: str) -> bool:
        """Whether a file is neither done nor claimed already; it then is."""
        is_new = path not in self._done
        self._done.add(path)
        return is_new

    def write(self, group: Sequence[TaggedFile]) -> None:
        """Adds a group.

        Raises:
            RunError: the disk is full or gone; what was written before is kept.
        """
        try:
            if self._is_fresh:
                self._begin()
            self._file.write("".join(json_line(tagged.to_json()) + "\n" for tagged in group).encode("utf-8"))
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise RunError(
                f"{self.path} cannot be written: {error.strerror or error}; what it holds is kept"
            ) from error

    def _begin(self) -> None:
        self._file.seek(0)
        self._file.truncate()
        write_record(self.path, self._made_with)
        self._is_fresh = False

    def finish(self) -> None:
        """All is done; a file that nothing was written to is empty. Errors as :meth:`write`."""
        self.write([])

    def rows(self) -> Iterator[dict[str, Any]]:
        """What the lines hold, one after the other."""
        with self.path.open("rb") as lines:  # as they were looked at when it was opened
            yield from map(parse_json, lines)

    def remove(self) -> None:
        """Deletes the file and what says who made it."""
        self.path.unlink()
        record_path(self.path).unlink()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):  # of a write that failed, and said so
            self._file.close()


_BEGINNING = b'{"path": '
"""Of every line."""

_CONTROL = re.compile(rb"[\x00-\x1f]")


def _is_torn(line: bytes) -> bool:
    """Whether a line is what a kill leaves of one of ours, or a disk that lost its power, which fills it up with zeros."""
    if line.endswith(b"\n"):
        return False
    try:
        parse_json(line)
    except ValueError:
        begun = line.rstrip(b"\0")
        # JSON has no control characters: with them it is, say, a file whose lines end in another way.
        return _BEGINNING.startswith(begun[: len(_BEGINNING)]) and not _CONTROL.search(begun)
    return False


DIGEST_BYTES = 16

FEW = 4096


class PathSet:
    """A set of paths that holds 16 bytes of each one's digest, however long the paths are.

    Digests lie sorted in one array; new ones wait in a set until they are a sixteenth as many, so that a path costs about
    24 bytes. That two of a thousand million paths have one digest has a chance of 1 to 10²⁰.
    """

    def __init__(self) -> None:
        self._sorted = np.empty(0, f"S{DIGEST_BYTES}")
        self._waiting: set[bytes] = set()

    def add(self, path: str) -> None:
        """Adds a path; one that is in the set changes nothing."""
        digest = _digest(path)
        if self._has(digest):
            return
        self._waiting.add(digest)
        if len(self._waiting) >= max(FEW, len(self._sorted) // 16):
            fresh = np.array(sorted(self._waiting), self._sorted.dtype)
            self._sorted = np.insert(self._sorted, np.searchsorted(self._sorted, fresh), fresh)
            self._waiting.clear()

    def __contains__(self, path: str) -> bool:
        return self._has(_digest(path))

    def __len__(self) -> int:
        return len(self._sorted) + len(self._waiting)

    def _has(self, digest: bytes) -> bool:
        if digest in self._waiting:
            return True
        place = int(np.searchsorted(self._sorted, np.array(digest, self._sorted.dtype)))
        # An array of bytes drops zeros at the end; digests are of one length, so that this makes no two of them equal.
        return place < len(self._sorted) and bytes(self._sorted[place]) == digest.rstrip(b"\0")


def _digest(path: str) -> bytes:
    return hashlib.blake2b(path.encode("utf-8", "backslashreplace"), digest_size=DIGEST_BYTES).digest()
