"""Where a command's output goes: a full disk."""

from __future__ import annotations

import contextlib
import errno
import sys
from pathlib import Path

import click
import pytest
from optsg.data.command_line import one_sentence_errors
from rich.console import Console

FULL = Path("/dev/full")


@pytest.mark.skipif(not FULL.exists(), reason="there is no device that is always full")
@pytest.mark.parametrize("say", [click.echo, lambda text: Console().print(text)])
def test_output_on_a_full_disk_is_one_sentence(monkeypatch, capsys, say):
    full = FULL.open("w", encoding="utf-8")
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", full)
        with pytest.raises(SystemExit) as ended, one_sentence_errors(verbose=False):
            say("a result")
    with contextlib.suppress(OSError):  # of what could not be written
        full.close()
    assert ended.value.code == 1
    assert capsys.readouterr().err == "error: the output cannot be written: No space left on device\n"


@pytest.mark.parametrize("error", [BrokenPipeError(errno.EPIPE, "Broken pipe"), OSError(errno.ENOSPC, "full", "a.txt")])
def test_other_refusals_are_not_taken_for_it(error):
    with pytest.raises(type(error)), one_sentence_errors(verbose=False):
        raise error
