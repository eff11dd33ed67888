"""Batches across inputs: every picture once, to its own input, with features that do not depend on the company."""

from __future__ import annotations

import random
from collections.abc import Iterable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from optsg.data.media import MediaKind
from optsg.extract import feature_batcher
from optsg.extract.encoders.image_encoder import ImageEncoder
from optsg.extract.encoders.tower import FEATURE_ROUNDING, PendingFeatures
from optsg.extract.feature_batcher import FeatureBatcher

from tests.extract.same_store import assert_same_vectors

Input = tuple[str, MediaKind, NDArray[np.uint8]]


@pytest.fixture(scope="module")
def inputs(tiny_image_encoder: ImageEncoder) -> list[Input]:
    rows, columns = tiny_image_encoder.plan.crop
    random_pixels = np.random.default_rng(0)
    kinds: list[MediaKind] = ["video", "video", "image", "video", "image", "video", "video", "image", "video"]
    counts = [3, 1, 1, 17, 1, 9, 2, 1, 5]
    return [
        (f"{kind}{number}", kind, random_pixels.integers(0, 256, (count, rows, columns, 3), dtype=np.uint8))
        for number, (kind, count) in enumerate(zip(kinds, counts, strict=True))
    ]


def batched(encoder: ImageEncoder, inputs: Iterable[Input], batch_size: int) -> dict[str, NDArray[np.float16]]:
    batcher: FeatureBatcher[str] = FeatureBatcher(encoder, batch_size)
    given = [pair for name, kind, pixels in inputs for pair in batcher.add(name, kind, pixels)]
    given += batcher.flush()
    assert len({name for name, _ in given}) == len(given)
    return dict(given)


def test_every_input_gets_its_own_features(tiny_image_encoder: ImageEncoder, inputs: list[Input]) -> None:
    found = batched(tiny_image_encoder, inputs, batch_size=8)
    assert found.keys() == {name for name, _, _ in inputs}
    for name, kind, pixels in inputs:
        if kind == "image":
            [expected] = tiny_image_encoder.encode_patches(torch.from_numpy(pixels)).numpy()
        else:
            expected = tiny_image_encoder.encode_frames(torch.from_numpy(pixels)).numpy()
        assert found[name].dtype == np.float16
        np.testing.assert_allclose(found[name], expected, rtol=0.02, atol=2e-3)


def test_the_order_of_arrival_changes_no_more_than_rounding(
    tiny_image_encoder: ImageEncoder, inputs: list[Input]
) -> None:
    expected = batched(tiny_image_encoder, inputs, batch_size=8)
    rounding = FEATURE_ROUNDING[tiny_image_encoder.spec()["dtype"]]
    for seed in range(5):
        shuffled = random.Random(seed).sample(inputs, len(inputs))
        found = batched(tiny_image_encoder, shuffled, batch_size=8)
        for name in expected:
            assert_same_vectors(found[name], expected[name], rounding, where=name)


def test_batches_are_full_and_collected_late_where_the_device_allows(
    tiny_image_encoder: ImageEncoder, inputs: list[Input], monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = batched(tiny_image_encoder, inputs, batch_size=8)
    sizes: list[int] = []
    open_batches = most = 0
    submit, result = tiny_image_encoder.submit_frames, PendingFeatures.result

    def submitted(pixels: torch.Tensor) -> PendingFeatures:
        nonlocal open_batches, most
        sizes.append(len(pixels))
        open_batches += 1
        most = max(most, open_batches)
        return submit(pixels)

    def collected(self: PendingFeatures) -> torch.Tensor:
        nonlocal open_batches
        open_batches -= 1
        return result(self)

    monkeypatch.setattr(tiny_image_encoder, "submit_frames", submitted)
    monkeypatch.setattr(PendingFeatures, "result", collected)
    monkeypatch.setattr(type(tiny_image_encoder), "batches_in_flight", 2)
    videos = [entry for entry in inputs if entry[1] == "video"]
    found = batched(tiny_image_encoder, videos, batch_size=8)
    total = sum(len(pixels) for _, _, pixels in videos)
    assert sizes == [8] * (total // 8) + [total % 8]  # nothing is encoded but what was asked for
    assert most == 2
    assert all(np.array_equal(found[name], expected[name]) for name in found)


def test_a_lone_image_among_videos_is_not_left_waiting(
    tiny_image_encoder: ImageEncoder, inputs: list[Input], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feature_batcher, "MOST_PENDING", 3)
    batcher: FeatureBatcher[str] = FeatureBatcher(tiny_image_encoder, 64)
    given = [name for name, kind, pixels in inputs[:5] for name, _ in batcher.add(name, kind, pixels)]
    assert given == ["video0", "video1", "video3", "image2"]
