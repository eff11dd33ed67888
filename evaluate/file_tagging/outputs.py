"""Which output a person means, by ``--format`` or by the name of the file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ...data.errors import ConfigError, RunError
from ...data.out_lock import lock_out
from .lines_output import CsvOutput, JsonLinesOutput, LinesOutput
from .made_with import MadeWith
from .parquet_output import ParquetOutput

Output = LinesOutput | ParquetOutput

FORMATS: dict[str, type[Output]] = {"jsonl": JsonLinesOutput, "csv": CsvOutput, "parquet": ParquetOutput}


@contextmanager
def open_output(
    path: Path, kind: str | None, made_with: MadeWith, *, overwrite: bool = False, retry_failed: bool = False
) -> Iterator[Output]:
    """Opens an output, which no other process can write while the block lasts.

    Args:
        kind: one of ``FORMATS``; ``None`` goes by the suffix.
        made_with: the run and options; what the file holds was made by the same, and is done.
        overwrite: begin anew, whatever made the file.
        retry_failed: what the file holds is done, less the files that could not be tagged.

    Raises:
        ConfigError: the suffix says nothing.
        RunError: the file cannot be used, was made with another run or other options, or another process is writing it.
    """
    kind = kind or path.suffix.lower().removeprefix(".")
    if kind not in FORMATS:
        raise ConfigError(f"--out {path}: no known suffix; use .jsonl, .csv or .parquet, or say --format")
    with lock_out(path, RunError):
        output = FORMATS[kind](path, made_with, overwrite=overwrite, retry_failed=retry_failed)
        with output:
            yield output
