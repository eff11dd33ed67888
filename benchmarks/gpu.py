"""On a GPU: training of ``base``, decoding, and CLIP ViT-B/32, each with ``torch.compile`` off and on.

    make bench-gpu
    python benchmarks/gpu.py --device cpu --tiny      (no figures of interest; that everything runs)

Training is :class:`optsg.train.loop.trainer.Trainer` in bfloat16 with batches of 256 videos of 60 frames × 512 from a store
made once (in ``--work``), batches prepared ahead and losses not read, beside ``newcomer_model.py`` in float32; its FLOPs,
counted by PyTorch, are set against the best plain matrix product in bfloat16, measured here. It is measured as it is, with
``cuda_graphs=false`` and with ``compile=true``; a step of two videos leaves the device nothing to do, so that it shows what a
step costs the host. Where there are two GPUs, training in one process and in two is compared (``gpu_scaling.py``).
Decoding is that of ``benchmarks/decoding.py``. The image tower is a randomly initialised open_clip ViT-B-32; frames are
224 × 224 and start in the computer's memory; ``--clips`` are videos to extract with it end to end. Without a CUDA device it
says so and ends with exit code 2.
"""

from __future__ import annotations

import argparse
import gc
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any
from unittest import mock

import numpy as np
import torch
from numpy.typing import NDArray
from optsg.data.batching import bucketed_batches, collate, video_lengths
from optsg.data.store import FeatureStore, open_store
from optsg.extract.encoders.image_encoder import open_image_encoder, parse_image_encoder
from optsg.train.device import working_dtype
from optsg.train.loop.cuda_graphs import SEEN_BEFORE

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # a script finds only its own folder

from benchmarks import decoding  # noqa: E402
from benchmarks.alternating import Timings, alternate  # noqa: E402
from benchmarks.gpu_scaling import take_steps  # noqa: E402
from benchmarks.matrix_rate import measured_matrix_rate, wait  # noqa: E402
from benchmarks.measured_process import ITS_EXTRACT, run_measured  # noqa: E402
from benchmarks.newcomer_model import NewcomerModel, NewcomerTargets, NewcomerTraining  # noqa: E402
from benchmarks.options import parser, publish  # noqa: E402
from benchmarks.results_file import table  # noqa: E402
from benchmarks.synthetic_store import TINY_TEXT, write_synthetic_store  # noqa: E402
from benchmarks.training_step import PARTS, StepsOfOurs, flops_of_step, shares_of_parts  # noqa: E402

