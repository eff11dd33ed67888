"""``--json-log``: what happened to every input, one JSON object a line, for programs."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from ..data.json_log import JsonLog, open_json_log
from ..data.media import Failure
from ..data.store.schema import StoreHeader, VideoFeatures
from .options import ExtractionOptions, how_it_runs
from .summary import ExtractSummary


class EventLog:
    """Appends lines to a log (:class:`optsg.data.json_log.JsonLog`).

    Events: ``started`` (settings), ``input`` (one for every input, in order), ``warning``, ``finished`` (the counts), or
    ``interrupted``.
    """

    def __init__(self, log: JsonLog | None = None):
        self._write = (log or JsonLog()).write

    def started(self, out: Path, header: StoreHeader, options: ExtractionOptions, resumed: int) -> None:
        """The settings, and how many inputs earlier runs had done."""
        settings = {**json.loads(header.to_json()), "options": how_it_runs(options)}
        self._write("started", out=str(out), resumed=resumed, **settings)

    def video(self, features: VideoFeatures) -> None:
        """Writes the line of an input that gave features."""
        self._write(
            "input",
            id=features.id,
            source=features.source,
            kind=features.kind,
            status=features.status,
            note=features.note,
            frames=len(features.times),
            duration=None if math.isnan(features.duration) else round(features.duration, 3),
            seconds=round(features.decode_seconds, 3),
            backend=features.backend,
            digest=features.digest,
        )

    def failure(self, failure: Failure) -> None:
        """Writes the line of an input that gave no features."""
        self._write("input", **{**vars(failure), "seconds": round(failure.seconds, 3)})

    def warning(self, text: str, unknown_pieces: Mapping[str, float]) -> None:
        """Something that people should know although nothing failed."""
        shares = {name: round(share, 4) for name, share in unknown_pieces.items()}
        self._write("warning", warning=text, unknown_pieces=shares)

    def finished(self, summary: ExtractSummary, event: str = "finished") -> None:
        """Writes the counts of the whole run, under the name of how it ended."""
        self._write(event, **summary.counts())


@contextmanager
def open_event_log(path: Path | None) -> Iterator[EventLog]:
    """A log that appends to ``path``, or one that does nothing.

    Raises:
        StoreWriteError: it cannot be written.
    """
    with open_json_log(path) as log:
        yield EventLog(log)
