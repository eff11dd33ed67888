"""What an extraction did, while it runs and at its end."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..data.media import Failure, FailureStatus
from ..data.store.schema import VideoFeatures
from .corrections import Corrections

EXAMPLES = 5


@dataclass(kw_only=True)
class ExtractSummary:
    """Counts of one extraction; the progress display reads it while it grows.

    Attributes:
        out: the feature store.
        resumed: inputs that earlier runs had done.
        videos, images, frames: what this run made features of.
        partial: those of them that are not whole, by cause.
        failures: inputs of this run without features, by status, stage and cause.
        examples: the first of them.
        corrected: videos that earlier runs had done with other titles, tags and splits than before, by what changed;
            ``videos`` in all, ``spellings`` of tags, and ``rows`` of metadata that are bad no longer.
        noted: inputs that are whole although something is odd about them, by what it is.
        kept: videos that earlier runs had done and of which metadata says nothing any more; their titles and tags stay.
        skipped: files of the inputs that were not looked at, by suffix.
        thumbnails: pictures that were left out because they stand for a video.
        seconds: wall time of this run, the opening of encoders aside.
        decode_seconds: processor time of decoding and preprocessing, over all processes.
        encode_seconds: wall time in the image encoder.
        wait_seconds: wall time in which the encoder waited for decoded pictures.
        finish_seconds: wall time for the text encoder and the finished store.
        unknown_pieces: share of unknown word pieces among those of ``titles`` and of ``tags``, where the store was written.
        warnings: what people should know although nothing failed.
        unchanged: whether there was nothing new and the finished store was left as it was.
    """

    out: Path
    resumed: int = 0
    videos: int = 0
    images: int = 0
    frames: int = 0
    partial: Counter[str] = field(default_factory=Counter)
    failures: Counter[tuple[FailureStatus, str, str]] = field(default_factory=Counter)
    examples: list[Failure] = field(default_factory=list)
    corrected: Counter[str] = field(default_factory=Counter)
    noted: Counter[str] = field(default_factory=Counter)
    kept: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    thumbnails: int = 0
    seconds: float = 0.0
    decode_seconds: float = 0.0
    encode_seconds: float = 0.0
    wait_seconds: float = 0.0
    finish_seconds: float = 0.0
    unknown_pieces: dict[str, float] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    unchanged: bool = False

    @property
    def failed(self) -> int:
        """Number of inputs without features."""
        return self.failures.total()

    @property
    def done(self) -> int:
        """Inputs dealt with, earlier runs included."""
        return self.resumed + self.videos + self.images + self.failed

    def add_features(self, features: VideoFeatures) -> None:
        """Counts an input with features."""
        self.videos += features.kind == "video"
        self.images += features.kind == "image"
        self.frames += len(features.times)
        self.decode_seconds += features.decode_seconds
        if features.status == "partial":
            self.partial[general_part(features.note)] += 1
        elif features.note:
            self.noted[general_part(features.note)] += 1

    def add_failure(self, failure: Failure) -> None:
        """Counts a failure under its cause: the error without what it says about this one file."""
        self.failures[failure.status, failure.stage, cause(failure)] += 1
        self.decode_seconds += failure.seconds if failure.status == "failed" else 0.0
        if len(self.examples) < EXAMPLES:
            self.examples.append(failure)

    def add_corrections(self, corrections: Corrections) -> None:
        """Counts what was corrected."""
        self.corrected += corrections.counts
        more = (("videos", corrections.changes), ("spellings", corrections.spellings()), ("rows", corrections.mended))
        self.corrected.update({name: len(found) for name, found in more if found})

    def counts(self) -> dict[str, Any]:
        """All counts and times in JSON types, for the log."""
        statuses = Counter({"ok": self.videos + self.images - self.partial.total(), "partial": self.partial.total()})
        for (status, _, _), count in self.failures.items():
            statuses[status] += count
        names = ("resumed", "videos", "images", "frames", "unchanged")
        times = ("seconds", "decode_seconds", "encode_seconds", "wait_seconds", "finish_seconds")
        return {
            "out": str(self.out),
            **{name: getattr(self, name) for name in names},
            "corrected": dict(self.corrected),
            "noted": dict(self.noted.most_common()),
            "kept": self.kept,
            "skipped": dict(self.skipped.most_common()),
            "thumbnails": self.thumbnails,
            "statuses": {name: count for name, count in statuses.items() if count},
            **{name: round(getattr(self, name), 3) for name in times},
            "unknown_pieces": {name: round(share, 4) for name, share in self.unknown_pieces.items()},
        }


def cause(failure: Failure) -> str:
    """The general part of an error, the same for all files with that error: no source, names, numbers or advice."""
    return general_part(failure.error.removeprefix(f"{failure.source}: "))


def general_part(text: str) -> str:
    """A sentence up to its first detail, without names and numbers."""
    general = re.split(r" \(|[;,:]", text, maxsplit=1)[0].strip()
    return re.sub(r"'[^']*'|\b\d+(\.\d+)?\b", "…", general)
