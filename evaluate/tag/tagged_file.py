"""What became of one video or image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...data.predicted_tag import PredictedTag
from ..scores.predictions import check_tag_rows, tag_rows
from .evidence import Evidence
from .segments import Segments


@dataclass(frozen=True, kw_only=True)
class TaggedFile:
    """Tags of one video or image, or why there are none.

    Attributes:
        path: as in :class:`optsg.evaluate.tag.requests.TagRequest`.
        title: what was read beside the pictures.
        tags: pinned ones first, then best score first.
        evidence: of each tag, ``None`` for a pinned one; empty where it was not asked for.
        segments: of each tag when it holds, none of an image and of a pinned tag; empty where they were not asked for.
        error: one sentence; ``None`` where there was none.
        sidecar: the ``.info.json`` beside the file.
    """

    path: str
    title: str = ""
    tags: Sequence[PredictedTag] = ()
    evidence: Sequence[Evidence | None] = ()
    segments: Sequence[Segments] = ()
    error: str | None = None
    sidecar: Path | None = None

    def rows(self) -> list[dict[str, Any]]:
        """The tags as they stand in JSON (:func:`optsg.evaluate.scores.predictions.tag_rows`), with ``"evidence"`` and ``"segments"`` where they are known."""
        rows = tag_rows(self.tags)
        for row, found in zip(rows, self.evidence, strict=False):
            if found is not None:
                row["evidence"] = found.to_json()
        for row, segments in zip(rows, self.segments, strict=False):
            if segments:
                row["segments"] = [segment.to_json() for segment in segments]
        return rows

    def to_json(self) -> dict[str, Any]:
        """``{"path", "title", "tags"}``, or ``{"path", "error"}``."""
        if self.error is not None:
            return {"path": self.path, "error": self.error}
        return {"path": self.path, "title": self.title, "tags": self.rows()}


def check_row(row: Any) -> dict[str, Any]:
    """What :meth:`TaggedFile.to_json` gave, out of a file that anybody may have changed.

    Raises:
        ValueError: it is something else.
        KeyError: it lacks something.
    """
    if not isinstance(row, dict) or not isinstance(row["path"], str) or not row["path"]:
        raise ValueError("no path")
    if not all(isinstance(row.get(name, ""), str) for name in ("title", "error")):
        raise ValueError("a title or an error that is no text")
    check_tag_rows(row.get("tags", []))
    return row
