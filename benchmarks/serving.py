"""``optsg-serve`` beside ``optsg-tag`` on the same files: throughput, latency, first answer, and endurance.

    python benchmarks/serving.py --run RUN --files FOLDER [--requests 10000] [--endure-with RUN2 FOLDER2] [--write]

Everything is on loopback. Throughput: 32 callers send all files of the folder, each its next one as soon as the last is answered,
while between two such rounds ``optsg-tag``'s own code tags the same files in a process that is started already; processor
seconds are those of all processes of each side. Half load: callers come at half the rate of the best round, evenly.
Endurance: ``benchmarks/serving_endurance.py``; with a small run of its own it takes minutes in place of hours.
"""

from __future__ import annotations

import argparse
import json
import queue
import resource
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # a script finds only its own folder

from benchmarks.options import parser, publish  # noqa: E402
from benchmarks.results_file import table  # noqa: E402
from benchmarks.served_process import ServedProcess, free_port  # noqa: E402
from benchmarks.serving_endurance import Outcome, endure, good_files  # noqa: E402

CALLERS = 32
HEADING = "Serving"


@dataclass(frozen=True, kw_only=True)
class Round:
    """All files, once: files a second by the clock, and processor seconds of each."""

    rate: float
    cost: float


class TaggingProcess:
    """``optsg-tag``'s own code in a process, which tags a folder's files whenever it is told to."""

    def __init__(self, run: Path, files: Sequence[Path], workers: int):
        command = [sys.executable, __file__, "--as-tagger", str(run), str(workers), *map(str, files)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)  # noqa: S603

    def tags(self) -> dict[str, Any]:
        """Of every file, by its name."""
        return cast("dict[str, Any]", self._ask()["tags"])

    def round(self) -> Round:
        """Tags all files."""
        answer = self._ask()
        count = len(answer["tags"])
        return Round(rate=count / answer["wall"], cost=answer["cpu"] / count)

    def _ask(self) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return cast("dict[str, Any]", json.loads(self._process.stdout.readline()))

    def close(self) -> None:
        """Ends it."""
        self._process.communicate("")


def be_the_tagger(run: Path, workers: int, files: Sequence[Path]) -> None:
    """What :class:`TaggingProcess` runs: a line in, a round's tags and costs out."""
    from optsg.evaluate.tag.file_encoder import Work
    from optsg.evaluate.tag.file_tagger import FileTagger
    from optsg.evaluate.tag.requests import TagRequests

    with FileTagger.open(run, work=Work(workers=workers)) as tagger:
        for _ in sys.stdin:
            started, before = time.perf_counter(), _processor_seconds()
            groups = list(tagger.tag_many(TagRequests(files)))
            wall, cpu = time.perf_counter() - started, _processor_seconds() - before
            tags = {Path(one.path).name: one.rows() for group in groups for one in group}
            print(json.dumps({"wall": wall, "cpu": cpu, "tags": tags}), flush=True)


def _processor_seconds() -> float:
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def ask_for_all(service: ServedProcess, files: dict[str, bytes], expected: dict[str, Any], callers: int) -> Round:
    """So many callers send every file once; every answer has to be right."""
    todo: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    for name in [*files, *[None] * callers]:
        todo.put(name)
    before, started = service.processor_seconds(), time.perf_counter()
    _in_threads(callers, lambda: _send_from(todo, service, files, expected))
    wall = time.perf_counter() - started
    return Round(rate=len(files) / wall, cost=(service.processor_seconds() - before) / len(files))


def _send_from(
    todo: queue.SimpleQueue[str | None], service: ServedProcess, files: dict[str, bytes], expected: dict[str, Any]
) -> None:
    while (name := todo.get()) is not None:
        _check(service, name, files[name], expected)


def _check(service: ServedProcess, name: str, data: bytes, expected: dict[str, Any]) -> None:
    while (answer := service.tag([(name, data)])).status == 429:
        time.sleep(0.1)
    if answer.status != 200 or answer.body["results"][0].get("tags") != expected[name]:
        raise SystemExit(f"{name}: {answer.status} {answer.body}, not the tags of optsg-tag")


