"""``--json-log``: what happened, one JSON object a line, for programs."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

from .errors import StoreWriteError

STANDARD_ERROR = Path("-")


class JsonLog:
    """Appends lines to a file, from any thread; every line is complete once written. Without a file it does nothing.

    A line has ``event``, ``time`` (ISO 8601, UTC), and the event's own fields.
    """

    def __init__(self, file: TextIO | None = None, path: Path | None = None):
        self._file = file
        self._path = path
        self._lock = threading.Lock()

    def write(self, event: str, **fields: Any) -> None:
        """One line.

        Raises:
            StoreWriteError: it cannot be written.
        """
        if self._file is None:
            return
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        values = {"event": event, "time": now, **fields}
        line = json.dumps(values, ensure_ascii=not _holds_all_characters(self._file)) + "\n"
        try:
            with self._lock:
                self._file.write(line)
                self._file.flush()
        except OSError as error:
            raise cannot_write(self._path, error) from error


@contextmanager
def open_json_log(path: Path | None) -> Iterator[JsonLog]:
    """A log that appends to ``path``, to standard error for ``-``, or one that does nothing.

    Raises:
        StoreWriteError: it cannot be written.
    """
    if path is None:
        yield JsonLog()
    elif path == STANDARD_ERROR:
        yield JsonLog(sys.stderr, path)
    else:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            file = path.open("a", encoding="utf-8", errors="replace", newline="\n")
        except OSError as error:
            raise cannot_write(path, error) from error
        with file:
            yield JsonLog(file, path)


def _holds_all_characters(file: TextIO) -> bool:
    """Standard error may be in another encoding, whose escapes for what it lacks are none of JSON's."""
    return (file.encoding or "utf-8").lower().replace("-", "").startswith("utf")


def cannot_write(path: Path | None, error: OSError) -> StoreWriteError:
    """The error of a log that cannot be written."""
    return StoreWriteError(f"the log {path} cannot be written: {error.strerror or error}")
