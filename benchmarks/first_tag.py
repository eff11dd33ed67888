"""CPU seconds of ``optsg-tag`` of one clip in a process of its own, with and without what is kept of earlier ones.

    python benchmarks/first_tag.py --run RUN --clip CLIP --write
    python benchmarks/first_tag.py --run RUN --clip CLIP --before CHECKOUT/.import-root [--run-before RUN]

In turn: with nothing kept (``OPTSG_CACHE`` empty), with what an earlier command kept, and, with ``--before``, by
another version, whose folder is put on the path, with a run that it can open. Seconds are of the process and its decoding process together.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # a script finds only its own folder

from benchmarks.alternating import Timing, Timings  # noqa: E402
from benchmarks.options import add_clip_options, parser, publish  # noqa: E402
from benchmarks.results_file import table  # noqa: E402

PROGRAM = """
try:
    from optsg.evaluate.tag.cli import main
except ImportError:
    from optsg.evaluate.tag_cli import main
main()
"""
"""The command, wherever a version has it."""


def main() -> None:
    """Measures and prints a table."""
    options = parser(__doc__, repetitions=5)
    add_clip_options(options)
    arguments = options.parse_args()
    words = [sys.executable, "-W", "ignore", "-c", PROGRAM, "--json", "--workers", "1", str(arguments.clip.resolve())]
    with tempfile.TemporaryDirectory() as cache:
        ways: dict[str, Mapping[str, str]] = {"nothing kept": {"OPTSG_CACHE": ""}, "kept": {"OPTSG_CACHE": cache}}
        if arguments.before is not None:
            ways["before"] = {"PYTHONPATH": str(arguments.before.resolve())}
        runs = {name: [*words, "--run", str(arguments.run.resolve())] for name in ways}
        if arguments.run_before is not None:
            runs["before"] = [*words, "--run", str(arguments.run_before.resolve())]
        _run(runs["kept"], ways["kept"])
        found: dict[str, list[Timing]] = {name: [] for name in ways}
        for _ in range(arguments.repetitions):
            for name, environment in ways.items():
                found[name].append(_run(runs[name], environment))
    timings = Timings(found)
    rows = [[name, f"{timings.cpu(name):.2f}", f"{timings.wall(name):.2f}", _share(timings, name)] for name in ways]
    header = ["one clip, one process", "CPU s", "wall s", "CPU share of “before”"]
    publish(arguments, "First tag", table(header, rows), note="Trust the CPU column on a shared machine.")


def _share(timings: Timings, name: str) -> str:
    if "before" not in timings.runs:
        return ""
    return f"{timings.cpu(name) / timings.cpu('before'):.2f}"


def _run(words: list[str], environment: Mapping[str, str]) -> Timing:
    before, started = _cpu(), time.perf_counter()
    subprocess.run(words, check=True, capture_output=True, env={**os.environ, **environment})  # noqa: S603
    return Timing(wall=time.perf_counter() - started, cpu=_cpu() - before)


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    main()
