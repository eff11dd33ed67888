"""What reading a damaged Parquet file may raise: by pyarrow, or by Python for a value that it has no object for."""

from __future__ import annotations

import pyarrow as pa

PARQUET_DAMAGE = (
    *(pa.ArrowException, OSError, ValueError, TypeError, KeyError, IndexError, OverflowError, ArithmeticError),
    *(AttributeError, NotImplementedError, ImportError, RecursionError, MemoryError),
)
"""Dates beyond the year 9999 are an ``OverflowError``, nanoseconds without pandas an ``ImportError``, and so on."""
