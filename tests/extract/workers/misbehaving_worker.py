"""A decoding process that does what its input says: hang, crash, print. Everything else it decodes as usual."""

from __future__ import annotations

import ctypes
import os
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
from optsg.extract.decoding import decode_video_with
from optsg.extract.workers import preparation, worker

PROGRAM = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from tests.extract.workers.misbehaving_worker import main; main()"


def misbehave(convert: Any, payload: Path | bytes, *arguments: Any, **options: Any) -> Any:
    order = payload if isinstance(payload, bytes) else payload.read_bytes()[:40]
    if order == b"hang":
        ctypes.PyDLL(None).sleep(1000)  # in native code, and with the interpreter locked: not even a thread could help
    if order == b"crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if order == b"exit":
        os._exit(3)
    if order == b"memory":
        np.ones(8 * 2**30, np.uint8)
    if order == b"print":
        os.write(1, b"native code prints to standard output")
        payload = b""
    if order == b"lie":
        os.write(_answers(), b"\xff" * 64)
    if order.startswith(b"wait"):
        time.sleep(float(order[4:]))
        payload = b""
    return decode_video_with(convert, payload, *arguments, **options)


def _answers() -> int:
    """The pipe to the owner: the highest open descriptor that is one."""
    links = {int(link.name): link for link in Path("/proc/self/fd").iterdir()}
    return max(
        number for number, link in links.items() if os.path.lexists(link) and str(link.readlink())[:5] == "pipe:"
    )


def main() -> None:
    preparation.decode_video_with = misbehave  # type: ignore[attr-defined]
    worker.main()
