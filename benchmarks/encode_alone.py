"""The forward pass without decoding; for ``benchmarks/extract.py``.

    python benchmarks/encode_alone.py FOLDER --pictures 360 [--batch-size 64] [--precision auto]

Encodes random pictures with the image encoder of the extraction and prints JSON. Threads: OMP_NUM_THREADS. Loading the
model and one batch to warm up do not count.
"""

from __future__ import annotations

import argparse
import json
import time

import numpy as np
import torch
from optsg.extract.encoders.image_encoder import open_image_encoder, parse_image_encoder
from PIL import Image


def main() -> None:
    """Encodes ``--pictures`` random pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("encoder")
    parser.add_argument("--pictures", type=int, required=True)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--precision", choices=["auto", "float32"], default="auto")
    arguments = parser.parse_args()
    encoder = open_image_encoder(parse_image_encoder(arguments.encoder), precision=arguments.precision)
    random = np.random.default_rng(0)
    noise = random.integers(0, 256, (arguments.batch_size, 224, 224, 3), dtype=np.uint8)
    batch = torch.stack([encoder.preprocess(Image.fromarray(picture)) for picture in noise])
    encoder.encode_frames(batch)
    wall, cpu = time.perf_counter(), time.process_time()
    for start in range(0, arguments.pictures, arguments.batch_size):
        encoder.encode_frames(batch[: arguments.pictures - start])
    result = {
        "wall_seconds": time.perf_counter() - wall,
        "cpu_seconds": time.process_time() - cpu,
        "pictures": arguments.pictures,
        "threads": torch.get_num_threads(),
        "format": str(encoder.spec().get("dtype", "unknown")),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
