"""Which paths have been seen, in a few bytes each."""

from __future__ import annotations

import hashlib

import numpy as np

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
        """Adds a path."""
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
