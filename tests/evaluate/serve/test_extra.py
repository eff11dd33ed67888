"""What is said without the extra ``serve``."""

from __future__ import annotations

import sys

import pytest
from click.testing import CliRunner
from optsg.evaluate.serve.cli import main


def test_the_extra_is_there(missing):
    if missing:
        pytest.skip(f"optsg-serve is not tested: {', '.join(missing)} is not installed (pip install 'optsg[serve]')")


def test_without_the_extra_one_sentence_says_so(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    for name in [
        name for name in sys.modules if name.startswith("optsg.evaluate.serve.") and not name.endswith(".cli")
    ]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delattr("optsg.evaluate.serve.server", raising=False)
    result = CliRunner().invoke(main, [str(tmp_path)])
    assert result.exit_code == 1
    assert "prometheus_client" in result.output
    assert result.output.endswith("pip install 'optsg[serve]'\n")
