"""What an extraction did, while it runs and at its end."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from ..data.media import Failure

EXAMPLES = 5


@dataclass(kw_only=True)
class ExtractSummary:
    """Counts of one extraction; the progress display reads it while it grows.

    Attributes:
        out: the feature store.
        resumed: inputs that an earlier, interrupted run had done.
        videos, images, frames: what this run made features of.
        failures: inputs of this run without features, by stage and cause.
        examples: the first of them.
        seconds: wall time of this run.
        decode_seconds: processor time of decoding and preprocessing, over all workers.
        encode_seconds: wall time in the image encoder.
        wait_seconds: wall time in which the encoder waited for decoded pictures.
        finish_seconds: wall time for the text encoder and the finished store.
    """

    out: Path
    resumed: int = 0
    videos: int = 0
    images: int = 0
    frames: int = 0
    failures: Counter[tuple[str, str]] = field(default_factory=Counter)
    examples: list[Failure] = field(default_factory=list)
    seconds: float = 0.0
    decode_seconds: float = 0.0
    encode_seconds: float = 0.0
    wait_seconds: float = 0.0
    finish_seconds: float = 0.0

    @property
    def failed(self) -> int:
        """Number of inputs without features."""
        return self.failures.total()

    @property
    def done(self) -> int:
        """Inputs dealt with, earlier runs included."""
        return self.resumed + self.videos + self.images + self.failed

    def add_failure(self, failure: Failure) -> None:
        """Counts a failure under its cause: the error without what it says about this one file."""
        self.failures[failure.stage, cause(failure)] += 1
        if len(self.examples) < EXAMPLES:
            self.examples.append(failure)


def cause(failure: Failure) -> str:
    """The general part of an error, the same for all files with that error: no source, names, numbers or advice."""
    text = failure.error.removeprefix(f"{failure.source}: ")
    general = re.split(r" \(|[;,]", text, maxsplit=1)[0].strip()
    return re.sub(r"'[^']*'|\b\d+\b", "…", general)
