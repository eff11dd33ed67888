"""Which output a person means, by ``--format`` or by the name of the file."""

from __future__ import annotations

from pathlib import Path

from ...data.errors import ConfigError
from .lines_output import CsvOutput, JsonLinesOutput, LinesOutput
from .parquet_output import ParquetOutput

Output = LinesOutput | ParquetOutput

FORMATS: dict[str, type[Output]] = {"jsonl": JsonLinesOutput, "csv": CsvOutput, "parquet": ParquetOutput}


def open_output(path: Path, kind: str | None) -> Output:
    """Opens an output; what it holds already is done.

    Args:
        kind: one of ``FORMATS``; ``None`` goes by the suffix.

    Raises:
        ConfigError: the suffix says nothing.
        RunError: the file cannot be used.
    """
    kind = kind or path.suffix.lower().removeprefix(".")
    if kind not in FORMATS:
        raise ConfigError(f"--out {path}: no known suffix; use .jsonl, .csv or .parquet, or say --format")
    return FORMATS[kind](path)
