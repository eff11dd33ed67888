"""Many callers at once for long: good, broken and hostile files, some who hang up, decoding processes killed, a SIGTERM.

Every good request must be answered once and right, whatever happens meanwhile; nothing may be answered with 500; memory
must not grow. Callers come again, as they are told to, after 429, 503, and while there is no service.
"""

from __future__ import annotations

import os
import queue
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.served_process import Answer, ServedProcess, form

COME_AGAIN = (-1, 0, 429, 503)
"""Statuses after which a caller tries again; 0: there was no service, -1: it took the request and did not answer."""

HURT = 0.05
"""Share of requests that are broken or hostile."""

LEAVING = 0.02
"""Share of further callers who hang up."""

KILLS = (0.3, 0.6)
TERMINATED = 0.8
"""Parts of the work after which a decoding process is killed, and the service told to end and started again."""

JSON_BOMB = b'{"frames": ' + b"[" * 100_000
PLAYLIST = b"#EXTM3U\n#EXTINF:1,\n/etc/passwd\n"


@dataclass(kw_only=True)
class Outcome:
    """What happened.

    Attributes:
        right, wrong: good requests by their answer.
        statuses: of all requests.
        hurt: of the broken and hostile ones.
        left: callers who hung up.
        lost: good requests that were sent and never answered, and so sent again.
        resident: MiB of the service, now and then.
    """

    right: int = 0
    wrong: list[str] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    hurt: Counter[int] = field(default_factory=Counter)
    left: int = 0
    lost: int = 0
    kills: int = 0
    resident: list[float] = field(default_factory=list)
    exit_codes: list[int] = field(default_factory=list)
    seconds: float = 0.0


