"""Rows of Parquet files and Arrow streams, a few in memory at a time, or one sentence on what is damaged."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ...errors import InputError, reason_of
from ...foreign.parquet_damage import PARQUET_DAMAGE, rows_in_batches
from .dataset_files import ARROW_SUFFIX

ROWS_AT_ONCE = 8
"""Each holds a picture or a whole video."""

NAMES_AT_ONCE = 1 << 14

BUFFER = 1 << 20
"""Bytes of a column that are read at a time, in place of all of a row group's."""


class RowFile:
    """A file of rows that can be read any number of times.

    Attributes:
        path: of the file.
        schema: of pyarrow.
        count: number of rows; ``None`` where the file does not say.
    """

    def __init__(self, path: Path):
        """Reads what the file says of itself; :class:`InputError` where that cannot be."""
        self.path = path
        self.schema, self.count = self._head()

    def _head(self) -> tuple[Any, int | None]:
        kind = "an Arrow stream" if self._is_arrow else "a Parquet file"
        try:
            if self._is_arrow:
                with pa.memory_map(str(self.path)) as source, pa.ipc.open_stream(source) as reader:
                    return reader.schema, None
            with pq.ParquetFile(self.path) as file:
                return file.schema_arrow, file.metadata.num_rows
        except PARQUET_DAMAGE as error:
            raise InputError(f"{self.path}: not {kind} ({reason_of(error)})") from error

    @property
    def _is_arrow(self) -> bool:
        return self.path.suffix.lower() == ARROW_SUFFIX

    def rows(self, columns: Sequence[str], at_once: int = ROWS_AT_ONCE) -> Iterator[dict[str, Any]]:
        """The rows, of these columns alone.

        Args:
            columns: names; ``image.path`` is one field of a column.
            at_once: rows in memory.

        Raises:
            InputError: the file is damaged from here on.
        """

        def refuse(error: BaseException) -> InputError:
            return InputError(f"cut short or damaged ({reason_of(error)})")

        open_batches = self._arrow_batches if self._is_arrow else self._parquet_batches
        for batch in rows_in_batches(lambda: open_batches(columns, at_once), refuse):
            yield from batch

    def _parquet_batches(self, columns: Sequence[str], at_once: int) -> Iterator[Any]:
        with pq.ParquetFile(self.path, buffer_size=BUFFER, pre_buffer=False) as file:
            yield from file.iter_batches(batch_size=at_once, columns=list(columns))

    def _arrow_batches(self, columns: Sequence[str], at_once: int) -> Iterator[Any]:
        whole = list(
            dict.fromkeys(name.partition(".")[0] if name not in self.schema.names else name for name in columns)
        )
        with pa.memory_map(str(self.path)) as source, pa.ipc.open_stream(source) as reader:
            for batch in reader:
                chosen = batch.select(whole)
                chosen.validate(full=True)  # lengths and offsets of a stream are whatever its writer put there
                for start in range(0, len(chosen), at_once):
                    yield chosen.slice(start, at_once)
