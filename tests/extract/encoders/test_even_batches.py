"""Whether a picture's features depend on its batch: found out with few pictures, for every batch."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from optsg.extract.encoders.chunks import ChunkedForward, ChunkPlan
from optsg.extract.encoders.image_encoder import ImageEncoder, open_image_encoder, parse_image_encoder
from torch import Tensor

PICTURES = 4


@pytest.fixture
def encoder(tmp_path: Path, tiny_timm_folder: Path, monkeypatch: pytest.MonkeyPatch) -> ImageEncoder:
    monkeypatch.setenv("OPTSG_CACHE", str(tmp_path / "cache"))
    opened = open_image_encoder(parse_image_encoder(str(tiny_timm_folder)), device="cpu")
    opened._tower._chunked = ChunkedForward(ChunkPlan(pictures=PICTURES))
    object.__setattr__(opened._tower.findings, "plan", ChunkPlan(pictures=PICTURES))
    return opened


@pytest.mark.parametrize("threads", [1, 2, 3, 16])
@pytest.mark.parametrize("pictures", [1, 2, 4, 8, 32])
@pytest.mark.parametrize("most", [1, 2, 7, 16, 64])
def test_a_few_batches_have_every_chunk_that_any_has(pictures: int, threads: int, most: int) -> None:
    plan = ChunkPlan(pictures=pictures, threads=threads)

    def chunks(count: int) -> set[tuple[int, bool]]:
        found = torch.zeros(count).split(plan.chunk_size(count))
        return {(len(chunk), threads > 1 and len(found) == 1) for chunk in found}  # one alone has all threads

    tried = plan.batches_of_every_chunk(most)
    assert max(tried) <= most
    assert len(tried) <= pictures + 1
    every = {chunk for count in range(1, most + 1) for chunk in chunks(count)}
    assert {chunk for count in tried for chunk in chunks(count)} == every


@pytest.mark.parametrize("odd", [1, 2, 3, PICTURES])
def test_one_size_of_chunk_with_other_digits_is_found(
    encoder: ImageEncoder, odd: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    tower, sizes = encoder._loaded.pooled, set[int]()

    def pooled(module: torch.nn.Module, pixels: Tensor) -> Tensor:
        sizes.add(len(pixels))
        found = torch.stack([tower(module, picture[None])[0] for picture in pixels])
        return found * (1 + 2**-7) if len(pixels) == odd else found

    monkeypatch.setattr(encoder, "_loaded", replace(encoder._loaded, pooled=pooled))
    assert not encoder.is_even(16, patches=False)
    assert max(sizes) <= PICTURES


def test_a_place_with_other_digits_is_found(encoder: ImageEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    tower = encoder._loaded.pooled

    def pooled(module: torch.nn.Module, pixels: Tensor) -> Tensor:
        found = torch.stack([tower(module, picture[None])[0] for picture in pixels])
        found[PICTURES - 1 :] *= 1 + 2**-7
        return found

    monkeypatch.setattr(encoder, "_loaded", replace(encoder._loaded, pooled=pooled))
    assert not encoder.is_even(16, patches=False)


def test_what_was_found_is_kept(encoder: ImageEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    tower = encoder._loaded.pooled

    def pooled(module: torch.nn.Module, pixels: Tensor) -> Tensor:
        return torch.stack([tower(module, picture[None])[0] for picture in pixels])

    monkeypatch.setattr(encoder, "_loaded", replace(encoder._loaded, pooled=pooled))
    assert encoder.is_even(16, patches=False)
    monkeypatch.setattr(encoder, "encode_frames", lambda _: pytest.fail("tried again"))
    assert encoder.is_even(16, patches=False)