def _in_threads(count: int, work: Callable[[], None]) -> None:
    threads = [threading.Thread(target=work) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def latencies(
    service: ServedProcess, files: dict[str, bytes], expected: dict[str, Any], rate: float, seconds: float
) -> list[float]:
    """Seconds of each answer where callers come evenly at a rate."""
    names, found, lock = sorted(files), list[float](), threading.Lock()

    def call(name: str) -> None:
        started = time.perf_counter()
        _check(service, name, files[name], expected)
        with lock:
            found.append(time.perf_counter() - started)

    threads, begun = list[threading.Thread](), time.perf_counter()
    for number in range(max(20, int(rate * seconds))):
        time.sleep(max(0.0, begun + number / rate - time.perf_counter()))
        threads.append(threading.Thread(target=call, args=(names[number % len(names)],)))
        threads[-1].start()
    for thread in threads:
        thread.join()
    return found


def measure(arguments: argparse.Namespace) -> str:
    """Throughput, latency and first answer, as a table."""
    paths = _media(arguments.files)[: arguments.most]
    files = good_files(paths)
    tagger = TaggingProcess(arguments.run, paths, arguments.workers)
    expected = tagger.tags()
    ours, theirs = list[Round](), list[Round]()
    with ServedProcess(arguments.run, "--workers", str(arguments.workers)) as service:
        started = time.perf_counter()
        _check(service, paths[0].name, files[paths[0].name], expected)
        first, first_tags = service.first_answer, time.perf_counter() - started
        ask_for_all(service, files, expected, CALLERS)
        for _ in range(arguments.repetitions):
            theirs.append(tagger.round())
            ours.append(ask_for_all(service, files, expected, CALLERS))
        tagger.close()
        rate = statistics.median(one.rate for one in ours) / 2
        seconds = sorted(latencies(service, files, expected, rate, arguments.seconds))
    by_clock = statistics.median(a.rate / b.rate for a, b in zip(ours, theirs, strict=True))
    by_cost = statistics.median(b.cost / a.cost for a, b in zip(ours, theirs, strict=True))
    rows = [
        ["files", f"{len(files)}"],
        ["files a second, `optsg-tag`", f"{statistics.median(one.rate for one in theirs):.2f}"],
        [f"files a second, {CALLERS} callers", f"{statistics.median(one.rate for one in ours):.2f}"],
        ["their ratio, median of the rounds", f"{by_clock:.2f}"],
        ["processor milliseconds a file, `optsg-tag`", f"{1e3 * statistics.median(one.cost for one in theirs):.0f}"],
        [
            f"processor milliseconds a file, {CALLERS} callers",
            f"{1e3 * statistics.median(one.cost for one in ours):.0f}",
        ],
        ["throughput of a processor second beside `optsg-tag`'s", f"{by_cost:.2f}"],
        [f"half load ({rate:.2f} files a second), p50", f"{seconds[len(seconds) // 2]:.2f} s"],
        ["half load, p95", f"{seconds[int(len(seconds) * 0.95)]:.2f} s"],
        ["from the start until it is ready", f"{first:.1f} s"],
        ["first answer after that", f"{first_tags:.2f} s"],
    ]
    return table(["", "measured"], rows)


def endurance(run: Path, folder: Path, requests: int, workers: int, log: Path) -> str:
    """The endurance run, as a table."""
    paths, port = _media(folder)[:100], free_port()
    tagger = TaggingProcess(run, paths, workers)
    expected = tagger.tags()
    tagger.close()
    outcome = endure(
        lambda: ServedProcess(run, "--workers", str(workers), port=port, log=log),
        good_files(paths),
        expected,
        requests=requests,
        callers=CALLERS,
    )
    return table(["endurance", ""], rows_of(outcome, requests))


def rows_of(outcome: Outcome, requests: int) -> list[list[str]]:
    """What happened, for people."""
    failed = sum(count for status, count in outcome.statuses.items() if status >= 500 and status != 503)
    settled = outcome.resident[len(outcome.resident) // 4 :]
    hurt = ", ".join(f"{count:,} × {status}" for status, count in sorted(outcome.hurt.items()))
    return [
        ["requests, callers who hung up besides", f"{requests:,}, {outcome.left:,}"],
        ["good ones answered once and right", f"{outcome.right:,} of {requests - sum(outcome.hurt.values()):,}"],
        ["good ones answered wrongly; taken and never answered", f"{len(outcome.wrong):,}; {outcome.lost:,}"],
        ["broken and hostile ones, by answer", hurt],
        ["answers 500", f"{failed:,}"],
        ["decoding processes killed", f"{outcome.kills}"],
        ["exit codes after SIGTERM under load, and at the end", ", ".join(map(str, outcome.exit_codes))],
        ["MiB of the service, after a quarter and at the end", f"{settled[0]:.0f}, {settled[-1]:.0f}"],
        ["requests a second, restart included", f"{requests / outcome.seconds:.1f}"],
    ]


def _media(folder: Path) -> list[Path]:
    from optsg.data.inputs.media_folder import media_kind

    return sorted(path for path in folder.iterdir() if path.is_file() and media_kind(path.name) is not None)


def main(words: Sequence[str]) -> None:
    """The command."""
    if words[:1] == ["--as-tagger"]:
        be_the_tagger(Path(words[1]), int(words[2]), list(map(Path, words[3:])))
        return
    options = parser(__doc__, repetitions=3)
    options.add_argument("--run", type=Path, required=True, help="a trained run")
    options.add_argument("--files", type=Path, required=True, help="folder of videos and images")
    options.add_argument("--most", type=int, default=128, help="files of it [%(default)s]")
    options.add_argument("--workers", type=int, default=2, help="decoding processes of either [%(default)s]")
    options.add_argument("--seconds", type=float, default=60.0, help="of half load [%(default)s]")
    options.add_argument("--requests", type=int, default=10_000, help="of the endurance run [%(default)s]")
    options.add_argument("--endure-with", type=Path, nargs=2, metavar="PATH", help="its own run and folder")
    arguments = options.parse_args(words)
    body = measure(arguments)
    if arguments.requests:
        run, folder = arguments.endure_with or (arguments.run, arguments.files)
        arguments.work.mkdir(parents=True, exist_ok=True)
        body += "\n\n" + endurance(run, folder, arguments.requests, arguments.workers, arguments.work / "serving.log")
    publish(arguments, HEADING, body, packages=("torch", "fastapi", "uvicorn"))


if __name__ == "__main__":
    main(sys.argv[1:])
