"""Whether clip-video-encode and optsg encoded the same frames; for ``benchmarks/extract.py``.

    python benchmarks/same_frames.py STORE.h5 CVE_FOLDER CLIPS IMAGE_ENCODER

Counts are compared for all clips. For the first few, the frames at the times in our store are decoded and encoded once as
they are and once with red and blue swapped; each feature of CVE's is then compared with both. Whichever is closer is what
its model saw, and the closest frame should be the one at the same place. Prints JSON.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from optsg.data.store import open_store
from optsg.extract.decoding import decode_video
from optsg.extract.encoders.image_encoder import ImageEncoder, open_image_encoder, parse_image_encoder
from PIL import Image

CLIPS = 4


def encode(encoder: ImageEncoder, pictures: list[Image.Image], *, swap: bool) -> NDArray[np.float32]:
    """(M, D) features, with red and blue swapped if asked."""
    if swap:
        pictures = [Image.fromarray(np.ascontiguousarray(np.asarray(picture)[:, :, ::-1])) for picture in pictures]
    pixels = torch.stack([encoder.preprocess(picture) for picture in pictures])
    features: NDArray[np.float32] = encoder.encode_frames(pixels).numpy()
    return features


def main() -> None:
    """Compares one extraction of each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("store", "cve", "clips"):
        parser.add_argument(name, type=Path)
    parser.add_argument("encoder")
    arguments = parser.parse_args()
    paths = sorted(arguments.clips.glob("*.mp4"))
    theirs = [np.load(arguments.cve / f"{number}.npy").astype(np.float32) for number in range(len(paths))]
    with open_store(arguments.store) as store:
        rows = {store.id(row): row for row in range(len(store))}
        ours = [store.frames(rows[path.stem]).astype(np.float32) for path in paths]
    encoder = open_image_encoder(parse_image_encoder(arguments.encoder))
    same_place = compared = 0
    distances: dict[str, list[float]] = {"rgb": [], "bgr": [], "stored": []}
    for path, mine, other in list(zip(paths, ours, theirs, strict=True))[:CLIPS]:
        pictures = decode_video(path).images
        rgb, bgr = (encode(encoder, pictures, swap=swap) for swap in (False, True))
        apart = {name: np.linalg.norm(other[:, None] - f[None], axis=2) for name, f in (("rgb", rgb), ("bgr", bgr))}
        shown = min(apart.values(), key=lambda table: float(table.min(axis=1).mean()))
        same_place += int((shown.argmin(axis=1) == np.arange(len(other))).sum())
        compared += len(other)
        for name, table in apart.items():
            distances[name] += table.diagonal().tolist()
        distances["stored"] += np.linalg.norm(rgb - mine, axis=1).tolist()
    result = {
        "counts_equal": [len(mine) for mine in ours] == [len(other) for other in theirs],
        "frames_ours": sum(map(len, ours)),
        "frames_theirs": sum(map(len, theirs)),
        "compared": compared,
        "same_place": same_place,
        "distance_if_rgb": float(np.mean(distances["rgb"])),
        "distance_if_bgr": float(np.mean(distances["bgr"])),
        "distance_of_ours_if_rgb": float(np.mean(distances["stored"])),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
