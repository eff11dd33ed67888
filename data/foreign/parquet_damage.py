"""What reading a damaged Parquet file may raise: by pyarrow, or by Python for a value that it has no object for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa

PARQUET_DAMAGE = (
    *(pa.ArrowException, OSError, ValueError, TypeError, KeyError, IndexError, OverflowError, ArithmeticError),
    *(AttributeError, NotImplementedError, ImportError, RecursionError, MemoryError),
)
"""Dates beyond the year 9999 are an ``OverflowError``, nanoseconds without pandas an ``ImportError``, and so on."""


def rows_in_batches(
    open_batches: Callable[[], Iterator[Any]], refuse: Callable[[BaseException], Exception]
) -> Iterator[list[dict[str, Any]]]:
    """Rows of a Parquet file, a batch at a time. Reading alone is watched: what a consumer raises is its own.

    Args:
        open_batches: opens the file's batches of records.
        refuse: what is raised for damage.
    """
    batches: Iterator[Any] | None = None
    while True:
        try:
            batches = batches or open_batches()
            batch = next(batches, None)
            rows = None if batch is None else batch.to_pylist()
        except PARQUET_DAMAGE as error:
            raise refuse(error) from error
        if rows is None:
            return
        yield rows
