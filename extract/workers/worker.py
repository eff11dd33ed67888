"""A decoding process: reads one file at a time on request, and may be killed at any moment.

Started by :mod:`optsg.extract.workers.worker_process`, never by people. Requests come on standard input, answers go to what was
standard output; both as :mod:`optsg.extract.workers.wire` has them. It ends by itself when the other side is gone.
"""

from __future__ import annotations

import contextlib
import math
import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

from ...data.media import TarMember
from ..decoding.sampling import Sampling
from ..encoders.pixel_plan import PixelPlan
from . import wire
from .preparation import Preparation, Prepared, Unreadable, prepare, processor_seconds, source_digest

NICENESS = 10
"""The encoder goes first: what is decoded waits for it, not the other way round."""

GRACE_SECONDS = 5.0
"""How much later than its owner a process ends itself, should the owner have been killed meanwhile."""

RETIRE_BYTES = 512 * 2**20
RETIRE_FILES = 2000
"""Native decoders lose a little memory with every file; a process that has become large makes room for a new one."""


def main() -> None:
    """Serves requests until there are no more."""
    requests, answers = _private_streams()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes; the owner decides
    with contextlib.suppress(EOFError, BrokenPipeError, wire.BrokenMessageError):
        settings, _ = wire.receive(requests)
        _behave(settings["memory"])
        how = Preparation(
            plan=PixelPlan.from_spec(settings["plan"]),
            sampling=Sampling.from_spec(settings["sampling"]),
            thumbnails=settings["thumbnails"],
        )
        wire.send(answers, {"ready": os.getpid()})
        for number in range(1, RETIRE_FILES + 1):
            request, (source,) = wire.receive(requests)
            _limit_time(request["seconds"] + GRACE_SECONDS)
            payload = _payload(request, source)
            digest = "" if isinstance(payload, Unreadable) else source_digest(payload)
            wire.send(answers, {"digest": digest})
            started = processor_seconds()
            result = payload if isinstance(payload, Unreadable) else prepare(request["kind"], payload, how)
            result = replace(result, digest=digest, seconds=processor_seconds() - started)
            _limit_time(0)
            retiring = number == RETIRE_FILES or resident_bytes() > RETIRE_BYTES
            _answer(answers, result, retiring)
            if retiring:
                return


def _payload(request: Mapping[str, Any], source: memoryview) -> Path | bytes | Unreadable:
    if request["in_memory"]:
        return bytes(source)
    path = Path(os.fsdecode(bytes(source)))
    if request["member"] is None:
        return path
    offset, size = request["member"]
    try:
        return TarMember(path=path, offset=offset, size=size).read()
    except OSError as error:
        return Unreadable(error=f"its bytes cannot be read from the tar file: {error.strerror or error}")


def _private_streams() -> tuple[BinaryIO, BinaryIO]:
    """The two pipes, out of reach of native code that prints to standard output."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return sys.stdin.buffer, answers


def _behave(memory: int) -> None:
    """Lower priority and a limit for memory, where the system has such a thing."""
    with contextlib.suppress(OSError, AttributeError):
        os.nice(NICENESS)
    if sys.platform == "linux":  # elsewhere the limit is not kept, or counts what was only reserved
        import resource

        _, most = resource.getrlimit(resource.RLIMIT_DATA)
        limit = memory if most == resource.RLIM_INFINITY else min(memory, most)
        resource.setrlimit(resource.RLIMIT_DATA, (limit, most))


def _limit_time(seconds: float) -> None:
    """Lets the system end this process after so long, in native code or not; 0 takes that back."""
    if hasattr(signal, "alarm"):
        signal.alarm(math.ceil(seconds))


def resident_bytes() -> int:
    """Memory of this process at present; at most where only that is known."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0


def _answer(answers: BinaryIO, result: Prepared | Unreadable, retiring: bool) -> None:
    fields: dict[str, Any] = {**vars(result), "retiring": retiring}
    if isinstance(result, Unreadable):
        wire.send(answers, fields)
        return
    pixels, times, thumbnail = (fields.pop(name) for name in ("pixels", "times", "thumbnail"))
    wire.send(answers, {**fields, "shape": pixels.shape}, [pixels.data, times.tobytes(), thumbnail])
