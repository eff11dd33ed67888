from __future__ import annotations

import re

from optsg.evaluate import progress
from optsg.evaluate.progress import progress_bar


def test_without_a_terminal_progress_is_lines(capsys, monkeypatch):
    monkeypatch.setattr(progress, "LINE_SECONDS", 0.0)
    with progress_bar("predicting", 1500, quiet=False) as advance:
        advance(1000)
        advance(500)
    first, last = capsys.readouterr().err.splitlines()
    assert re.fullmatch(r"predicting: 1,000 of 1,500, [0-9.]+/s, \d+ s left", first)
    assert re.fullmatch(r"predicting: 1,500 of 1,500, [0-9.]+/s, 0 s left", last)


def test_lines_are_seldom(capsys):
    with progress_bar("predicting", 3, quiet=False) as advance:
        for _ in range(3):
            advance(1)
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_total_that_is_passed_is_not_shown(capsys, monkeypatch):
    with progress_bar("tagging", 2, quiet=False) as advance:
        for _ in range(4):
            advance(1)
        monkeypatch.setattr(progress, "LINE_SECONDS", 0.0)
        advance(1)
    first, last = capsys.readouterr().err.splitlines()
    assert first.startswith("tagging: 2 of 2, ")
    assert re.fullmatch(r"tagging: 5, [0-9.]+/s", last)


def test_quiet_progress_says_nothing(capsys):
    with progress_bar("predicting", 3, quiet=True) as advance:
        advance(3)
    assert capsys.readouterr() == ("", "")
