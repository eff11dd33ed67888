"""Stores whose videos' tags are the words of their titles, runs trained on them, and a predictor that needs no model."""

from __future__ import annotations

import io
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from optsg.data.batching import Batch
from optsg.data.media import Split
from optsg.data.predicted_tag import PredictedTag
from optsg.data.store import FeatureStore, open_store
from optsg.data.store.schema import VideoFeatures
from optsg.train.cli import main as optsg_train
from PIL import Image
from playwright.sync_api import Browser, sync_playwright

from tests.evaluate.colour_world import extract_colours, write_colours
from tests.tiny_world import ANIMALS, COLOURS, FRAME_DIM, PATCH_DIM, TINY_SETTINGS, as_options, write_tiny_store

VIDEOS: dict[Split, int] = {"train": 24, "val": 6, "test": 9}
ENCODERS = {
    "image_encoder": {"library": "timm", "name": "tiny", "digest": "sha256:aa"},
    "text_encoder": {"library": "transformers", "name": "tiny-bert", "digest": "sha256:bb"},
}


def jpeg(colour: tuple[int, int, int]) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (16, 12), colour).save(buffer, "JPEG")
    return buffer.getvalue()


def titled_videos(split: Split, count: int, *, seed: int, frame_dim: int, patch_dim: int) -> list[VideoFeatures]:
    """Each carries the two words of its title as tags; every third test video also "Moon", which no other split has."""
    dice = np.random.default_rng(seed)
    videos = []
    for number in range(count):
        words = [str(word) for word in dice.choice((*COLOURS, *ANIMALS[:3]), size=2, replace=False)]
        unseen = ["Moon"] if split == "test" and number % 3 == 0 else []
        frames = dice.normal(size=(2 + number % 3, frame_dim)).astype(np.float16)
        videos.append(
            VideoFeatures(
                id=f"{split}-{number:02}",
                title=" ".join(words),
                tags=(*(word.capitalize() for word in words), *unseen),
                split=split,
                source=f"{split}/{number:02}.mp4",
                kind="video",
                duration=3.0,
                frames=frames,
                times=np.arange(len(frames), dtype=np.float32),
                patches=np.empty((0, patch_dim), np.float16),
                thumbnail=jpeg((10 * number, 40, 90)),
            )
        )
    return videos


def write_titled_store(path: Path, splits: Sequence[Split] = ("train", "val", "test"), **header: Any) -> Path:
    values = {"frame_dim": FRAME_DIM, "patch_dim": PATCH_DIM, **ENCODERS, **header}
    widths = {name: values[name] for name in ("frame_dim", "patch_dim")}
    videos = [
        video for seed, split in enumerate(splits) for video in titled_videos(split, VIDEOS[split], seed=seed, **widths)
    ]
    return write_tiny_store(path, videos, **values)


@pytest.fixture(scope="session", autouse=True)
def one_decoding_process() -> Iterator[None]:
    """Where a test asks for no other number: starting a process costs more than decoding the few files of a test."""
    with pytest.MonkeyPatch.context() as patch:
        for module in ("optsg.extract.options", "optsg.evaluate.tag.file_encoder"):
            patch.setattr(f"{module}.available_processors", lambda: 1)
        yield


@pytest.fixture(scope="session")
def store_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 videos to train on, 6 for validation, 9 to test."""
    return write_titled_store(tmp_path_factory.mktemp("store") / "feats.h5")


@pytest.fixture
def store(store_path: Path) -> Iterator[FeatureStore]:
    with open_store(store_path) as opened:
        yield opened


@pytest.fixture
def make_store(tmp_path: Path) -> Callable[..., Path]:
    """Makes a store like ``store_path`` under a name, with fewer splits or other values in its header."""
    return lambda name="other.h5", **changes: write_titled_store(tmp_path / name, **changes)


@pytest.fixture(scope="session")
def train_run(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Trains a tiny run on a store with optsg-train, until it knows its training videos."""

    def train(feats: Path, system: str = "op-tsg") -> Path:
        folder = tmp_path_factory.mktemp("training")
        settings = (
            *TINY_SETTINGS,
            "epochs=60",
            "batch_size=8",
            "ema=0",
            "dropout=0",
            "validate_every=20",
            "patience=0",
        )
        threads = torch.get_num_threads()
        torch.set_num_threads(1)  # threads cost tiny tensors far more than they give
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(folder)
            arguments = ["--feats", str(feats), "--system", system, "--run", "runs/tiny", "--device", "cpu", "-q"]
            result = CliRunner().invoke(optsg_train, [*arguments, *as_options(settings)])
        torch.set_num_threads(threads)
        assert result.exit_code == 0, result.output
        return folder / "runs" / "tiny"

    return train


@pytest.fixture(scope="session")
def run_path(store_path: Path, train_run: Callable[..., Path]) -> Path:
    """A run that has learnt to find the words of a title. Tests that change it take a copy."""
    return train_run(store_path)


@pytest.fixture(scope="session")
def colour_videos(ffmpeg: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Clips and pictures of one colour each, whose tag is the colour; titles are empty."""
    return write_colours(ffmpeg, tmp_path_factory.mktemp("videos"))


@pytest.fixture(scope="session")
def colour_feats(colour_videos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Their features."""
    return extract_colours(colour_videos, tmp_path_factory.mktemp("colours"))


@pytest.fixture(scope="session")
def colour_run(colour_feats: Path, train_run: Callable[..., Path]) -> Path:
    """A run that tells the colours apart by pixels alone."""
    return train_run(colour_feats)


class FakePredictor:
    """Writes the same tags for every video and remembers the sizes of its batches."""

    def __init__(self, tags: Sequence[PredictedTag]):
        self.tags = list(tags)
        self.batch_sizes: list[int] = []

    def predict(self, batch: Batch) -> list[list[PredictedTag]]:
        self.batch_sizes.append(len(batch))
        return [self.tags for _ in range(len(batch))]


@pytest.fixture
def fake_predictor() -> Callable[..., FakePredictor]:
    return lambda *tags: FakePredictor(tags)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The system's Chromium. Its absence skips these tests on a developer's machine and fails them in CI."""
    names = ("chromium", "chromium-browser", "google-chrome")
    program = next(filter(None, map(shutil.which, names)), None)
    if program is None:
        message = "no Chromium is on PATH; pages are tested in it (apt-get install chromium)"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    with sync_playwright() as driver:
        # Chromium refuses its sandbox to root, and the pages are our own.
        arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        opened = driver.chromium.launch(executable_path=program, args=arguments, timeout=120_000)
        yield opened
        opened.close()
