"""EfficientNet-Lite0 on the CPU, and one clip in an open tagger: few pictures at a time against many, and no filling.

    python benchmarks/image_tower.py --write
    python benchmarks/image_tower.py --precisions float32

In turn within one process. ``before`` is a batch of 64 as one call without fused activations; ``chunks`` what
opening the encoder chose. A clip of three frames is encoded filled up to 16 pictures, and as it is. Threads:
OMP_NUM_THREADS.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # a script finds only its own folder

from optsg.extract.encoders.chunks import ChunkPlan  # noqa: E402
from optsg.extract.encoders.image_encoder import ImageEncoder, open_image_encoder  # noqa: E402
from optsg.extract.encoders.presets import EFFICIENTNET_LITE0  # noqa: E402
from optsg.extract.encoders.tower import Tower  # noqa: E402

from benchmarks.alternating import Timings, alternate  # noqa: E402
from benchmarks.options import parser, publish  # noqa: E402
from benchmarks.results_file import table  # noqa: E402

PICTURES, FRAMES, FILLED = 64, 3, 16


def main() -> None:
    """Measures and prints a table."""
    options = parser(__doc__, repetitions=5)
    options.add_argument("--precisions", nargs="+", choices=["auto", "float32"], default=["auto", "float32"])
    arguments = options.parse_args()
    rows: list[list[str]] = []
    for precision in arguments.precisions:
        encoder = open_image_encoder(EFFICIENTNET_LITE0, device="cpu", precision=precision)
        rows += _measured(encoder, arguments.repetitions)
    header = ["number format", "what", "ms a picture or clip, before", "after", "times as fast, of wall time", "of CPU"]
    publish(arguments, "Image tower on a CPU", table(header, rows), note="Trust the CPU column on a shared machine.")


def _measured(encoder: ImageEncoder, repetitions: int) -> list[list[str]]:
    pixels = torch.randint(0, 256, (PICTURES, *encoder.plan.crop, 3), dtype=torch.uint8)
    clip = pixels[:FRAMES]
    filled = torch.cat([clip, torch.zeros_like(pixels[: FILLED - FRAMES])])
    now, before = encoder._tower, _whole(encoder)
    pooled = encoder._loaded.pooled
    runs: dict[str, Callable[[], object]] = {
        "before": lambda: before.submit(pooled, pixels),
        "after": lambda: now.submit(pooled, pixels),
        "clip before": lambda: before.submit(pooled, filled),
        "clip after": lambda: now.submit(pooled, clip),
    }
    found = alternate(runs, repetitions)
    plan = now.findings.plan or ChunkPlan(pictures=PICTURES)
    many = f"{PICTURES} pictures, after: {plan.pictures} a call, {plan.threads} calls side by side"
    return [
        _row(found, encoder, many, "before", "after", PICTURES),
        _row(found, encoder, f"{FRAMES} frames, filled up to {FILLED} before", "clip before", "clip after", 1),
    ]


def _whole(encoder: ImageEncoder) -> Tower:
    """The same tower with unfused activations, all pictures in one call."""
    tower = encoder._tower
    loaded = encoder._loaded
    fresh = open_image_encoder(EFFICIENTNET_LITE0, device="cpu", precision=encoder.spec()["dtype"])
    findings = replace(fresh._tower.findings, fuses=False, plan=None)
    return Tower(fresh._loaded.module, findings, mean=loaded.mean, std=loaded.std, device=tower.device)


def _row(found: Timings, encoder: ImageEncoder, what: str, before: str, after: str, count: int) -> list[str]:
    cpu = [[timing.cpu for timing in found.runs[name]] for name in (before, after)]
    ratios = sorted(slow / quick for slow, quick in zip(*cpu, strict=True))
    milliseconds = [f"{found.wall(name) / count * 1e3:.1f}" for name in (before, after)]
    of_cpu = f"{ratios[len(ratios) // 2]:.2f} ({ratios[0]:.2f} … {ratios[-1]:.2f})"
    return [encoder.spec()["dtype"], what, *milliseconds, str(found.ratio(before, after)), of_cpu]


if __name__ == "__main__":
    main()
