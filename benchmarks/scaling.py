"""Cost against the number of videos: stores of 1, 4 and 16 times as many, an epoch of training and a decoding of all.

    python benchmarks/scaling.py --write
    python benchmarks/scaling.py --videos 500 --repetitions 1

Each measurement is a process of its own, in turn: it opens the store, trains one epoch (a small model: what is measured is
that nothing grows but the number of steps), and decodes all videos. Seconds are those of the epoch and the decoding, without
imports; what is decoded is prescribed (``scripted_output.py``), since a hardly trained model writes as much as it likes. Memory is the process's peak: all of it, and without the pages of mapped files, which the system takes back
whenever somebody needs them. The store's tables of all videos, some ten bytes a video, and the tag table are among the
memory that is no mapped file.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # a script finds only its own folder

from benchmarks.measured_process import run_measured  # noqa: E402
from benchmarks.options import parser, publish  # noqa: E402
from benchmarks.results_file import table  # noqa: E402
from benchmarks.scripted_output import Script, ScriptedOutput  # noqa: E402
from benchmarks.synthetic_store import TINY_TEXT, write_synthetic_store  # noqa: E402

FACTORS = (1, 4, 16)
BATCH = 64
MODEL = ("width=64", "heads=2", "vocabulary=full", "copy_title=false", "tag_head=false", f"batch_size={BATCH}")
"""A small model whose size does not depend on the store."""


def train_and_decode(path: Path) -> dict[str, float]:
    """One epoch and one decoding of all videos, in this process."""
    import numpy as np
    import torch
    from optsg.data.batching import bucketed_batches, collate, sequential_batches, video_lengths
    from optsg.data.store import open_store
    from optsg.data.word_pieces import Vocabulary
    from optsg.train.loop.processes import Processes
    from optsg.train.loop.trainer import Trainer
    from optsg.train.model.op_tsg import OPTSG
    from optsg.train.run.plan import plan_run
    from optsg.train.systems.op_tsg import OpTsg
    from optsg.train.writing.reading import TagReader
    from optsg.train.writing.slot_parallel import slot_parallel_decode

    with open_store(path) as store, tempfile.TemporaryDirectory() as folder:
        plan = plan_run(store, path, system="op-tsg", size="small", settings=MODEL, seed=0)
        processes = Processes.alone(torch.device("cpu"))
        trainer = Trainer(store, Path(folder), plan.config, plan.tag_table, plan.tokenizer, processes)
        assert isinstance(trainer.system, OpTsg)
        model: OPTSG = trainer.system.model
        rows = store.indices("train")
        started = time.perf_counter()
        batches = bucketed_batches(rows, video_lengths(store, rows), BATCH, np.random.default_rng(0))
        for step, batch_rows in enumerate(batches):
            trainer._step(step, trainer._joint_step.prepare(batch_rows))
        trained = time.perf_counter()
        model.eval()
        pieces = {tag: list(ids) for tag, ids in trainer.system.targets.pieces.items()}
        reader = TagReader(Vocabulary(plan.config.inputs.pieces), plan.tag_table, plan.tokenizer)
        tags = 0
        for batch_rows in sequential_batches(np.arange(len(store)), BATCH):
            batch = collate(store, batch_rows)
            with torch.no_grad():
                features, mask = model.encode(batch)
                prompts = model.order_prompts(features, mask)
            script = Script.of(batch.tags, pieces, plan.config.model.prompts, trainer.device)
            output = ScriptedOutput(decoder=model.decoder, script=script.slots)
            written = slot_parallel_decode(model.decoder, prompts, features, mask, output=output)
            tags += sum(len(video) for video in reader.read(written))
        decoded = time.perf_counter()
        counts = {"videos": float(len(store)), "tags": float(tags)}
        return {"train_seconds": trained - started, "decode_seconds": decoded - trained, **counts}


def report(records: dict[int, list[dict[str, float]]]) -> str:
    """The table."""
    first = min(records)
    rows = []
    for factor, runs in records.items():
        train, decode = (median(run[f"{name}_seconds"] for run in runs) for name in ("train", "decode"))
        growth = [
            median(run[name] / base[name] for run, base in zip(runs, records[first], strict=True)) * first / factor
            for name in ("train_seconds", "decode_seconds")
        ]
        videos = runs[0]["videos"]
        rows.append(
            [
                f"{factor}× ({videos:,.0f} videos)",
                f"{train:.1f}",
                f"{1e3 * train / videos:.2f}",
                f"{growth[0]:.2f}",
                f"{decode:.1f}",
                f"{1e3 * decode / videos:.2f}",
                f"{growth[1]:.2f}",
                f"{median(run['main_anonymous_mib'] for run in runs):,.0f}",
                f"{median(run['main_mib'] for run in runs):,.0f}",
            ]
        )
    header = ["store", "epoch s", "ms a video", "over the first", "decoding s", "ms a video", "over the first"]
    note = "Over the first: cost a video over that of the smallest store, 1.00 where cost is linear."
    return f"{table([*header, 'peak MiB', 'peak MiB with mapped files'], rows)}\n\n{note}"


def main(words: Sequence[str] | None = None) -> None:
    """Prints the table as Markdown."""
    options = parser(__doc__, repetitions=3)
    options.add_argument("--videos", type=int, default=1_000, help="of the smallest store [%(default)s]")
    options.add_argument("--frames", type=int, default=60, help="of a video [%(default)s]")
    options.add_argument("--width", type=int, default=512, help="of a frame's feature [%(default)s]")
    options.add_argument("--factors", type=int, nargs="+", default=FACTORS, help="[1 4 16]")
    options.add_argument("--measure", type=Path, metavar="STORE", help="measure one store in this process; prints JSON")
    arguments: argparse.Namespace = options.parse_args(words)
    if arguments.measure:
        print(json.dumps(train_and_decode(arguments.measure)))
        return
    sizes: dict[str, Any] = {"frames": arguments.frames, "width": arguments.width, "text": TINY_TEXT}
    stores = {}
    for factor in arguments.factors:
        videos = factor * arguments.videos
        name = f"scaling-{videos}x{arguments.frames}x{arguments.width}.h5"
        stores[factor] = write_synthetic_store(arguments.work / name, videos=videos, **sizes)
    records: dict[int, list[dict[str, float]]] = {factor: [] for factor in stores}
    for _ in range(arguments.repetitions):
        for factor, store in stores.items():
            usage = run_measured([sys.executable, __file__, "--measure", store])
            records[factor].append({**usage.costs(), **json.loads(usage.stdout.splitlines()[-1])})
            print(factor, records[factor][-1], file=sys.stderr, flush=True)
    note = f"Videos of {arguments.frames} frames × {arguments.width}."
    publish(arguments, "Scaling", report(records), note=note)


if __name__ == "__main__":
    main()