NO_CUDA = "no CUDA device here: benchmarks/gpu.py needs one (or --device cpu --tiny, to see that it runs)"
NO_CUDA_EXIT = 2
PEAK_TARGET, SPEED_TARGET = 0.4, 2.0
TINY_SETTINGS = ("width=32", "heads=2", "hybrid_layers=1", "prompt_layers=1", "decoder_layers=1", "prompts=8")


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is run.

    Attributes:
        batch_size: of training.
        decoding_batch: videos decoded at once.
        frames: pictures encoded at once.
        steps: of training in one measurement.
        settings: of the model, beside those of ``base``.
        encoder: folder of the image tower.
        backend: of ``torch.compile``.
    """

    device: torch.device
    batch_size: int
    decoding_batch: int
    frames: int
    steps: int
    repetitions: int
    settings: tuple[str, ...]
    encoder: Path
    backend: str


def training(store: FeatureStore, plan: Plan) -> str:
    """Samples/s of ours as it is, each time in turn with another: the memory of all together is more than a GPU has."""
    rows = store.indices("train")
    rng = np.random.default_rng(0)
    batches = bucketed_batches(rows, video_lengths(store, rows), plan.batch_size, rng)[: plan.steps]
    ours = opened(store, plan)
    two, host, timings = batches[0][:2], {}, {}
    for name, setting in {"launched": "cuda_graphs=false", "compiled": "compile=true"}.items():
        other = opened(store, plan, setting)
        timings[name] = in_turn(plan, ours, batches, partial(take_steps, other.trainer, batches))
        host[name] = step_seconds(other, two)
        if name == "launched":  # neither flops nor parts of what is replayed can be told
            flops = sum(flops_of_step(other, rows) for rows in batches)
            shares = shares_of_parts(other, batches, plan.device)
        del other
        free_memory(plan.device)
    newcomer_model = NewcomerModel(ours.config.model, ours.config.inputs).to(plan.device)
    newcomer = NewcomerTraining(newcomer_model, NewcomerTargets.of(store, plan.device))
    timings["newcomer"] = in_turn(
        plan, ours, batches, lambda: [newcomer.step(collate(store, rows).to(plan.device)) for rows in batches]
    )
    host["ours"] = step_seconds(ours, two)
    dtype = working_dtype(plan.device, ours.config.training.precision)
    peak = measured_matrix_rate(dtype, plan.device)
    return _training_report(timings, plan, flops=flops, peak=peak, dtype=dtype, shares=shares, host=host)


def opened(store: FeatureStore, plan: Plan, *more: str) -> StepsOfOurs:
    """Training of ``base`` with these settings more."""
    settings = [f"batch_size={plan.batch_size}", "state_seconds=1e9", *plan.settings, *more]
    if plan.device.type == "cuda":
        settings.append("precision=bf16")
    other: dict[str, Any] = {} if plan.backend == "inductor" else {"backend": plan.backend}
    with tempfile.TemporaryDirectory() as folder, mock.patch("torch.compile", partial(torch.compile, **other)):
        return StepsOfOurs(store, Path(folder), "base", settings, plan.device)


def in_turn(
    plan: Plan, ours: StepsOfOurs, batches: Sequence[NDArray[np.int64]], other: Callable[[], object]
) -> Timings:
    """``ours`` and ``other``, each over all batches, after passes in which what is recorded has been."""
    runs: dict[str, Callable[[], object]] = {"ours": partial(take_steps, ours.trainer, batches), "other": other}
    synchronise = partial(wait, plan.device)
    return alternate(runs, plan.repetitions, warm_up=1 + SEEN_BEFORE, synchronise=synchronise)


def free_memory(device: torch.device) -> None:
    """Gives back what nobody holds any more."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()


def step_seconds(ours: StepsOfOurs, rows: NDArray[np.int64], repetitions: int = 30) -> float:
    """Median of a step whose losses are read, after those in which the parts are recorded."""
    seconds = []
    for _ in range(1 + SEEN_BEFORE + repetitions):
        started = time.perf_counter()
        ours.step(rows)
        seconds.append(time.perf_counter() - started)
    return median(seconds[-repetitions:])


def _training_report(
    timings: dict[str, Timings],
    plan: Plan,
    *,
    flops: int,
    peak: float,
    dtype: torch.dtype,
    shares: dict[str, float],
    host: dict[str, float],
) -> str:
    precision = str(dtype).removeprefix("torch.")
    shown = {
        "ours": f"`base`, {precision}",
        "launched": f"`base`, {precision}, `cuda_graphs=false`",
        "compiled": f"`base`, {precision}, `compile=true`",
        "newcomer": "`base`, written plainly, float32",
    }
    rows = []
    samples = plan.steps * plan.batch_size
    for name, title in shown.items():
        seconds = timings["launched"].wall("ours") if name == "ours" else timings[name].wall("other")
        share = f"{100 * flops / seconds / peak:.0f} %" if name in host else ""
        slower = "" if name == "ours" else str(timings[name].ratio("other", "ours"))
        small = f"{1e3 * host[name]:.1f}" if name in host else ""
        rows.append([title, f"{1e3 * seconds / plan.steps:.1f}", f"{samples / seconds:,.1f}", share, slower, small])
    whole = sum(shares.values())
    split = [[f"{1e3 * shares[part]:.1f} ({100 * shares[part] / whole:.1f} %)" for part in PARTS]]
    header = ["training", "ms a step", "samples/s", "share of the measured peak"]
    header += ["first row's speed over it", "ms a step of two videos"]
    note = (
        f"Batches of {plan.batch_size}; {flops / plan.steps / 1e12:.2f} TFLOP a step; matrix products reach "
        f"{peak / 1e12:.0f} TFLOP/s in {precision}. Targets: {100 * PEAK_TARGET:.0f} % of that, {SPEED_TARGET:.0f} times the plain model's "
        "speed. Each row was measured in turn with the first. Below, ms a step by part with `cuda_graphs=false`, the device being waited for after each."
    )
    return f"{table(header, rows)}\n\n{note}\n\n{table(PARTS, split)}"


