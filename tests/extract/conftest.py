"""Fixtures of the extraction tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from optsg.extract.encoders.image_encoder import ImageEncoder, open_image_encoder, parse_image_encoder
from optsg.extract.encoders.text_encoder import TextEncoder, open_text_encoder, parse_text_encoder

from tests.extract.decoding.painted_clips import ClipMaker
from tests.extract.tiny_encoders import TINY_VISION, save_bert, save_open_clip, save_timm


@pytest.fixture(scope="session", autouse=True)
def one_decoding_process() -> Iterator[None]:
    """Where a test asks for no other number: starting a process costs more than decoding the few clips of a test."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("optsg.extract.options.available_processors", lambda: 1)
        yield


@pytest.fixture(scope="session")
def make_clip(ffmpeg: str, tmp_path_factory: pytest.TempPathFactory) -> ClipMaker:
    """Makes clips with painted frame numbers, kept for the session."""
    return ClipMaker(program=ffmpeg, folder=tmp_path_factory.mktemp("clips"))


@pytest.fixture(scope="session")
def tiny_clip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random open_clip model of two layers with QuickGELU."""
    return save_open_clip(
        tmp_path_factory.mktemp("encoders") / "tiny_clip", vision=TINY_VISION, embed_dim=24, quick_gelu=True
    )


@pytest.fixture(scope="session")
def tiny_timm_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random timm convolutional network."""
    return save_timm(tmp_path_factory.mktemp("encoders") / "tiny_timm", "test_efficientnet")


@pytest.fixture(scope="session")
def tiny_bert_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random BERT of eight layers."""
    return save_bert(tmp_path_factory.mktemp("encoders") / "tiny_bert")


@pytest.fixture(scope="session")
def tiny_image_encoder(tiny_timm_folder: Path) -> ImageEncoder:
    """The timm network, opened; float32, in which rounding hides least, whatever the processor would choose."""
    return open_image_encoder(parse_image_encoder(str(tiny_timm_folder)), device="cpu", precision="float32")


@pytest.fixture(scope="session")
def tiny_text_encoder(tiny_bert_folder: Path) -> TextEncoder:
    """The BERT, opened."""
    return open_text_encoder(parse_text_encoder(str(tiny_bert_folder)), device="cpu")
