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
        self._store, self._inputs, self._finder = store, inputs, SourceFinder([inputs])
        self._row_of = {video: row for row, video in enumerate(store.ids())}
        self._how = _preparation(store)
        self._asked = 0
        self._without: list[str] = []

    def __call__(self, video: str) -> Sequence[bytes]:
        """A JPEG of every frame, cut as the encoder saw it; none where the file is not there or no longer the same."""
        row = self._row_of.get(video)
        if row is None or self._store.kind(row) != "video":
            return []
        stills = self._of_row(row)
        self._asked += 1
        if not stills:
            self._without.append(self._store.source(row))
        return stills

    @property
    def shortfall(self) -> str | None:
        """A sentence on the videos that were asked for and have no stills; ``None`` where all have them."""
        if not self._without:
            return None
        if self._how is None:
            return "the report has no stills: the store does not say how its frames were taken, they were imported"
        return (
            f"the report has no stills of {len(self._without):,} of {self._asked:,} videos: in {self._inputs} they are not "
            f"there or give other frames (the first is {self._without[0]!r}); say with --inputs DIR which folder was extracted"
        )

    def _of_row(self, row: int) -> Sequence[bytes]:
        media = self._finder.find(self._store.source(row))
        if media is None or self._how is None:
            return []
        try:
            with media.path.open("rb") as file:
                file.seek(media.offset)
                payload = file.read(media.size)
        except OSError:
            return []
        prepared = prepare("video", payload, self._how)
        if isinstance(prepared, Unreadable) or prepared.times.tolist() != self._store.times(row).tolist():
            return []
        side = SIDE if len(prepared.pixels) <= MANY else SIDE_OF_MANY
        return [_jpeg(Image.fromarray(picture), side) for picture in prepared.pixels]


def _preparation(store: FeatureStore) -> Preparation | None:
    """How frames were made ready for the encoder; ``None`` for imported features, whose store does not say."""
    preprocessing = store.header.image_encoder.get("preprocessing")
    if preprocessing is None:
        return None
    plan, sampling = PixelPlan.from_spec(preprocessing), Sampling.from_spec(store.header.sampling)
    return Preparation(plan=plan, sampling=sampling, thumbnails=False)


def no_stills(_: str) -> Sequence[bytes]:
    """Stills of a video where nobody said where the files are."""
    return []


def _jpeg(picture: Image.Image, side: int) -> bytes:
    picture.thumbnail((side, side))
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=QUALITY)
    return buffer.getvalue()
