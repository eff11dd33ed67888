"""The file that HDF5 writes to: a full disk becomes a Python exception instead of a crash.

The HDF5 library cannot survive a failed write: closing the file tries to write again, and the process dies. This file
never fails towards HDF5. It remembers the first error, lets all later writes go nowhere, and its owner raises the error.
"""

from __future__ import annotations

import io
import os
from pathlib import Path


class DiskFile(io.RawIOBase):
    """A new, unbuffered file for reading and writing.

    Attributes:
        error: the first error of the operating system; from then on nothing is written any more.
    """

    def __init__(self, path: Path):
        super().__init__()
        self._file = path.open("w+b", buffering=0)
        self.error: OSError | None = None

    def write(self, data: bytes | bytearray | memoryview, /) -> int:  # type: ignore[override]
        """Writes everything, or remembers why not; always reports success."""
        rest = memoryview(data).cast("B")
        total = len(rest)
        try:
            while len(rest) and self.error is None:
                rest = rest[self._file.write(rest) :]
        except OSError as error:
            self.error = error
        return total

    def truncate(self, size: int | None = None, /) -> int:
        """Sets the size; an error is remembered."""
        if self.error is None:
            try:
                return self._file.truncate(size)
            except OSError as error:
                self.error = error
        return size or 0

    def readinto(self, buffer: bytearray | memoryview, /) -> int:  # type: ignore[override]
        """Reads; what was never written because of an error reads as zeros."""
        view = memoryview(buffer).cast("B")
        count = self._file.readinto(view) or 0
        view[count:] = bytes(len(view) - count)
        return len(view)

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """As of every file."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """As of every file."""
        return self._file.tell()

    def readable(self) -> bool:
        """True."""
        return True

    def writable(self) -> bool:
        """True."""
        return True

    def seekable(self) -> bool:
        """True."""
        return True

    def close(self) -> None:
        """Closes the file; an error is remembered."""
        if not self.closed:
            try:
                self._file.close()
            except OSError as error:
                self.error = self.error or error
        super().close()
