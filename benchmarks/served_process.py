"""``optsg-serve`` in a process of its own, and callers of it: for its benchmark and its tests."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

PROC = Path("/proc")
TICKS = os.sysconf("SC_CLK_TCK")
PROGRAM = (
    "import json, sys; sys.path[:] = json.loads(sys.argv.pop(1)); from optsg.evaluate.serve.cli import main; main()"
)
START_SECONDS = 600.0
ANSWER_SECONDS = 300.0


@dataclass(frozen=True, kw_only=True)
class Answer:
    """Status and JSON of an answer; status 0 where there was no service, -1 where none came to what was sent."""

    status: int
    body: Any = None


class ServedProcess:
    """Starts the command, and waits until it answers. Use as a context manager.

    Args:
        words: of its command line, besides the port.
        port: 0 is a free one.

    Attributes:
        first_answer: seconds from the start until it was ready.
    """

    def __init__(self, *words: str | Path, port: int = 0, log: Path | None = None):
        self._log = log
        self.port = port or free_port()
        errors = subprocess.DEVNULL if log is None else log.open("ab")
        command = [sys.executable, "-c", PROGRAM, json.dumps(sys.path), *map(str, words), "--port", str(self.port)]
        started = time.perf_counter()
        self.process = subprocess.Popen(command, stderr=errors, stdout=subprocess.DEVNULL)  # noqa: S603
        if not isinstance(errors, int):
            errors.close()
        while self.get("/readyz").status != 200:
            if self.process.poll() is not None or time.perf_counter() - started > START_SECONDS:
                raise SystemExit(f"the service did not start: {self.said()}")
            time.sleep(0.05)
        self.first_answer = time.perf_counter() - started

    def said(self) -> str:
        """What it wrote to its log."""
        return "" if self._log is None else self._log.read_text(encoding="utf-8")

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> Answer:
        """Asks for an address."""
        return self._ask("GET", path, None, dict(headers or {}))

    def post(self, path: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Sends a body."""
        return self._ask("POST", path, body, dict(headers))

    def tag(self, media: Sequence[tuple[str, bytes]] = (), fields: Sequence[tuple[str, str]] = ()) -> Answer:
        """Sends files, by the names that they are given, and fields."""
        body, kind = form(media, fields)
        return self.post("/v1/tag", body, {"Content-Type": kind})

    def _ask(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=ANSWER_SECONDS)
        with contextlib.closing(connection):
            try:
                connection.connect()
            except OSError:
                return Answer(status=0)
            try:
                with contextlib.suppress(
                    BrokenPipeError, ConnectionResetError
                ):  # refused while it was being sent: there is an answer already
                    connection.request(method, path, body, headers)
                response = connection.getresponse()
                text = response.read()
            except (OSError, http.client.HTTPException):
                return Answer(status=-1)
        try:
            return Answer(status=response.status, body=json.loads(text))
        except ValueError:
            return Answer(status=response.status, body=text.decode("utf-8", "replace"))

    def send_and_leave(self, body: bytes, headers: Mapping[str, str], *, part: float) -> None:
        """Sends this part of a request, of 1 the whole, and hangs up without waiting for an answer."""
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        head = f"POST /v1/tag HTTP/1.1\r\nHost: 127.0.0.1\r\n{head}Content-Length: {len(body)}\r\n\r\n"
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=30) as connection:
            connection.sendall(head.encode() + body[: int(part * len(body))])

    def workers(self) -> list[int]:
        """Its decoding processes."""
        return children(self.process.pid)

    def resident_mib(self) -> float:
        """Memory of the service itself."""
        lines = _read(PROC / str(self.process.pid) / "status")
        found = re.search(r"VmRSS:\s+(\d+)", lines)
        return int(found[1]) / 1024 if found else 0.0

    def processor_seconds(self) -> float:
        """Of the service and of all processes below it, those that ended included."""
        return sum(_processor_seconds(pid) for pid in (self.process.pid, *self.workers()))

    def terminate(self) -> None:
        """Sends SIGTERM, and waits for nothing."""
        self.process.send_signal(signal.SIGTERM)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.terminate()
            try:
                self.process.wait(120)
            except subprocess.TimeoutExpired:
                self.process.kill()
        self.process.wait()


def free_port() -> int:
    """One that nobody listens on at present."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    return port


def form(media: Sequence[tuple[str, bytes]], fields: Sequence[tuple[str, str]] = ()) -> tuple[bytes, str]:
    """A multipart form and its media type."""
    boundary = uuid.uuid4().hex
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'.encode() + data
        for name, data in media
    ]
    parts += [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}'.encode()
        for name, value in fields
    ]
    return b"\r\n".join([*parts, f"--{boundary}--\r\n".encode()]), f"multipart/form-data; boundary={boundary}"


def children(pid: int) -> list[int]:
    """Processes below one."""
    found: list[int] = []
    for task in (PROC / str(pid) / "task").glob("*"):
        found += [int(child) for child in _read(task / "children").split()]
    return found


def _processor_seconds(pid: int) -> float:
    fields = _read(PROC / str(pid) / "stat").rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / TICKS if fields else 0.0


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
