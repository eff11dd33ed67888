"""Files found by the stem of their names, anywhere in a folder: very many paths in little memory."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

from ..errors import InputError
from .relative_paths import printable


class FilesByStem:
    """Index of paths by stem: eight bytes a path beside the paths themselves.

    Args:
        paths: relative, with forward slashes.
        what: what such a file is called in messages, ``video or image``.
        place: the folder, for messages.
    """

    def __init__(self, paths: Sequence[str] | PathList, *, what: str, place: object):
        self._paths = paths
        self._what = what
        self._place = place
        self._order = array("q", sorted(range(len(paths)), key=lambda number: (_stem(paths[number]), number)))

    def __len__(self) -> int:
        return len(self._paths)

    def find(self, stem: str) -> str:
        """The path with this stem.

        Raises:
            InputError: there is none, or there are several.
        """
        first = bisect_left(self._order, stem, key=lambda number: _stem(self._paths[number]))
        near = [self._paths[number] for number in self._order[first : first + 2]]
        found = [path for path in near if _stem(path) == stem]
        if not found:
            raise InputError(f"no {self._what} called {printable(stem)!r} in {self._place}")
        if len(found) > 1:
            names = " and ".join(printable(path) for path in found)
            raise InputError(f"more than one {self._what} is called {printable(stem)!r} ({names})")
        return found[0]


def _stem(path: str) -> str:
    return PurePosixPath(path).stem


_CODING = ("utf-8", "surrogatepass")  # names that are not UTF-8 hold lone surrogates (PEP 383)


class PathList:
    """A list of paths that holds their bytes and eight more each, in place of a string of 49 bytes more and its reference."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._ends = array("Q", [0])

    def append(self, path: str) -> None:
        """Adds a path behind all others."""
        self._bytes += path.encode(*_CODING)
        self._ends.append(len(self._bytes))

    def sort(self) -> None:
        """Sorts the paths by their characters, as a list of strings sorts."""
        paths = sorted(self)
        self._bytes, self._ends = bytearray(), array("Q", [0])
        for path in paths:
            self.append(path)

    def __len__(self) -> int:
        return len(self._ends) - 1

    def __getitem__(self, number: int) -> str:
        if not 0 <= number < len(self):
            raise IndexError(number)
        return self._bytes[self._ends[number] : self._ends[number + 1]].decode(*_CODING)

    def __iter__(self) -> Iterator[str]:
        return map(self.__getitem__, range(len(self)))
