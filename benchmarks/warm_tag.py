"""CPU seconds of one more clip in a tagger that is open: this version against another, in turn.

    python benchmarks/warm_tag.py --run RUN --clip CLIP --write
    python benchmarks/warm_tag.py --run RUN --clip CLIP --before CHECKOUT/.import-root --run-before RUN

Every repetition opens a tagger in a process of its own and measures what further clips cost there. Seconds are of that
process and its decoding process together. PyTorch and NumPy use one thread.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # a script finds only its own folder

from benchmarks.alternating import Timing, Timings  # noqa: E402
from benchmarks.options import add_clip_options, parser, publish  # noqa: E402
from benchmarks.results_file import table  # noqa: E402

CLIPS = 10

PROGRAM = """
import inspect, sys, time
import psutil
try:
    from optsg.evaluate.tag.tagger import Tagger
except ImportError:
    from optsg.evaluate.tagger import Tagger
run, clip, count = sys.argv[1:]
takes = inspect.signature(Tagger.from_pretrained).parameters
tagger = Tagger.from_pretrained(run, device="cpu", **({"workers": 1} if "workers" in takes else {}))
def cpu():
    return time.process_time() + sum(sum(each.cpu_times()[:2]) for each in psutil.Process().children(recursive=True))
for _ in range(3):
    tagger.tag(clip, "our cat at the window")
before, started = cpu(), time.perf_counter()
for _ in range(int(count)):
    tagger.tag(clip, "our cat at the window")
print(cpu() - before, time.perf_counter() - started)
"""

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


def main() -> None:
    """Measures and prints a table."""
    options = parser(__doc__, repetitions=5)
    add_clip_options(options)
    arguments = options.parse_args()
    ways: dict[str, tuple[Path, Mapping[str, str]]] = {"this version": (arguments.run, {})}
    if arguments.before is not None:
        path = {"PYTHONPATH": str(arguments.before.resolve())}
        ways["before"] = (arguments.run_before or arguments.run, path)
    found: dict[str, list[Timing]] = {name: [] for name in ways}
    for _ in range(arguments.repetitions):
        for name, (run, environment) in ways.items():
            found[name].append(_clip(run, arguments.clip, environment))
    timings = Timings(found)
    rows = [
        [name, f"{1000 * timings.cpu(name):.0f}", f"{1000 * timings.wall(name):.0f}", _times(timings, name)]
        for name in ways
    ]
    header = ["one more clip", "CPU ms", "wall ms", "times as fast as “before”, of CPU"]
    publish(arguments, "Warm tag", table(header, rows), note="Trust the CPU column on a shared machine.")


def _times(timings: Timings, name: str) -> str:
    return f"{timings.cpu('before') / timings.cpu(name):.2f}" if "before" in timings.runs else ""


def _clip(run: Path, clip: Path, environment: Mapping[str, str]) -> Timing:
    words = [sys.executable, "-W", "ignore", "-c", PROGRAM, str(run.resolve()), str(clip.resolve()), str(CLIPS)]
    ended = subprocess.run(  # noqa: S603 (our own program and the running interpreter)
        words, check=True, capture_output=True, text=True, env={**os.environ, **ONE_THREAD, **environment}
    )
    cpu, wall = (float(seconds) / CLIPS for seconds in ended.stdout.split()[-2:])
    return Timing(wall=wall, cpu=cpu)


if __name__ == "__main__":
    main()
