"""One video or image as the input readers hand it to extraction."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

Split = Literal["train", "val", "test", "none"]
"""``none``: a video without tags; it is extracted, but neither trained on nor scored."""

SPLITS: tuple[Split, ...] = ("train", "val", "test", "none")

LABELS = ("title", "tags", "split")
"""What people say of a video, and may correct later."""

MediaKind = Literal["video", "image"]

FeatureStatus = Literal["ok", "partial"]
"""``partial``: some of the frames that should be there could not be had; the note says which and why."""

FEATURE_STATUSES: tuple[FeatureStatus, ...] = ("ok", "partial")

VIDEO_SUFFIXES = frozenset(
    f".{suffix}"
    for suffix in [
        "mp4",
        "m4v",
        "mov",
        "qt",
        "3gp",
        "3g2",
        "3gpp",
        "f4v",
        "mj2",
        "mkv",
        "mk3d",
        "webm",
        "avi",
        "divx",
        "xvid",
        "flv",
        "wmv",
        "asf",
        "mpg",
        "mpeg",
        "mpe",
        "m1v",
        "m2v",
        "mpv",
        "m2p",
        "vob",
        "ts",
        "mts",
        "m2ts",
        "m2t",
        "trp",
        "tod",
        "dv",
        "dif",
        "mxf",
        "ogv",
        "ogm",
        "rm",
        "rmvb",
        "nut",
        "y4m",
        "ivf",
        "amv",
        "h264",
        "264",
        "h265",
        "hevc",
        "gif",
        "apng",
    ]
)
"""Suffixes of files that PyAV reads."""

IMAGE_SUFFIXES = frozenset(
    f".{suffix}"
    for suffix in [
        "jpg",
        "jpeg",
        "jpe",
        "jfif",
        "png",
        "webp",
        "bmp",
        "dib",
        "tif",
        "tiff",
        "avif",
        "heic",
        "heif",
        "hif",
        "tga",
        "jp2",
        "j2k",
        "jpx",
        "jpf",
        "jpc",
        "j2c",
        "ppm",
        "pgm",
        "pbm",
        "pnm",
        "pcx",
        "sgi",
        "dds",
        "qoi",
        "psd",
        "ico",
        "icns",
        "mpo",
    ]
)
"""Suffixes of files that Pillow reads, HEIC with pillow-heif."""


@dataclass(frozen=True, kw_only=True)
class TarMember:
    """Where the bytes of a video or image lie in a tar file: only whoever decodes them reads them.

    Attributes:
        path: of the tar file.
        offset: of the first byte.
        size: bytes.
    """

    path: Path
    offset: int
    size: int

    def read(self) -> bytes:
        """The bytes.

        Raises:
            OSError: the tar file cannot be read any more, or has become shorter.
        """
        with self.path.open("rb") as file:
            file.seek(self.offset)
            data = file.read(self.size)
        if len(data) != self.size:
            raise OSError(f"it goes on after the end of {self.path.name}")
        return data


Payload = Path | bytes | TarMember
"""A file, bytes, or a member of a tar file."""


@dataclass(frozen=True, kw_only=True)
class MediaItem:
    """One input with everything that is known about it before decoding.

    Attributes:
        id: unique within an input.
        source: where it came from, for people: a path relative to the input folder, or ``shard.tar/member``.
        kind: whether it is sampled as a video or encoded as image patches.
        title: the whole title; empty if there is none.
        tags: cleaned spellings (:func:`optsg.data.tags.clean_tag`), one per tag key, in input order.
        split: the set it belongs to.
        payload: where its bytes are.
        pinned, forbidden: what a person says of it when it is to be tagged: tags that it has, and tags that it has not.
        given: those of title, tags and split that metadata speaks of. What it says nothing of is no correction of a store.
        named: the set that metadata or a folder names, also where the video has no tags and belongs to none.
    """

    id: str
    source: str
    kind: MediaKind
    title: str
    tags: tuple[str, ...]
    split: Split
    payload: Payload
    pinned: tuple[str, ...] = ()
    forbidden: tuple[str, ...] = ()
    given: frozenset[str] = field(default=frozenset(LABELS), compare=False)
    named: Split | None = field(default=None, compare=False)


FailureStatus = Literal["failed", "timeout", "crashed"]
"""``failed``: there was an error; ``timeout``: decoding took longer than allowed; ``crashed``: it ended the process."""

FAILURE_STATUSES: tuple[FailureStatus, ...] = ("failed", "timeout", "crashed")


@dataclass(frozen=True, kw_only=True)
class Failure:
    """One input that gave no features.

    Attributes:
        id: the input's id, or its path where no id could be made.
        source: where it came from, as in :class:`MediaItem`.
        stage: ``read``, ``decode`` or ``encode``.
        error: one sentence.
        status: how it ended.
        digest: of the source's bytes (``sha256:…``), empty if they could not be read.
        seconds: processor time spent on it; wall time where its process had to be ended.
    """

    id: str
    source: str
    stage: Literal["read", "decode", "encode"]
    error: str
    status: FailureStatus = "failed"
    digest: str = ""
    seconds: float = 0.0
