"""Where a command's output goes: a full disk, or a stream that is not UTF-8."""

from __future__ import annotations

import contextlib
import errno
import io
import json
import sys
from pathlib import Path

import click
import pytest
from optsg.data.command_line import one_sentence_errors
from optsg.data.json_log import STANDARD_ERROR, open_json_log
from rich.console import Console

FULL = Path("/dev/full")


def stream(encoding: str) -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="strict", write_through=True)


def written(text: io.TextIOWrapper) -> bytes:
    assert isinstance(text.buffer, io.BytesIO)
    return text.buffer.getvalue()


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


def test_what_an_encoding_lacks_is_escaped(monkeypatch):
    out = stream("latin-1")
    monkeypatch.setattr(sys, "stdout", out)
    with one_sentence_errors(verbose=False):
        click.echo("😀")
        Console().print("😀")
    assert written(out).split() == [b"\\U0001f600"] * 2


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_a_log_on_standard_error_is_json_in_every_encoding(monkeypatch, encoding):
    out = stream(encoding)
    monkeypatch.setattr(sys, "stderr", out)
    with one_sentence_errors(verbose=False), open_json_log(STANDARD_ERROR) as log:
        log.write("file", path="é😀.mp4")
    assert json.loads(written(out).decode(encoding))["path"] == "é😀.mp4"
