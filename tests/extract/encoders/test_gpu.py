"""The image tower on a GPU gives what it gives on the CPU. Skipped where there is no GPU."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from optsg.extract.encoders.image_encoder import ImageEncoder, open_image_encoder, parse_image_encoder
from optsg.extract.feature_batcher import FeatureBatcher
from torch.nn import functional

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")


@pytest.fixture(params=["tiny_clip_folder", "tiny_timm_folder"])
def folder(request: pytest.FixtureRequest) -> Path:
    found: Path = request.getfixturevalue(request.param)
    return found


def opened(folder: Path, device: str) -> ImageEncoder:
    return open_image_encoder(parse_image_encoder(str(folder)), device=device)


def test_features_are_those_of_the_cpu(folder: Path) -> None:
    gpu, cpu = (
        opened(folder, "cuda"),
        open_image_encoder(parse_image_encoder(str(folder)), device="cpu", precision="float32"),
    )
    assert gpu.spec()["dtype"] in ("float16", "float32")
    pixels = torch.randint(0, 256, (32, *gpu.plan.crop, 3), dtype=torch.uint8)
    for name in ("encode_frames", "encode_patches"):
        a, b = getattr(gpu, name)(pixels), getattr(cpu, name)(pixels)
        assert (a.device.type, a.dtype) == ("cpu", torch.float32)
        assert functional.cosine_similarity(a.flatten(1), b.flatten(1)).min() > 0.999


def test_batches_in_flight_come_back_to_their_inputs(folder: Path) -> None:
    encoder = opened(folder, "cuda")
    assert encoder.batches_in_flight == 2
    batcher: FeatureBatcher[int] = FeatureBatcher(encoder, 16)
    inputs = [np.random.default_rng(n).integers(0, 256, (9, *encoder.plan.crop, 3), dtype=np.uint8) for n in range(20)]
    found: dict[int, np.ndarray] = {}
    for number, pixels in enumerate(inputs):
        found.update(batcher.add(number, "video", pixels))
    found.update(batcher.flush())
    for number, pixels in enumerate(inputs):
        expected = encoder.encode_frames(torch.from_numpy(pixels)).numpy()
        np.testing.assert_allclose(found[number].astype(np.float32), expected, rtol=0.02, atol=5e-3)
