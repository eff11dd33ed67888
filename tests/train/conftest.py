"""What tests of training share: the module's store, and a folder of its own for every test."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from optsg.data.store import FeatureStore, open_store
from optsg.train.systems.writers import order_free
from optsg.train.writing import greedy

from tests.tiny_world import as_options
from tests.train.command import train


@pytest.fixture(scope="module")
def store(feats: Path) -> Iterator[FeatureStore]:
    """The store ``feats`` of the module, opened."""
    with open_store(feats) as opened:
        yield opened


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs go to ``runs/`` of the current folder."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def one_epoch(feats: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of one epoch on the store ``feats`` of the module. Tests that change it take ``short_run``."""
    folder = tmp_path_factory.mktemp("one-epoch")
    with contextlib.chdir(folder):
        result = train("--feats", feats, "--run", "runs/a", *as_options(), "--set", "epochs=1")
    assert result.exit_code == 0, result.output
    return folder / "runs" / "a"


@pytest.fixture
def short_run(one_epoch: Path, own_folder: None) -> Path:
    """A copy of it in the test's own folder: ``runs/a``."""
    return Path(shutil.copytree(one_epoch, "runs/a"))


@pytest.fixture
def short_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is written ends after 40 tokens: a decoder that has learnt little writes to the end."""
    for module in (greedy, order_free):
        monkeypatch.setattr(module, "MAX_TARGET_TOKENS", 40)
