"""A folder of thirty files that only a fake tagger reads."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "in"
    made.mkdir()
    for number in range(30):
        (made / f"{number:03}.png").touch()
    return made
