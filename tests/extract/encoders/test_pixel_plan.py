"""The pixels of a plan are those of open_clip's and timm's own transforms, bit by bit, for pictures of any shape."""

from __future__ import annotations

import re
import resource
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from optsg.data.errors import EncoderError
from optsg.data.torchvision_compat import ensure_torchvision_importable
from optsg.extract.encoders import pixel_plan
from optsg.extract.encoders.pixel_check import check_plan, normalised
from optsg.extract.encoders.pixel_plan import PixelPlan, ResizeMode
from PIL import Image

ensure_torchvision_importable()

from open_clip.transform import PreprocessCfg, image_transform_v2  # noqa: E402
from optsg.extract.encoders.open_clip_encoder import _plan as open_clip_plan  # noqa: E402
from optsg.extract.encoders.timm_encoder import _plan as timm_plan  # noqa: E402
from timm.data.transforms_factory import create_transform  # noqa: E402

MEAN, STD = (0.48, 0.45, 0.40), (0.26, 0.27, 0.28)
SIZES = [(64, 64), (65, 130), (131, 64), (300, 47), (47, 300), (20, 31), (1, 5), (224, 223)]


def photo(width: int, height: int) -> Image.Image:
    pixels = np.random.default_rng(width * 1000 + height).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def assert_same(plan: PixelPlan, transform: Any, mean: Any = MEAN, std: Any = STD) -> None:
    for size in SIZES:
        picture = photo(*size)
        ours = normalised(torch.from_numpy(plan(picture))[None], mean, std)[0]
        assert torch.equal(ours, transform(picture)), size


@pytest.mark.parametrize("mode", ["shortest", "longest", "squash"])
@pytest.mark.parametrize("size", [64, (64, 64), (48, 80)])
@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
def test_open_clip(mode: str, size: Any, interpolation: str) -> None:
    settings = PreprocessCfg(
        size=size, mean=MEAN, std=STD, interpolation=interpolation, resize_mode=mode, fill_color=114
    )
    assert_same(open_clip_plan(settings), image_transform_v2(settings, is_train=False))


@pytest.mark.parametrize("crop_mode", ["center", "squash", "border"])
@pytest.mark.parametrize("input_size", [(3, 64, 64), (3, 48, 80)])
@pytest.mark.parametrize(("crop_pct", "interpolation"), [(0.875, "bicubic"), (1.0, "bilinear"), (0.9, "lanczos")])
def test_timm(crop_mode: str, input_size: Any, crop_pct: float, interpolation: str) -> None:
    settings = {
        "input_size": input_size,
        "interpolation": interpolation,
        "mean": MEAN,
        "std": STD,
        "crop_pct": crop_pct,
        "crop_mode": crop_mode,
    }
    assert_same(timm_plan(settings), create_transform(**settings, is_training=False))


@settings(deadline=None, max_examples=60)
@given(width=st.integers(1, 400), height=st.integers(1, 400))
def test_resizing_twice_is_resizing_once_in_size(width: int, height: int) -> None:
    """A decoder that shrinks frames to ``resized`` leaves the plan nothing to resize."""
    for plan in (PLAN, PixelPlan(mode="longest", size=(32, 32), crop=(32, 32), interpolation="bicubic")):
        small = plan.resized(width, height)
        assert plan(Image.new("RGB", small, "red")).shape == (32, 32, 3)
        assert min(small) >= 1


PLAN = PixelPlan(mode="shortest", size=(32, 32), crop=(32, 32), interpolation="bicubic")


def test_a_plan_survives_json() -> None:
    import json

    assert PixelPlan.from_spec(json.loads(json.dumps(PLAN.spec()))) == PLAN


def test_a_plan_that_gives_other_pixels_is_refused() -> None:
    transform = image_transform_v2(PreprocessCfg(size=32, mean=MEAN, std=STD), is_train=False)
    pictures = [photo(100, 80)] * 4
    check_plan(PLAN, MEAN, STD, transform, pictures)
    other = PixelPlan(mode="shortest", size=(32, 32), crop=(32, 32), interpolation="bilinear")
    message = (
        "the preprocessing of this model cannot be repeated exactly (a picture of 256 × 256 gives other pixels than its "
        f"library's transform); its settings were read as {other.spec()}"
    )
    with pytest.raises(EncoderError, match=f"^{re.escape(message)}$"):
        check_plan(other, MEAN, STD, transform, pictures)


def test_an_unknown_filter_is_refused() -> None:
    message = (
        "pictures cannot be resized by 'shortest' with the filter 'random'; known are shortest, covering, longest, squash "
        "with nearest, bilinear, bicubic, lanczos"
    )
    with pytest.raises(EncoderError, match=f"^{re.escape(message)}$"):
        PixelPlan(mode="shortest", size=(8, 8), crop=(8, 8), interpolation="random")


@pytest.mark.parametrize("mode", ["shortest", "covering"])
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic", "lanczos"])
@pytest.mark.parametrize("size", [(301, 7), (6, 301), (900, 20)])
def test_a_strip_gives_the_same_pixels_without_being_resized_whole(
    monkeypatch: pytest.MonkeyPatch, mode: ResizeMode, interpolation: str, size: tuple[int, int]
) -> None:
    noise = np.random.default_rng(0).integers(96, 160, (size[1], size[0], 3), dtype=np.uint8)  # no filter overshoots it
    plan = PixelPlan(mode=mode, size=(32, 32), crop=(32, 32), interpolation=interpolation)
    picture = Image.fromarray(noise)
    whole = plan(picture)
    monkeypatch.setattr(pixel_plan, "MOST_RESIZED", 0)
    assert np.abs(plan(picture).astype(int) - whole.astype(int)).max() <= 1


def test_a_strip_of_sixty_thousand_pixels_takes_little_memory() -> None:
    plan = PixelPlan(mode="shortest", size=(224, 224), crop=(224, 224), interpolation="bicubic")
    picture = Image.new("RGB", (60_000, 2), "red")
    pixels = plan(picture)
    assert np.abs(pixels.astype(int) - (255, 0, 0)).max() <= 1
    # Whole it would have 6.7 million columns, 4.5 GB.
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < 3_000_000


def test_a_picture_is_resized_to_the_shape_that_is_shown() -> None:
    plan = PixelPlan(mode="longest", size=(32, 32), crop=(32, 32), interpolation="bicubic", fill=(9, 9, 9))
    pixels = plan(Image.new("RGB", (64, 64), "red"), (128, 64))
    assert [int((pixels[:, 16] == value).all(axis=-1).sum()) for value in ((255, 0, 0), (9, 9, 9))] == [16, 16]
