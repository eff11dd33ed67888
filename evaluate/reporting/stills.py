"""Small pictures of the frames that a model saw, from the files that were extracted."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from ...data.store import FeatureStore
from ...extract.decoding.sampling import Sampling
from ...extract.encoders.pixel_plan import PixelPlan
from ...extract.workers.preparation import Preparation, Unreadable, prepare
from ..judging.sources import SourceFinder

SIDE, SIDE_OF_MANY = 96, 48
"""Longest side in pixels, and where there are more than :data:`MANY` frames: a report stays a few megabytes."""

MANY = 16

QUALITY = 72


class Stills:
    """Makes stills of a store's videos.

    Args:
        inputs: the folder, or the folder of shards, that was extracted.
    """

    def __init__(self, store: FeatureStore, inputs: Path):
        self._store, self._finder = store, SourceFinder([inputs])
        self._row_of = {video: row for row, video in enumerate(store.ids())}
        header = store.header
        self._how = Preparation(
            plan=PixelPlan.from_spec(header.image_encoder["preprocessing"]),
            sampling=Sampling.from_spec(header.sampling),
            thumbnails=False,
        )

    def __call__(self, video: str) -> Sequence[bytes]:
        """A JPEG of every frame, cut as the encoder saw it; none where the file is not there or no longer the same."""
        row = self._row_of[video]
        media = self._finder.find(self._store.source(row)) if self._store.kind(row) == "video" else None
        if media is None:
            return []
        with media.path.open("rb") as file:
            file.seek(media.offset)
            prepared = prepare("video", file.read(media.size), self._how)
        if isinstance(prepared, Unreadable) or prepared.times.tolist() != self._store.times(row).tolist():
            return []
        side = SIDE if len(prepared.pixels) <= MANY else SIDE_OF_MANY
        return [_jpeg(Image.fromarray(picture), side) for picture in prepared.pixels]


def no_stills(_: str) -> Sequence[bytes]:
    """Stills of a video where nobody said where the files are."""
    return []


def _jpeg(picture: Image.Image, side: int) -> bytes:
    picture.thumbnail((side, side))
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=QUALITY)
    return buffer.getvalue()
