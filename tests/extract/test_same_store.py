"""The comparison of stores that other tests rest on: it lets rounding pass and nothing else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from optsg.data.media import Failure
from optsg.data.store.schema import TextModelTables, VideoFeatures

from tests.extract.same_store import assert_rows_kept, assert_same_store
from tests.tiny_world import tiny_text_tables, tiny_videos, write_tiny_store

VIDEOS = tiny_videos(9)
FAILURE = Failure(id="broken", source="broken.mp4", stage="decode", error="no video")


def store(
    path: Path, videos: list[VideoFeatures], *, failures: tuple[Failure, ...] = (FAILURE,), **others: Any
) -> Path:
    return write_tiny_store(path, videos, failures=failures, image_encoder={"dtype": "float32"}, **others)


def nudged(video: VideoFeatures, share: float) -> VideoFeatures:
    """Every feature longer by ``share``."""
    frames, patches = (values.astype(np.float64) * (1 + share) for values in (video.frames, video.patches))
    return replace(video, frames=frames.astype(np.float16), patches=patches.astype(np.float16))


def with_embeddings(share: float) -> TextModelTables:
    tables = tiny_text_tables()
    return replace(tables, tag_embeddings=lambda tags: tables.tag_embeddings(tags) * np.float32(1 + share))


def test_rounding_passes_unless_batches_were_the_same(tmp_path: Path) -> None:
    expected = store(tmp_path / "expected.h5", VIDEOS)
    for name, other in (
        ("features", store(tmp_path / "features", [nudged(video, 4e-4) for video in VIDEOS])),
        ("embeddings", store(tmp_path / "embeddings.h5", VIDEOS, text_tables=with_embeddings(1e-5))),
    ):
        assert_same_store(other, expected)
        with pytest.raises(AssertionError, match="frames" if name == "features" else "tag_embeddings"):
            assert_same_store(other, expected, same_batches=True)
    with pytest.raises(AssertionError, match="frames"):
        assert_rows_kept(tmp_path / "features", expected)
    assert_same_store(store(tmp_path / "again", VIDEOS), expected, same_batches=True)


@pytest.mark.parametrize(
    "changed",
    [
        nudged(VIDEOS[0], 2e-3),
        replace(VIDEOS[0], frames=VIDEOS[0].frames + np.float16(0.01)),
        replace(VIDEOS[0], times=VIDEOS[0].times + np.float32(1e-6)),
        replace(VIDEOS[0], title="Another"),
        replace(VIDEOS[0], tags=VIDEOS[0].tags[::-1]),
        replace(VIDEOS[0], split="test"),
        replace(VIDEOS[0], thumbnail=b"other"),
        replace(VIDEOS[0], status="partial", note="truncated"),
        replace(VIDEOS[0], digest=f"sha256:{'0' * 64}"),
        nudged(VIDEOS[7], 2e-3),
    ],
    ids=["length", "direction", "times", "title", "tags", "split", "thumbnail", "status", "digest", "patches"],
)
def test_a_store_that_looks_similar_fails(tmp_path: Path, changed: VideoFeatures) -> None:
    videos = [changed if video.id == changed.id else video for video in VIDEOS]
    with pytest.raises(AssertionError):
        assert_same_store(store(tmp_path / "other.h5", videos), store(tmp_path / "expected.h5", VIDEOS))


def test_order_failures_embeddings_and_settings_count(tmp_path: Path) -> None:
    expected = store(tmp_path / "expected.h5", VIDEOS)
    others = [
        store(tmp_path / "order.h5", VIDEOS[::-1]),
        store(tmp_path / "less.h5", VIDEOS[:-1]),
        store(tmp_path / "failures.h5", VIDEOS, failures=(replace(FAILURE, error="other"),)),
        store(tmp_path / "embeddings.h5", VIDEOS, text_tables=with_embeddings(1e-3)),
        store(tmp_path / "sampling.h5", VIDEOS, sampling={"fps": 2.0}),
    ]
    for other in others:
        with pytest.raises(AssertionError):
            assert_same_store(other, expected)
    assert_same_store(others[2], expected, other_failures=True)
