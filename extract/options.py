"""How an extraction is run: everything that does not change what comes out."""

from __future__ import annotations

import os
from dataclasses import dataclass

from ..data.errors import ConfigError

DEFAULT_TIMEOUT = 300.0


@dataclass(frozen=True, kw_only=True)
class ExtractionOptions:
    """Settings of a run.

    Attributes:
        batch_size: pictures per call of the image encoder.
        workers: decoding processes; ``None`` is one for each processor that this process may use.
        timeout: seconds of wall time that reading one input may take.
        thumbnails: keep a small JPEG per input.
        strict: stop at the first failure.
        overwrite: replace the output, and begin anew where an unfinished extraction lies beside it.
        retry_failed: try inputs again that failed before.
    """

    batch_size: int = 64
    workers: int | None = None
    timeout: float = DEFAULT_TIMEOUT
    thumbnails: bool = True
    strict: bool = False
    overwrite: bool = False
    retry_failed: bool = False

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise ConfigError(f"--batch-size {self.batch_size} is out of range; expected 1 or more")
        if self.workers is not None and self.workers < 1:
            raise ConfigError(f"--workers {self.workers} is out of range; expected 1 or more")
        if not 0 < self.timeout <= 1e6:
            raise ConfigError(f"--timeout {self.timeout:g} is out of range; expected seconds above 0, at most 1000000")

    @property
    def worker_count(self) -> int:
        """Number of decoding processes."""
        return self.workers or available_processors()


def available_processors() -> int:
    """Processors that this process may use, which in a container are often fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
