"""What people see while an extraction runs and at its end."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from optsg.data.media import Failure
from optsg.extract import progress
from optsg.extract.progress import show_progress, summary_lines
from optsg.extract.summary import ExtractSummary, cause
from rich.console import Console


def failure(number: int, error: str) -> Failure:
    return Failure(id=str(number), source=f"{number}.mp4", stage="decode", error=error)


def test_the_summary_counts_failures_by_cause_and_shows_the_first() -> None:
    summary = ExtractSummary(out=Path("f.h5"), videos=1200, images=3, frames=70_000, resumed=512, seconds=61.5)
    for number in range(7):
        summary.add_failure(failure(number, f"{number}.mp4: the file is empty (0 bytes)"))
    for limit in (3.5, 60):
        late = f"reading it took longer than {limit} s and was stopped"
        summary.add_failure(Failure(id="t", source="t.mp4", stage="decode", error=late, status="timeout"))
    summary.partial.update({"truncated": 2})
    summary.add_failure(failure(7, "it holds no video stream (found: audio)"))
    summary.decode_seconds, summary.encode_seconds, summary.wait_seconds, summary.finish_seconds = 2.0, 59.0, 0.5, 1.0
    *lines, last = summary_lines(summary)
    assert lines == [
        "ok           1,201",
        "partial          2  truncated",
        "earlier        512  done before",
        "failed           7  decode: the file is empty",
        "timeout          2  decode: reading it took longer than … s and was stopped",
        "failed           1  decode: it holds no video stream",
        "  0.mp4: the file is empty (0 bytes)",
        "  1.mp4: the file is empty (0 bytes)",
        "  2.mp4: the file is empty (0 bytes)",
        "  3.mp4: the file is empty (0 bytes)",
        "  4.mp4: the file is empty (0 bytes)",
        "  … and 5 more, all in the store (optsg-store info)",
    ]
    assert last == (
        "f.h5: 70,000 frames in 61.5 s (decoding 2.0 s of processor time, encoding 59.0 s, waiting for decoding 0.5 s, "
        "text and store 1.0 s)"
    )
    assert summary.done == 512 + 1200 + 3 + 10


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        ("a.mp4: duplicate id 'a', which an earlier input has; give each its own id", "duplicate id …"),
        ("row 17 names b.mp4, which is not there", "row … names b.mp4"),
        ("it cannot be opened as a video (invalid data)", "it cannot be opened as a video"),
    ],
)
def test_a_cause_is_the_same_for_every_file_that_has_it(error: str, expected: str) -> None:
    assert cause(Failure(id="a", source="a.mp4", stage="read", error=error)) == expected


def test_many_causes_are_summed_up() -> None:
    summary = ExtractSummary(out=Path("f.h5"), videos=1)
    for number, letter in enumerate("abcdefghijklmno"):
        summary.add_failure(failure(number, f"reason {letter}"))
    lines = [line for line in summary_lines(summary) if line.startswith("failed")]
    assert len(lines) == 11
    assert lines[-1] == "failed           5  for other reasons"


def test_without_failures_the_kinds_are_named_and_nothing_new_is_said() -> None:
    summary = ExtractSummary(out=Path("f.h5"), videos=1200, images=3)
    assert summary_lines(summary)[0] == "ok           1,203  1,200 videos, 3 images"
    again = ExtractSummary(out=Path("f.h5"), resumed=1203, unchanged=True)
    assert summary_lines(again) == ["earlier      1,203  done before", "f.h5: nothing new, left as it was"]


def test_lines_where_there_is_no_terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(progress, "LINE_SECONDS", 0.0)
    with show_progress("a folder", 2000, quiet=False) as display:
        display.extracted(ExtractSummary(out=Path("f.h5"), videos=999, frames=3000, resumed=1))
        display.written(5)
        display.written(5)
    said, first, second = capsys.readouterr().err.splitlines()
    assert said == "a folder"
    assert first.startswith("extracting: 1,000 of 2,000, ")
    assert first.endswith(" s left, 0 failed")
    assert second == "writing the store and encoding its tags"


def test_more_than_a_glance_told_is_of_no_number(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "LINE_SECONDS", 0.0)
    with show_progress("a folder", 2, quiet=False) as display:
        display.extracted(ExtractSummary(out=Path("f.h5"), videos=3, frames=3))
    assert capsys.readouterr().err.splitlines()[1].startswith("extracting: 3, ")


def test_a_bar_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = io.StringIO()
    terminal = Console(file=screen, force_terminal=True, width=150)
    monkeypatch.setattr(progress, "Console", lambda **_: terminal)
    summary = ExtractSummary(out=Path("f.h5"), videos=500, frames=1500, resumed=500)
    summary.add_failure(failure(0, "the file is empty"))
    with show_progress("a folder", 2000, quiet=False) as display:
        display.extracted(summary)
        display.written(1001)
    shown = screen.getvalue()
    assert "extracting" in shown
    assert "1001/2000" in shown
    assert "videos/s" in shown
    assert "1 failed" in shown
    assert "writing store" in shown


def test_quiet_shows_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with show_progress("a folder", 10, quiet=True) as display:
        display.extracted(ExtractSummary(out=Path("f.h5")))
        display.written(1)
    assert capsys.readouterr() == ("", "")