def decoding_speed(store: FeatureStore, plan: Plan) -> str:
    """Videos/s of every way of decoding."""
    result = decoding.measure(
        store,
        "base",
        batch_size=plan.decoding_batch,
        repetitions=plan.repetitions,
        settings=plan.settings,
        device=plan.device,
    )
    return decoding.report([result])


def encoding_speed(plan: Plan) -> str:
    """Frames/s of the image tower, plain and compiled."""
    encoder = open_image_encoder(parse_image_encoder(str(plan.encoder)), device=str(plan.device))
    side = encoder.plan.crop
    pixels = torch.randint(0, 256, (plan.frames, *side, 3), dtype=torch.uint8)
    compiled = torch.compile(encoder._loaded.pooled, backend=plan.backend)
    runs: dict[str, Callable[[], object]] = {
        "plain": lambda: encoder.encode_frames(pixels),
        "compiled": lambda: encoder._tower.submit(compiled, pixels).result(),
    }
    timings = alternate(runs, plan.repetitions, warm_up=2, synchronise=lambda: wait(plan.device))
    rows = [
        [f"{plan.encoder.name}, {encoder.spec()['dtype']}{note}", f"{plan.frames / timings.wall(name):,.0f}", ratio]
        for name, note, ratio in (
            ("plain", "", ""),
            ("compiled", ", compiled", str(timings.ratio("plain", "compiled"))),
        )
    ]
    return table([f"image tower, {plan.frames} frames at once", "frames/s", "speed over not compiled"], rows)


def extraction_speed(plan: Plan, clips: Path | None) -> str:
    """Frames/s of ``optsg-extract`` as a process, the image tower on the device, as many decoding processes as by default."""
    if clips is None:
        return "Extraction end to end was not measured: no --clips."
    with tempfile.TemporaryDirectory() as folder:
        out, log = Path(folder) / "feats.h5", Path(folder) / "log.jsonl"
        encoders = ["--image-encoder", plan.encoder, "--text-encoder", plan.encoder.with_name("bert")]
        words = [sys.executable, "-c", ITS_EXTRACT, clips, "--out", out, "--json-log", log, "--quiet", *encoders]
        usage = run_measured([*map(str, words), "--device", plan.device.type])
        finished = json.loads(log.read_text(encoding="utf-8").splitlines()[-1])
    frames, seconds = finished["frames"], finished["seconds"]
    row = [f"{finished['videos']:,}", f"{frames:,}", f"{usage.wall:.1f}", f"{seconds:.1f}", f"{frames / seconds:,.0f}"]
    header = ["extraction, videos", "frames", "wall s", "without start-up", "frames/s without start-up", "CPU s"]
    return table([*header, "waiting for decoding, s"], [[*row, f"{usage.cpu:.1f}", f"{finished['wait_seconds']:.1f}"]])


def process_scaling(store: Path, plan: Plan) -> str:
    """Training in two processes against one, each with a GPU and a batch of its own."""
    if plan.device.type == "cuda" and torch.cuda.device_count() < 2:
        return "One GPU here: training in two processes was not measured."
    rates = {count: samples_per_second(store, plan, count) for count in (1, 2)}
    shown = [
        [str(count), f"{count * plan.batch_size}", f"{rate:,.1f}", f"{rate / rates[1]:.2f}"]
        for count, rate in rates.items()
    ]
    return table(["training in processes", "joint batch", "samples/s", "over one"], shown)


