"""Videos and failures with everything that could go wrong between two forms of a store."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np
from optsg.data.media import FAILURE_STATUSES, Failure
from optsg.data.store.part_writer import Hdf5StoreWriter
from optsg.data.store.schema import SINCE_VERSION_2, VideoFeatures

from tests.tiny_world import FRAME_DIM, PATCH_DIM, tiny_header

IDS = (
    "Track 2.0",
    "../up/a.b.c.mp4",
    "folder/sub.folder/clip",
    "猫.狗/视频",
    "🎬🎬.mov",
    " spaces and\ttabs ",
    ".hidden",
    "UPPER",
    "upper",
    "é combining e\u0301",
    "x" * 300,
    "json",
    "picture.one",
    "picture/two",
    "quote\"and'backslash\\",
    "-1",
)


def odd_videos() -> list[VideoFeatures]:
    """Sixteen of them: odd ids and titles, no tags, one frame, no frame at all, images, no thumbnail, unknown durations."""
    rng = np.random.default_rng(5)
    videos = []
    for number, video_id in enumerate(IDS):
        image = video_id.startswith("picture")
        frames = 0 if image or number == 3 else 1 + number % 7 * 20
        videos.append(
            VideoFeatures(
                id=video_id,
                title=("A red cat. " * 400, "", "标题/有.点", "🎬 emoji 👩‍👩‍👧", "line\nbreak\0zero")[number % 5],
                tags=((), ("cat", "T-shirt"), ("猫", "a/b.c", "🎬"), ("CAT", "dog"))[number % 4],
                split=("train", "val", "test", "none")[number % 4],
                source=f"{video_id}.mp4",
                kind="image" if image else "video",
                duration=(12.5, float("nan"), 0.0, 3600.25)[number % 4],
                frames=rng.normal(size=(frames, FRAME_DIM)).astype(np.float16),
                times=np.cumsum(rng.uniform(0.5, 1.5, frames)).astype(np.float32),
                patches=rng.normal(size=(9 if image else 0, PATCH_DIM)).astype(np.float16),
                thumbnail=b"" if number % 3 else rng.bytes(1 + 700 * number),
                status="partial" if number % 5 == 1 else "ok",
                note="truncated: 3 of 9 frames" if number % 5 == 1 else "",
                backend=""
                if number % 6 == 0
                else "decord2 3.4.0 (FFmpeg 7.1)"
                if number % 2
                else "PyAV 18.1.0 (FFmpeg 8.0)",
                digest="" if number % 6 == 0 else f"sha256:{hashlib.sha256(video_id.encode()).hexdigest()}",
                decode_seconds=number / 7,
            )
        )
    return videos


def odd_failures() -> list[Failure]:
    """One of every status, and one that knows nothing."""
    known = [
        Failure(
            id=f"broken/{status}.mp4",
            source=f"broken/{status}.mp4",
            stage="decode",
            error=f"{status}: 视频 🎬 " + "long " * 100,
            status=status,
            digest=f"sha256:{hashlib.sha256(status.encode()).hexdigest()}",
            seconds=2.5 * number,
        )
        for number, status in enumerate(FAILURE_STATUSES)
    ]
    return [*known, Failure(id="", source="", stage="read", error="")]


def assert_same(one: VideoFeatures, other: VideoFeatures) -> None:
    """Equal in every field, bit by bit."""
    for name in vars(one):
        ours, theirs = getattr(one, name), getattr(other, name)
        if isinstance(ours, np.ndarray):
            assert (ours.dtype, ours.shape, ours.tobytes()) == (theirs.dtype, theirs.shape, theirs.tobytes()), name
        elif isinstance(ours, float):
            assert np.float32(ours).tobytes() == np.float32(theirs).tobytes(), name
        else:
            assert ours == theirs, name


def all_arrays(path: Path) -> dict[str, tuple[str, tuple[int, ...], bytes]]:
    """Type, shape and bytes of every array in an HDF5 file, and its attributes."""
    found: dict[str, tuple[str, tuple[int, ...], bytes]] = {}

    def visit(name: str, node: object) -> None:
        if isinstance(node, h5py.Dataset):
            found[name] = (node.dtype.str, node.shape, node[()].tobytes())

    with h5py.File(path, "r") as file:
        file.visititems(visit)
        found |= {f"@{name}": ("attribute", (), str(value).encode()) for name, value in file.attrs.items()}
    return found


def as_version_1(path: Path) -> Path:
    """Takes away from a store's file what version 2 brought."""
    with h5py.File(path, "r+") as file:
        file.attrs["version"] = 1
        del file.attrs["digests"]
        for name in SINCE_VERSION_2:
            del file[name]
    return path


def write_part(path: Path, videos: Sequence[VideoFeatures], failures: Sequence[Failure] = (), **header: object) -> Path:
    """A finished part."""
    with Hdf5StoreWriter(path, tiny_header(**header)) as writer:
        for video in videos:
            writer.append(video)
        for failure in failures:
            writer.add_failure(failure)
        writer.finish()
    return path
