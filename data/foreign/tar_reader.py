"""Members of a tar from anybody, in order: :mod:`tarfile` with what makes it loop, recurse or take quadratic time refused.

Extension headers (long names, PAX) come before the member that they are about, and :mod:`tarfile` calls itself for each of
them; a negative size leads it back to where it was; records and sparse maps can be written so that it reads them again and
again. No writer of tars makes any of this.
"""

from __future__ import annotations

import os
import re
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from .json_reader import check_is_file

BLOCK = 512
"""Bytes; a tar ends with blocks of zeros."""


TAR_DAMAGE = (tarfile.TarError, OSError, ValueError, OverflowError, EOFError, KeyError, IndexError, AttributeError)
"""What reading a damaged tar may raise."""


class JoinedTarsError(tarfile.ReadError):
    """Another tar follows one that is whole."""


MOST_EXTENSIONS = 16
"""Extension headers before one member; there are writers with three."""


LONGEST_EXTENSION = 1 << 20
"""Bytes of an extension header."""


MOST_GLOBALS = 256
"""Settings for all members that follow, which every one of them gets a copy of."""


_EXTENSIONS = (
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)


_RECORD = re.compile(rb"(\d{1,7}) [^=\n]{1,512}=")


_DIGITS = re.compile(rb"\d{100}")


class TarReader:
    """An open tar, member after member.

    Attributes:
        file: its bytes.
        size: how many there are.
    """

    def __init__(self, file: IO[bytes], tar: tarfile.TarFile):
        self.file = file
        self.size = os.fstat(file.fileno()).st_size
        self._tar: Any = tar  # the stubs know few of its attributes
        self._before = -1

    def next(self) -> tarfile.TarInfo | None:
        """The next member; ``None`` after the last, or where a header after the first is damaged.

        Raises:
            tarfile.TarError: a header is damaged, or made to do harm; other errors are those of :data:`TAR_DAMAGE`.
        """
        member: tarfile.TarInfo | None = self._tar.next()
        self._tar.members = []  # else every member ever seen stays in memory
        if member is not None:
            if member.size < 0 or self._tar.offset <= self._before:
                raise tarfile.ReadError(f"the header of {member.name!r} gives a negative size")
            self._before = self._tar.offset
        return member

    def check_end(self) -> None:
        """Raises ``tarfile.ReadError`` where there is no end mark, which :mod:`tarfile` does without; :class:`JoinedTarsError`."""
        self.file.seek(self._tar.offset)
        if self.file.read(BLOCK) != bytes(BLOCK):
            raise tarfile.ReadError(f"no end mark at byte {self._tar.offset:,}")
        place = self._tar.offset + BLOCK
        while (block := self.file.read(BLOCK)) and not any(block):
            place += BLOCK
        if _is_header(block):
            raise JoinedTarsError(
                f"another tar begins behind the end mark, at byte {place:,}: unpack them and make one"
            )

    def check_inside(self, member: tarfile.TarInfo) -> None:
        """Raises ``tarfile.ReadError`` where the file is shorter than the member's header says."""
        if member.offset_data + member.size > self.size:
            raise tarfile.ReadError(f"{member.name!r} goes on after the end of the file, byte {self.size:,}")

    def open(self, member: tarfile.TarInfo) -> IO[bytes] | None:
        """The bytes of a member; ``None`` where it is no regular file that lies in one piece."""
        if not member.isreg() or member.issparse():
            return None
        stream: IO[bytes] | None = self._tar.extractfile(member)
        return stream


@contextmanager
def open_tar(path: Path) -> Iterator[TarReader]:
    """Opens a tar without compression; raises what is in :data:`TAR_DAMAGE`."""
    check_is_file(path)
    with (
        path.open("rb") as file,
        tarfile.open(fileobj=file, mode="r:", encoding="utf-8", tarinfo=_CheckedHeader) as tar,
    ):
        yield TarReader(file, tar)


def _is_header(block: bytes) -> bool:
    try:
        tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except (tarfile.TarError, ValueError):
        return False
    return True


class _CheckedHeader(tarfile.TarInfo):
    """A header that :mod:`tarfile` asks for its meaning, by methods that its documentation leaves to subclasses."""

    def _proc_member(self, tar: Any) -> Any:
        if self.type not in _EXTENSIONS:
            tar.extensions = 0
        else:
            tar.extensions = getattr(tar, "extensions", 0) + 1
            if tar.extensions > MOST_EXTENSIONS:
                raise tarfile.ReadError(f"more than {MOST_EXTENSIONS} extension headers before one member")
            if not 0 <= self.size <= LONGEST_EXTENSION:
                raise tarfile.ReadError(f"an extension header of {self.size:,} bytes")
        parent: Any = super()
        return parent._proc_member(tar)

    def _proc_pax(self, tar: Any) -> Any:
        place = tar.fileobj.tell()
        _check_records(tar.fileobj.read(self.size))
        tar.fileobj.seek(place)
        if len(tar.pax_headers) > MOST_GLOBALS:
            raise tarfile.ReadError(f"more than {MOST_GLOBALS} global settings")
        parent: Any = super()
        return parent._proc_pax(tar)

    def _proc_sparse(self, tar: Any) -> Any:
        """A map of pieces, passed over: sparse members are not read."""
        header: Any = self
        more = header._sparse_structs[1]
        del header._sparse_structs
        while more:
            block = tar.fileobj.read(BLOCK)
            more = len(block) == BLOCK and bool(block[504])
        header.sparse = []
        self.offset_data = tar.fileobj.tell()
        tar.offset = self.offset_data + -(-self.size // BLOCK) * BLOCK
        return self

    def _proc_gnusparse_00(self, member: Any, *_: Any) -> None:
        member.sparse = []

    def _proc_gnusparse_01(self, member: Any, *_: Any) -> None:
        member.sparse = []

    def _proc_gnusparse_10(self, member: Any, *_: Any) -> None:
        member.sparse = []


def _check_records(data: bytes) -> None:
    """Refuses PAX records that do not follow each other, one after the other, to the end."""
    if _DIGITS.search(data):
        raise tarfile.ReadError("a PAX header with a number of 100 digits")
    place = 0
    while place < len(data):
        found = _RECORD.match(data, place)
        length = int(found[1]) if found else 0
        if found is None or found.end() - place >= length or data[place + length - 1 : place + length] != b"\n":
            raise tarfile.ReadError(f"a damaged PAX header at its byte {place:,}")
        place += length
