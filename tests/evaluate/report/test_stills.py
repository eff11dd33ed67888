from __future__ import annotations

import io
from collections.abc import Sequence
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
from optsg.data.store import FeatureStore
from optsg.evaluate.report.evidence import SIDE, SIDE_OF_MANY, Stills
from optsg.extract.decoding.sampling import Sampling
from optsg.extract.encoders.pixel_plan import PixelPlan
from PIL import Image

PLAN = PixelPlan(mode="shortest", size=(128, 128), crop=(128, 128), interpolation="bilinear")


def store_of(source: str, times: Sequence[float], *, fps: float = 1.0, kind: str = "video") -> FeatureStore:
    store = SimpleNamespace(
        header=SimpleNamespace(
            image_encoder={"preprocessing": PLAN.spec()}, sampling=Sampling(fps=fps, max_frames=60).spec()
        ),
        ids=lambda: ["a"],
        source=lambda _: source,
        kind=lambda _: kind,
        times=lambda _: np.array(times, np.float32),
    )
    return cast(FeatureStore, store)


@pytest.fixture
def clip(clip_factory, tmp_path):
    clip_factory("videos/clip.mp4", duration=3.0, size=(160, 120))
    return tmp_path / "videos"


def test_there_is_a_still_of_every_frame_as_the_encoder_saw_it(clip):
    stills = Stills(store_of("clip.mp4", [0.0, 1.0, 2.0]), clip)("a")
    pictures = [Image.open(io.BytesIO(still)) for still in stills]
    assert [(picture.format, picture.size) for picture in pictures] == [("JPEG", (SIDE, SIDE))] * 3
    assert len(set(stills)) == 3, "testsrc changes every second"


def test_stills_of_many_frames_are_smaller(clip):
    times = [round(0.1 * number, 1) for number in range(30)]
    stills = Stills(store_of("clip.mp4", times, fps=10.0), clip)("a")
    assert len(stills) == 30
    assert Image.open(io.BytesIO(stills[0])).size == (SIDE_OF_MANY, SIDE_OF_MANY)


@pytest.mark.parametrize(
    "store",
    [
        store_of("other.mp4", [0.0, 1.0, 2.0]),
        store_of("../videos/clip.mp4", [0.0, 1.0, 2.0]),
        store_of("clip.mp4", [0.0, 1.0]),
        store_of("broken.mp4", [0.0]),
        store_of("clip.mp4", [], kind="image"),
    ],
    ids=["gone", "outside", "other frames", "broken", "image"],
)
def test_where_the_frames_are_not_to_be_had_there_are_none(store, clip):
    (clip / "broken.mp4").write_bytes(b"no video")
    assert Stills(store, clip)("a") == []
