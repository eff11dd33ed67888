"""The extra ``serve``: its absence skips these tests on a developer's machine and fails them in CI."""

from __future__ import annotations

import importlib.util
import os

import pytest

MISSING = [name for name in ("prometheus_client", "python_multipart") if importlib.util.find_spec(name) is None]


def pytest_ignore_collect(collection_path):
    """Without the extra nothing here can be imported but this file."""
    if not MISSING or collection_path.name in ("conftest.py", "test_extra.py") or collection_path.is_dir():
        return None
    return None if os.environ.get("CI") == "true" else True


@pytest.fixture
def missing():
    return MISSING
