"""What the operating system is told about the memory behind mapped arrays. Where it cannot be told, nothing happens."""

from __future__ import annotations

import mmap
from typing import Any

import numpy as np
from numpy.typing import NDArray


def release_pages(array: NDArray[Any]) -> None:
    """Lets the operating system take back the memory behind a mapped array; it stays usable."""
    mapped = map_behind(array)
    if mapped is not None and hasattr(mapped, "madvise"):
        mapped.madvise(mmap.MADV_DONTNEED)


def read_pages_ahead(mapped: mmap.mmap, start: int, end: int) -> None:
    """Lets the operating system read bytes of a map in the background; the call returns at once.

    Read when they are touched, pages come from the disk a few at a time, one vector after the other.
    """
    if end > start and hasattr(mmap, "MADV_WILLNEED"):
        first = start - start % mmap.PAGESIZE
        try:
            mapped.madvise(mmap.MADV_WILLNEED, first, end - first)
        except OSError:  # the system may refuse for want of memory; what cannot be read at all shows when it is needed
            return


def map_behind(array: NDArray[Any]) -> mmap.mmap | None:
    """The map whose bytes an array shows, itself or through other arrays."""
    behind: Any = array
    while isinstance(behind, np.ndarray):
        behind = behind.base
    if isinstance(behind, memoryview):  # what numpy.frombuffer keeps
        behind = behind.obj
    return behind if isinstance(behind, mmap.mmap) else None


def place_in_map(array: NDArray[Any], mapped: mmap.mmap) -> int:
    """The byte of the map where the array begins."""
    return _address(array) - _address(np.frombuffer(mapped, np.uint8))


def _address(array: NDArray[Any]) -> int:
    return int(array.__array_interface__["data"][0])
