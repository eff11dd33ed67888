"""What is kept of every video costs: finishing a store, opening it, preparing a training, and the order of an epoch.

    python benchmarks/many_videos.py --write
    python benchmarks/many_videos.py --videos 1000 10000

Videos have one frame of 8 numbers, so that their features weigh nothing: what is left are ids, titles, tags, tokens and
offsets, of which a store has as many as videos. "Finishing" joins the parts that an extraction wrote to one store (new tags
are embedded there, by a table here). "Preparing" is what ``optsg-train`` does before its first step: tag table, vocabulary, a
small model, what it warns of; "order" draws the batches of one epoch. Each measurement is a process of its own; memory is its
peak, with and without the pages of mapped files, which the system takes back whenever somebody needs them.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # a script finds only its own folder

from benchmarks.measured_process import run_measured  # noqa: E402
from benchmarks.options import parser, publish  # noqa: E402
from benchmarks.results_file import table  # noqa: E402
from benchmarks.synthetic_store import TINY_TEXT, synthetic_header, text_tables, write_parts  # noqa: E402

FRAMES, WIDTH, BATCH = 1, 8, 256
MODEL = ("width=64", "heads=2", "copy_title=false", "tag_head=false", f"batch_size={BATCH}")
STEPS = ("open", "prepare", "order")
MILLION = 1_000_000


def finish(parts: Path, out: Path) -> dict[str, float]:
    """Parts to a store, in this process."""
    from optsg.data.store.merging.merge import merge_parts

    tables, header = text_tables(TINY_TEXT), synthetic_header(WIDTH, TINY_TEXT.width)
    started = time.perf_counter()
    merge_parts(sorted(parts.iterdir()), out, header, tables)
    return {"finish": time.perf_counter() - started}


def prepare(path: Path) -> dict[str, float]:
    """Everything before the first step of a training, in this process."""
    import numpy as np
    import torch
    from optsg.data.batching import bucketed_batches, video_lengths
    from optsg.data.store import open_store
    from optsg.train.loop.processes import Processes
    from optsg.train.loop.trainer import Trainer
    from optsg.train.run.plan import plan_run

    processes = Processes.alone(torch.device("cpu"))
    times = [time.perf_counter()]
    with open_store(path) as store, tempfile.TemporaryDirectory() as folder:
        times.append(time.perf_counter())
        plan = plan_run(store, path, system="op-tsg", size="small", settings=MODEL, seed=0)
        Trainer(store, Path(folder), plan.config, plan.tag_table, plan.tokenizer, processes).warnings()
        times.append(time.perf_counter())
        rows = store.indices("train")
        bucketed_batches(rows, video_lengths(store, rows), BATCH, np.random.default_rng(0))
        times.append(time.perf_counter())
    return {name: end - start for name, start, end in zip(STEPS, times, times[1:], strict=False)}


MEASURES: Mapping[str, Callable[..., dict[str, float]]] = {"finish": finish, "prepare": prepare}


def measured(name: str, *paths: Path) -> dict[str, float]:
    """One of ``MEASURES`` in a process of its own: seconds and memory by column."""
    usage = run_measured([sys.executable, __file__, "--measure", name, *paths])
    memory = {f"{name} MiB": usage.main_anonymous_mib, f"{name} MiB, mapped too": usage.main_mib}
    return {**json.loads(usage.stdout.splitlines()[-1]), **memory}


def measure(work: Path, videos: int) -> dict[str, float]:
    """What a store of so many videos costs."""
    with tempfile.TemporaryDirectory(dir=work) as name:
        folder = Path(name)
        (folder / "parts").mkdir()
        header = synthetic_header(WIDTH, TINY_TEXT.width)
        write_parts(folder / "parts", header, videos=videos, frames=FRAMES)
        store = folder / "store.h5"
        costs = measured("finish", folder / "parts", store)
        return {**costs, "MB": store.stat().st_size / 1e6, **measured("prepare", store)}


COLUMNS = {
    "store MB": "MB",
    "finishing s": "finish",
    "its peak MiB": "finish MiB",
    "with mapped files": "finish MiB, mapped too",
    "opening s": "open",
    "preparing s": "prepare",
    "order s": "order",
    "peak MiB of these three": "prepare MiB",
    "all with mapped files": "prepare MiB, mapped too",
}


def report(found: Mapping[int, Mapping[str, float]]) -> str:
    """The table, and what each further million costs by its last two rows."""
    sizes = sorted(found)
    rows = [[f"{size:,}", *(_number(found[size][key]) for key in COLUMNS.values())] for size in sizes]
    if len(sizes) > 1:
        less, more = sizes[-2:]
        growth = {key: (found[more][key] - found[less][key]) / (more - less) * MILLION for key in COLUMNS.values()}
        rows.append(["each further million", *(_number(growth[key]) for key in COLUMNS.values())])
    return table(["videos", *COLUMNS], rows)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}"


def main(words: Sequence[str] | None = None) -> None:
    """Prints the table as Markdown."""
    options = parser(__doc__, repetitions=None)
    options.add_argument("--videos", type=int, nargs="+", default=[10_000, 100_000, MILLION], help="[%(default)s]")
    options.add_argument("--measure", nargs="+", metavar="WORD", help="measure in this process; prints JSON")
    arguments: argparse.Namespace = options.parse_args(words)
    if arguments.measure:
        name, *paths = arguments.measure
        print(json.dumps(MEASURES[name](*map(Path, paths))))
        return
    arguments.work.mkdir(parents=True, exist_ok=True)
    found = {}
    for videos in arguments.videos:
        found[videos] = measure(arguments.work, videos)
        print(videos, found[videos], file=sys.stderr, flush=True)
    publish(arguments, "Many videos", report(found))


if __name__ == "__main__":
    main()
