"""Bytes per second of the feature store's writer: parts, and the merge into a finished store, all with their fsync.

    python benchmarks/store_writing.py [--videos 8192] [--frames 30] [--width 512] [--folder FOLDER]

Features are random, since random numbers are what features look like to a disk; each video has a thumbnail of 4 KiB.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from optsg.data.store.merging.merge import merge_parts
from optsg.data.store.part_writer import Hdf5StoreWriter
from optsg.data.store.schema import StoreHeader, VideoFeatures

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # a script finds only its own folder

from tests.tiny_world import tiny_header, tiny_text_tables  # noqa: E402

VIDEOS_PER_PART = 512
THUMBNAIL_BYTES = 4096
POOL = 64
"""Different videos; making random numbers for each would take longer than writing it."""


def make_videos(count: int, frames: int, width: int) -> list[VideoFeatures]:
    """Videos with random features."""
    random = np.random.default_rng(0)
    return [
        VideoFeatures(
            id=f"{number:08d}",
            title=f"a clip of something, number {number}",
            tags=("cat", f"tag {number % 50}", f"tag {number % 7}"),
            split="train",
            source=f"folder/clip-{number:08d}.mp4",
            kind="video",
            duration=float(frames),
            frames=random.standard_normal((frames, width)).astype(np.float16),
            times=np.arange(frames, dtype=np.float32),
            patches=np.zeros((0, width), np.float16),
            thumbnail=random.bytes(THUMBNAIL_BYTES),
        )
        for number in range(count)
    ]


def write_parts(folder: Path, header: StoreHeader, videos: list[VideoFeatures], count: int) -> list[Path]:
    """``count`` videos under different ids, in parts as an extraction writes them."""
    parts = []
    for start in range(0, count, VIDEOS_PER_PART):
        path = folder / f"part-{start:08d}.h5"
        with Hdf5StoreWriter(path, header) as writer:
            for number in range(start, min(start + VIDEOS_PER_PART, count)):
                video = videos[number % len(videos)]
                writer.append(replace(video, id=f"{number:08d}"))
            writer.finish()
        parts.append(path)
    return parts


def measure(folder: Path, count: int, frames: int, width: int) -> dict[str, float]:
    """Writes and merges ``count`` videos in ``folder``."""
    header, text = tiny_header(frame_dim=width, patch_dim=width), tiny_text_tables()
    videos = make_videos(min(count, POOL), frames, width)
    started = time.perf_counter()
    parts = write_parts(folder, header, videos, count)
    written = time.perf_counter()
    out = folder / "store.h5"
    merge_parts(parts, out, header, text)
    merged = time.perf_counter()
    shards = folder / "shards"
    merge_parts(parts, shards, header, text)
    sharded = time.perf_counter()
    part_bytes, store_bytes = sum(path.stat().st_size for path in parts), out.stat().st_size
    shard_bytes = sum(path.stat().st_size for path in shards.rglob("*"))
    return {
        "videos": count,
        "frames": count * frames,
        "parts_seconds": written - started,
        "parts_bytes": part_bytes,
        "parts_bytes_per_second": part_bytes / (written - started),
        "merge_seconds": merged - written,
        "merge_bytes": store_bytes,
        "merge_bytes_per_second": store_bytes / (merged - written),
        "shards_seconds": sharded - merged,
        "shards_bytes": shard_bytes,
        "shards_bytes_per_second": shard_bytes / (sharded - merged),
        "bytes_per_frame": store_bytes / (count * frames),
    }


def main() -> None:
    """Prints JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--videos", type=int, default=8192)
    parser.add_argument("--frames", type=int, default=30)
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--folder", type=Path, help="On the disk to measure; a temporary folder by default.")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as temporary:
        print(json.dumps(measure(Path(temporary), arguments.videos, arguments.frames, arguments.width)))


if __name__ == "__main__":
    main()
