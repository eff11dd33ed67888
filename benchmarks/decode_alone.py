"""Our decoding without an encoder; for ``benchmarks/extract.py``.

    python benchmarks/decode_alone.py --workers 2 CLIP…

Every process decodes one clip at a time at one frame per second and turns its pictures into 224 × 224 pixels, as the
workers of an extraction do; both are timed apart. Prints JSON. Imports and the start of the processes do not count.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import time
from multiprocessing.pool import Pool
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optsg.extract.decoding import decode_video_with
from optsg.extract.decoding.sampling import Sampling
from optsg.extract.encoders.pixel_plan import PixelPlan
from PIL import Image

PLAN = PixelPlan(mode="shortest", size=(224, 224), crop=(224, 224), interpolation="bicubic")


def decode(path: Path) -> tuple[int, float, float, str]:
    """Frames, processor seconds of decoding, processor seconds of resizing, backend."""
    resizing = 0.0

    def convert(picture: Image.Image, shown: tuple[int, int]) -> NDArray[np.uint8]:
        nonlocal resizing
        started = time.process_time()
        pixels = PLAN(picture, shown)
        resizing += time.process_time() - started
        return pixels

    started = time.process_time()
    video: Any = decode_video_with(convert, path, Sampling())
    return len(video.images), time.process_time() - started - resizing, resizing, str(video.backend)


def warm(_: int) -> None:
    """Gives every process time to start before the clock does."""
    time.sleep(0.5)


def run(pool: Pool, clips: list[Path]) -> dict[str, Any]:
    """Decodes the clips and sums up."""
    started = time.perf_counter()
    results = pool.map(decode, clips, chunksize=1)
    return {
        "wall_seconds": time.perf_counter() - started,
        "frames": sum(result[0] for result in results),
        "decode_cpu_seconds": sum(result[1] for result in results),
        "resize_cpu_seconds": sum(result[2] for result in results),
        "backends": sorted({result[3] for result in results}),
    }


def main() -> None:
    """Decodes the clips named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", type=Path, nargs="+")
    parser.add_argument("--workers", type=int, default=1)
    arguments = parser.parse_args()
    with multiprocessing.get_context("spawn").Pool(arguments.workers) as pool:
        pool.map(warm, range(arguments.workers), chunksize=1)
        print(json.dumps(run(pool, arguments.clips)))


if __name__ == "__main__":
    main()
