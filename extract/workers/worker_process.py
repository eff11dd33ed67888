"""One decoding process seen from outside: started, asked, given up on, replaced by its owner.

A process of its own is the only thing that can be stopped when native code hangs, and the only thing that a crash ends.
It is started from nothing (no fork: decoders that were open in a forked process hang) and without
:mod:`multiprocessing`, which would run the caller's script again in every worker.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import IO, Any, cast

import numpy as np

from ...data.errors import OptsgError
from ...data.media import MediaKind, Payload, TarMember
from . import wire
from .preparation import Preparation, Prepared, Unreadable

START_SECONDS = 120.0
"""Importing decoders from a cold disk takes seconds; a process that needs longer will never be of use."""

MEMORY = 3 * 2**30
"""Bytes of private memory that a decoding process may use. A 4K video needs about 0.5 GiB."""

_PROGRAM = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from optsg.extract.workers.worker import main; main()"
)
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


class WorkerStartError(OptsgError):
    """No decoding process can be started."""


@dataclass(frozen=True, kw_only=True)
class ProcessSettings:
    """What a decoding process is started with.

    Attributes:
        how: how inputs are made ready.
        seconds: wall time that one input may take.
        memory: bytes of private memory.
    """

    how: Preparation
    seconds: float
    memory: int = MEMORY


class WorkerProcess:
    """A running decoding process. Use from one thread.

    Attributes:
        usable: whether it can be asked for another input.

    Raises:
        WorkerStartError: it does not start; the message ends with what it said.
    """

    def __init__(self, settings: ProcessSettings):
        self._settings = settings
        self._words = cast("IO[bytes]", tempfile.TemporaryFile())  # noqa: SIM115 (closed with the process)
        self._process = subprocess.Popen(  # noqa: S603 (our own program and the running interpreter)
            [sys.executable, "-c", _PROGRAM, json.dumps(sys.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._words,
            env={**os.environ, **_ONE_THREAD},
        )
        self.usable = True
        self._killed = False
        with self._time_limit(START_SECONDS):
            try:
                self._send(
                    {
                        "plan": settings.how.plan.spec(),
                        "sampling": settings.how.sampling.spec(),
                        "thumbnails": settings.how.thumbnails,
                        "memory": settings.memory,
                    }
                )
                wire.receive(self._stdout)
            except (OSError, EOFError, wire.BrokenMessageError) as error:
                reason = self._last_words()
                self.close()
                raise WorkerStartError(f"a decoding process could not be started ({reason})") from error

    def prepare(self, kind: MediaKind, payload: Payload) -> Prepared | Unreadable | None:
        """Lets the process read one input; if it takes too long or dies, the process is of no more use.

        ``None``: it had died before it got the input, which is not the input's fault.
        """
        seconds = self._settings.seconds
        source, where = _wire_form(payload)
        digest, broken = "", False
        with self._time_limit(seconds):
            try:
                self._send({"kind": kind, **where, "seconds": seconds}, source)
            except OSError:
                self.close()
                return None
            try:
                digest = wire.receive(self._stdout)[0]["digest"]
                fields, blocks = wire.receive(self._stdout)
                self.usable = not fields.pop("retiring")
                return _result(fields, blocks)
            except (wire.BrokenMessageError, KeyError, ValueError, TypeError):
                broken = True
                self._process.kill()
            except (OSError, EOFError):
                pass
        self.close()
        if self._killed:
            error = f"reading it took longer than {seconds:g} s and was stopped"
            return Unreadable(error=error, status="timeout", digest=digest, seconds=seconds)
        how = "it gave no proper answer" if broken else self._end()
        return Unreadable(error=f"reading it ended the decoding process ({how})", status="crashed", digest=digest)

    def close(self) -> None:
        """Ends the process, gently if it is idle; waits until it is gone."""
        self.usable = False
        with contextlib.suppress(OSError):
            self._stdin.close()
        try:
            self._process.wait(timeout=5.0)  # the interpreter takes its time to end on a busy machine
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._stdout.close()
        self._words.close()

    @property
    def pid(self) -> int:
        """Process id of the worker."""
        return self._process.pid

    def kill(self) -> None:
        """Ends the process at once; may be called from another thread."""
        self._process.kill()

    @property
    def _stdin(self) -> IO[bytes]:
        return cast("IO[bytes]", self._process.stdin)

    @property
    def _stdout(self) -> IO[bytes]:
        return cast("IO[bytes]", self._process.stdout)

    def _send(self, header: Mapping[str, Any], *blocks: wire.Buffer) -> None:
        wire.send(self._stdin, header, blocks)

    @contextlib.contextmanager
    def _time_limit(self, seconds: float) -> Any:
        """Kills the process if the block takes longer; the block then sees the end of the stream."""

        def give_up() -> None:
            self._killed = True
            self._process.kill()

        timer = threading.Timer(seconds, give_up)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            timer.join()  # a limit that was reached in the very last moment must not be taken for the next input's
            self.usable = self.usable and not self._killed

    def _end(self) -> str:
        code = self._process.returncode
        if code >= 0:
            return f"exit code {code}"
        try:
            return signal.Signals(-code).name
        except ValueError:
            return f"signal {-code}"

    def _last_words(self) -> str:
        self._words.seek(0)
        lines = self._words.read().decode("utf-8", "replace").strip().splitlines()
        return lines[-1] if lines else "it said nothing"


def _wire_form(payload: Payload) -> tuple[bytes, dict[str, Any]]:
    """Bytes or name of a file, and how they are to be taken."""
    if isinstance(payload, bytes):
        return payload, {"in_memory": True}
    if isinstance(payload, TarMember):
        return os.fsencode(payload.path), {"in_memory": False, "member": [payload.offset, payload.size]}
    return os.fsencode(payload), {"in_memory": False, "member": None}


def _result(fields: dict[str, Any], blocks: list[memoryview]) -> Prepared | Unreadable:
    """An answer as the process meant it; raises ``TypeError``, ``KeyError`` or ``ValueError`` for any other."""
    if "error" in fields:
        return Unreadable(**fields)
    pixels, times, thumbnail = blocks
    shape = tuple(int(n) for n in fields.pop("shape"))
    return Prepared(
        pixels=np.frombuffer(pixels, np.uint8).reshape(shape),
        times=np.frombuffer(times, np.float32),
        thumbnail=bytes(thumbnail),
        **fields,
    )