def samples_per_second(store: Path, plan: Plan, processes: int) -> float:
    """Of all processes together."""
    words = ["--store", str(store), "--device", plan.device.type, "--steps", str(plan.steps * plan.repetitions)]
    words += ["--batch-size", str(processes * plan.batch_size)]
    words += [word for setting in plan.settings for word in ("--set", setting)]
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    script = ROOT / "benchmarks" / "gpu_scaling.py"
    done = subprocess.run([*launch, str(script), *words], check=True, capture_output=True, text=True)  # noqa: S603
    return float(done.stdout.split()[-1])


def image_tower(work: Path, *, tiny: bool) -> Path:
    """Folder of a randomly initialised tower."""
    script = ROOT / "benchmarks" / "random_models.py"
    models = work / ("tiny-models" if tiny else "models")
    words = [sys.executable, str(script), str(models), *(["--tiny"] if tiny else [])]
    subprocess.run(words, check=True)  # noqa: S603
    return models / ("timm" if tiny else "vit-b-32")


def main(words: Sequence[str] | None = None) -> None:
    """Prints the tables as Markdown."""
    options = parser(__doc__, repetitions=7)
    options.add_argument("--device", default="cuda", help="[cuda]")
    options.add_argument("--batch-size", type=int, default=256, help="of training [%(default)s]")
    options.add_argument("--decoding-batch", type=int, default=256, help="videos decoded at once [%(default)s]")
    options.add_argument("--frames", type=int, default=512, help="pictures encoded at once [%(default)s]")
    options.add_argument("--steps", type=int, default=4, help="of training in one measurement [%(default)s]")
    options.add_argument(
        "--clips", type=Path, metavar="FOLDER", help="videos to extract end to end  [default: not measured]"
    )
    options.add_argument("--compile-backend", default="inductor", help="of torch.compile [inductor]")
    options.add_argument("--tiny", action="store_true", help="small models, batches and store")
    arguments: argparse.Namespace = options.parse_args(words)
    if arguments.device == "cuda" and not torch.cuda.is_available():
        print(NO_CUDA, file=sys.stderr)
        sys.exit(NO_CUDA_EXIT)
    tiny, work = arguments.tiny, arguments.work
    store_path = (
        write_synthetic_store(work / "gpu-tiny.h5", videos=40, frames=4, width=16, text=TINY_TEXT)
        if tiny
        else write_synthetic_store(work / "train-8000.h5", videos=8_000)
    )
    plan = Plan(
        device=torch.device(arguments.device),
        batch_size=8 if tiny else arguments.batch_size,
        decoding_batch=8 if tiny else arguments.decoding_batch,
        frames=2 if tiny else arguments.frames,
        steps=2 if tiny else arguments.steps,
        repetitions=arguments.repetitions,
        settings=TINY_SETTINGS if tiny else (),
        encoder=image_tower(work, tiny=tiny),
        backend=arguments.compile_backend,
    )
    blocks = []
    with open_store(store_path) as store:
        parts: list[Callable[[], str]] = [
            lambda: training(store, plan),
            lambda: decoding_speed(store, plan),
            lambda: encoding_speed(plan),
            lambda: extraction_speed(plan, arguments.clips),
            lambda: process_scaling(store_path, plan),
        ]
        for part in parts:
            blocks.append(part())
            print(f"{blocks[-1]}\n", file=sys.stderr, flush=True)  # a rented GPU may go before the end
    name = torch.cuda.get_device_name(plan.device) if plan.device.type == "cuda" else arguments.device
    note = f"Device: {name}; torch.compile with {plan.backend}."
    packages = ("torch", "transformers", "open_clip_torch")
    publish(arguments, "GPU", "\n\n".join(blocks), note=note, packages=packages)


if __name__ == "__main__":
    main()
