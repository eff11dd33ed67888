"""What guards share: a copy of the old store and runs as the current folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.golden.files import old_world


@pytest.fixture
def old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the old store and runs, which the test may change, as the current folder."""
    folder = old_world(tmp_path)
    monkeypatch.chdir(folder)
    return folder
