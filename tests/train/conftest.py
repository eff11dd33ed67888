"""What tests of training share: the module's store, and a folder of its own for every test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from optsg.data.store import FeatureStore, open_store


@pytest.fixture(scope="module")
def store(feats: Path) -> Iterator[FeatureStore]:
    """The store ``feats`` of the module, opened."""
    with open_store(feats) as opened:
        yield opened


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs go to ``runs/`` of the current folder."""
    monkeypatch.chdir(tmp_path)
