"""The extra ``onnx``: its absence skips these tests on a developer's machine and fails them in CI. One run, exported once."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import pytest

from tests.tiny_world import TINY_SETTINGS, as_options, tiny_text_tables, tiny_videos, write_tiny_store
from tests.train.command import train

MISSING = [name for name in ("onnx", "onnxscript", "onnxruntime") if importlib.util.find_spec(name) is None]


@pytest.fixture(scope="session")
def extra() -> None:
    """What tests of exported files need."""
    if MISSING:
        message = f"optsg-export is not tested: {', '.join(MISSING)} is not installed (pip install 'optsg[onnx]')"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)


@pytest.fixture(scope="session")
def feats(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("store") / "tiny.h5"
    return write_tiny_store(path, tiny_videos(260), text_tables=tiny_text_tables(contextual=True))


@pytest.fixture(scope="session")
def run_folder(feats: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "ranked"
    options = as_options([*TINY_SETTINGS, "epochs=4", "tag_head=true", "ranking=true"])
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder.parent)
        result = train("--feats", feats, "--run", folder, *options, "--quiet")
    assert result.exit_code == 0, result.output
    return folder
