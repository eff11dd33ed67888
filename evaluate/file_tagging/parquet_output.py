"""A Parquet file that is there only once all is done; until then the work is kept as JSON lines beside it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Self

import pyarrow as pa
import pyarrow.parquet as pq

from ...data.errors import RunError
from ...data.whole_files import whole_file
from .lines_output import JsonLinesOutput
from .tagged_file import TaggedFile

ROWS_AT_ONCE = 1000
"""Rows of a row group, and in memory."""

TAG = pa.struct(
    {
        "tag": pa.string(),
        "score": pa.float64(),
        "novel": pa.bool_(),
        "prompt": pa.int32(),
        "pinned": pa.bool_(),
        "written": pa.string(),
        "distance": pa.float64(),
        "evidence": pa.string(),
    }
)
SCHEMA = pa.schema({"path": pa.string(), "title": pa.string(), "tags": pa.list_(TAG), "error": pa.string()})
"""``evidence`` is JSON; a file that could not be read has neither title nor tags."""


class ParquetOutput:
    """A table of files. Use as a context manager; :meth:`finish` makes the file.

    Where the file is there already, new rows are added to it.

    Attributes:
        done: paths of the files that it holds, or will.

    Raises:
        RunError: a file cannot be read or written.
    """

    def __init__(self, path: Path):
        self.path = path
        self.done: set[str] = set()
        if path.exists():
            self._check()
            for rows in self._old_rows(["path"]):
                self.done.update(row["path"] for row in rows)
        self._lines = JsonLinesOutput(path.with_name(path.name + ".unfinished.jsonl"))
        self.done |= self._lines.done

    def write(self, group: Sequence[TaggedFile]) -> None:
        """Adds a group to what is kept; errors as :meth:`LinesOutput.write`."""
        self._lines.write(group)
        self.done.update(tagged.path for tagged in group)

    def finish(self) -> None:
        """Writes the file, which then is whole.

        Raises:
            RunError: it cannot be written.
        """
        with whole_file(self.path) as temporary, pq.ParquetWriter(temporary, SCHEMA) as writer:
            old: set[str] = set()
            if self.path.exists():
                for rows in self._old_rows():
                    old.update(row["path"] for row in rows)
                    writer.write_table(pa.Table.from_pylist(rows, SCHEMA))
            with self._lines.path.open(encoding="utf-8", newline="\n") as lines:
                while some := list(islice(lines, ROWS_AT_ONCE)):
                    rows = [row for row in map(_row, some) if row["path"] not in old]
                    writer.write_table(pa.Table.from_pylist(rows, SCHEMA))
        self._lines.path.unlink()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._lines.__exit__()

    def _check(self) -> None:
        try:
            found = pq.read_schema(self.path)
        except (pa.ArrowException, OSError) as error:
            raise RunError(f"{self.path} is not a Parquet file ({error}); name another file with --out") from error
        if not found.equals(SCHEMA):
            raise RunError(f"{self.path} is no table of optsg-tag; name another file with --out")

    def _old_rows(self, columns: list[str] | None = None) -> Iterator[list[dict[str, Any]]]:
        with pq.ParquetFile(self.path) as file:
            for batch in file.iter_batches(ROWS_AT_ONCE, columns=columns):
                yield batch.to_pylist()


def _row(line: str) -> dict[str, Any]:
    row: dict[str, Any] = json.loads(line)
    for tag in row.get("tags", ()):
        if "evidence" in tag:
            tag["evidence"] = json.dumps(tag["evidence"], ensure_ascii=False)
    return row