def hostile_requests(good: bytes) -> list[Callable[[ServedProcess], Answer]]:
    """Requests that none should answer with tags; ``good`` is the bytes of a video or image."""

    def sent(name: str, data: bytes, *fields: tuple[str, str]) -> Callable[[ServedProcess], Answer]:
        return lambda service: service.tag([(name, data)], fields)

    def features(body: bytes, kind: str) -> Callable[[ServedProcess], Answer]:
        return lambda service: service.post("/v1/tag-features", body, {"Content-Type": kind})

    return [
        sent("cut.mp4", good[: len(good) // 3]),
        sent("noise.mp4", random.Random(0).randbytes(5000)),  # noqa: S311
        sent("empty.png", b""),
        sent("text.webm", b"no video"),
        sent("list.mp4", PLAYLIST),
        sent("../../../etc/passwd", b"root"),
        sent("program.exe", b"MZ"),
        sent("a.mp4", good, ("no such field", "1")),
        sent("a.mp4", good, ("min_precision", "7")),
        sent("a.mp4", good, ("vocabulary", "/etc/passwd\n!/etc/passwd")),
        sent("a.mp4", good, ("pinned", "x"), ("forbidden", "x")),
        lambda service: service.tag([], [("path", "../../etc/passwd")]),
        lambda service: service.tag([], [("title", "of nothing")]),
        lambda service: service.post("/v1/tag", b"--x\r\nbroken", {"Content-Type": "multipart/form-data; boundary=x"}),
        lambda service: service.post("/v1/tag", b"{}", {"Content-Type": "application/json"}),
        lambda service: service.post(
            "/v1/tag", b"", {"Content-Type": "multipart/form-data; boundary=x", "Content-Length": "9" * 15}
        ),
        features(JSON_BOMB, "application/json"),
        features(
            b"\x93NUMPY\x01\x00v\x00{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999, 9)}"
            + b" " * 46
            + b"\n",
            "application/x-npy",
        ),
        features(b"{}", "application/json"),
    ]


def endure(
    start: Callable[[], ServedProcess],
    files: Mapping[str, bytes],
    expected: Mapping[str, Any],
    *,
    requests: int,
    callers: int,
    seed: int = 0,
) -> Outcome:
    """Sends so many requests.

    Args:
        start: starts the service, each time on the same port.
        files: good ones by name.
        expected: the tags of each, as JSON has them.
        requests: good, broken and hostile ones together.
        callers: at a time.
        seed: of what is sent when.
    """
    run = _Run(start, files, expected, requests, seed)
    return run.work(callers)


class _Run:
    def __init__(
        self,
        start: Callable[[], ServedProcess],
        files: Mapping[str, bytes],
        expected: Mapping[str, Any],
        requests: int,
        seed: int,
    ):
        self._start, self._files, self._expected = start, files, expected
        self._requests = requests
        self._names = sorted(files)
        self._hostile = hostile_requests(files[self._names[0]])
        self._dice = random.Random(seed)  # noqa: S311
        self._service = start()
        self._lock = threading.Lock()
        self._done = 0
        self.outcome = Outcome()

    def work(self, callers: int) -> Outcome:
        todo: queue.SimpleQueue[int | None] = queue.SimpleQueue()
        for number in range(self._requests):
            todo.put(number)
        for _ in range(callers):
            todo.put(None)
        started = time.perf_counter()
        threads = [threading.Thread(target=self._call, args=(todo,), daemon=True) for _ in range(callers)]
        for thread in threads:
            thread.start()
        self._disturb(threads)
        self.outcome.seconds = time.perf_counter() - started
        self.outcome.resident.append(self._service.resident_mib())
        self._end()
        return self.outcome

    def _disturb(self, threads: Sequence[threading.Thread]) -> None:
        """Kills and ends while the callers call."""
        kills, terminated, measured = list(KILLS), False, 0
        while any(thread.is_alive() for thread in threads):
            time.sleep(0.02)
            part = self._done / self._requests
            if int(part * 20) > measured:
                measured = int(part * 20)
                self.outcome.resident.append(self._service.resident_mib())
            if kills and part >= kills[0] and (workers := self._service.workers()):
                os.kill(workers[0], signal.SIGKILL)
                self.outcome.kills += 1
                kills.pop(0)
            if not terminated and part >= TERMINATED:
                terminated = True
                self._end()
                self._service = self._start()

    def _end(self) -> None:
        self._service.terminate()
        self.outcome.exit_codes.append(self._service.process.wait(300))

    def _call(self, todo: queue.SimpleQueue[int | None]) -> None:
        while (number := todo.get()) is not None:
            dice = random.Random(number)  # noqa: S311
            if dice.random() < LEAVING:
                self._leave(dice)
            if dice.random() < HURT:
                self._ask_badly(number)
            else:
                self._ask(self._names[number % len(self._names)])
            with self._lock:
                self._done += 1

    def _leave(self, dice: random.Random) -> None:
        name = dice.choice(self._names)
        body, kind = form([(name, self._files[name])])
        self._service.send_and_leave(body, {"Content-Type": kind}, part=dice.choice((0.5, 1.0)))
        with self._lock:
            self.outcome.left += 1

    def _ask_badly(self, number: int) -> None:
        ask = self._hostile[number % len(self._hostile)]
        while (answer := ask(self._service)).status in COME_AGAIN:
            time.sleep(0.1)
        with self._lock:
            self.outcome.hurt[answer.status] += 1
            self.outcome.statuses[answer.status] += 1

    def _ask(self, name: str) -> None:
        while (answer := self._service.tag([(name, self._files[name])])).status in COME_AGAIN:
            with self._lock:
                self.outcome.statuses[answer.status] += 1
                self.outcome.lost += answer.status == -1
            time.sleep(0.1)
        with self._lock:
            self.outcome.statuses[answer.status] += 1
            found = answer.body["results"][0].get("tags") if answer.status == 200 else answer.body
            if found == self._expected[name]:
                self.outcome.right += 1
            else:
                self.outcome.wrong.append(f"{name}: {answer.status} {str(answer.body)[:300]}")


def good_files(paths: Sequence[Path]) -> dict[str, bytes]:
    """Files by their names."""
    return {path.name: path.read_bytes() for path in paths}
