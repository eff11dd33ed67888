"""The pages of fixed evaluations are what they were, but for white space that no browser shows."""

from __future__ import annotations

import base64
import hashlib
import http.client
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import click
import pytest
from click.testing import CliRunner
from optsg.evaluate.report.cli import main as optsg_report
from optsg.evaluate.tables.cli import main as optsg_tables

from tests.golden.files import golden_text
from tests.golden.page_events import collapsed, page_events
from tests.tiny_world import as_options

RUNS = Path("tables/runs")
OP_TSG, BIN, ASY = (RUNS / f"{system}-seed-0" for system in ("op-tsg", "bin", "asy"))
GRID = (
    "width=12", "heads=2", "title_layers=1", "decoder_layers=1", "prompts=5", "batch_size=12", "learning_rate=0.005",
    "precision=fp32", "ema=0.9", "dropout=0", "epochs=48", "validate_every=24", "patience=0", "buckets=visual",
)  # fmt: skip
"""Settings that the runs were trained with."""
VARYING = (
    (r"(Made by optsg(?:-judge)?|optsg) \d+\.\d+\.\d+\w*", r"\1 VERSION"),
    (r"PyTorch [\w.+]+, Python [\w.+]+", "PyTorch VERSION, Python VERSION"),
    (r"\d{4}-\d\d-\d\d \d\d:\d\d UTC", "TIME UTC"),
)
POLICY = re.compile(r"&#x27;sha256-([\w+/=]+)&#x27;|&#39;sha256-([\w+/=]+)&#39;|'sha256-([\w+/=]+)'")
DRAWING = re.compile(r"(?s)<svg\b.*?</svg>")


def command(main: click.Command, *arguments: object) -> None:
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output


def fixed(text: str, folder: Path) -> str:
    """A document without this machine's folder, versions and times."""
    text = text.replace(str(folder.resolve()), "FOLDER")
    for pattern, replacement in VARYING:
        text = re.sub(pattern, replacement, text)
    return text


def assert_golden_page(name: str, page: str, folder: Path) -> None:
    """Compares a page with its golden file; its policy allows exactly the script that it has."""
    scripts = re.findall(r"(?s)<script>(.*?)</script>", page)
    allowed = [next(filter(None, digests)) for digests in POLICY.findall(page)]
    digests = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
    assert allowed == digests or not scripts
    page = POLICY.sub("'sha256-DIGEST'", fixed(page, folder))
    assert page_events(page) == page_events(golden_text(f"pages/{name}", page))


def report(out: str, *runs: Path) -> str:
    command(optsg_report, *runs, "--out", out, "--feats", "feats.h5", "-q")
    return Path(out).read_text(encoding="utf-8")


def test_the_report_with_evidence(old: Path) -> None:
    assert_golden_page("report.html", report("report.html", OP_TSG), old)


def test_the_report_of_a_classifier_without_evidence(old: Path) -> None:
    assert_golden_page("report-asy.html", report("report.html", ASY), old)


def test_the_comparison_of_runs(old: Path) -> None:
    assert_golden_page("comparison.html", report("comparison.html", BIN, OP_TSG), old)


def test_the_tables(old: Path) -> None:
    options = ["--seeds", "0,1", "--size", "small", "--device", "cpu", *as_options(GRID)]
    which = ["--feats", "feats.h5", "--out", "tables", "--tables", "1,3,4,7,8", "--only-write"]
    which += ["--set", "book_entry=memory"]  # as open-book read its book then
    command(optsg_tables, *which, *options)
    page = Path("tables/tables.html").read_text(encoding="utf-8")
    assert page.count("<svg") == 1  # Figure 3
    assert_golden_page("tables.html", DRAWING.sub("<svg></svg>", page), old)
    text = fixed(Path("tables/tables.md").read_text(encoding="utf-8"), old)
    assert text == golden_text("pages/tables.md", text)


@contextmanager
def judging() -> Iterator[str]:
    """``optsg-judge`` in a process of its own, which serves the questions about two runs; its page's address."""
    videos = Path("videos")
    videos.mkdir()
    (videos / "video-8.mp4").write_bytes(b"not much of a video")
    program = Path(sys.executable).parent / "optsg-judge"
    words = [str(program), "--run", str(OP_TSG), "--run", str(BIN), "--all-tags", "--videos", str(videos)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ) as process:
        try:
            assert process.stdout is not None
            address = next((line.split()[1] for line in process.stdout if line.startswith("judge:")), None)
            if address is None:
                pytest.fail(process.communicate()[1])
            yield address
        finally:
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=60)


def get(address: str, place: str = "") -> str:
    parts = urlsplit(address + place)
    connection = http.client.HTTPConnection(parts.netloc, timeout=30)
    try:
        connection.request("GET", parts.path)
        reply = connection.getresponse()
        text = reply.read().decode("utf-8")
        assert reply.status == 200, text
        return text
    finally:
        connection.close()


def test_the_pages_of_judging(old: Path) -> None:
    with judging() as address:
        assert_golden_page("judge.html", get(address), old)
        assert_golden_page("judge-results.html", get(address, "results"), old)
        for name in ("page.css", "page.js"):
            text = get(address, name)
            assert collapsed(text) == collapsed(golden_text(f"pages/{name}", text))


def test_white_space_between_elements_does_not_count() -> None:
    page = '<p class="a" id="b">one <b>two</b> three</p><pre> x\n y</pre><style>a { b }</style>'
    same = '<p id="b"\n class="a">\n  one\n <b>two</b>\n three\n</p>\n<pre> x\n y</pre>\n<style>\n a {\n b }\n</style>'
    assert page_events(page) == page_events(same)


@pytest.mark.parametrize(
    "other",
    [
        '<p class="a">one<b>two</b> three</p>',
        '<p class="a">one <b>two </b> three</p>',
        '<p class="a ">one <b>two</b> three</p>',
        '<p class="a">one <b>two</b> three</p><br>',
        '<p class="a">one <b>two</b>&nbsp;three</p>',
        '<p class="a">one <b>two</b> Three</p>',
        '<p class="a">one <i>two</i> three</p>',
    ],
)
def test_all_else_counts(other: str) -> None:
    assert page_events('<p class="a">one <b>two</b> three</p>') != page_events(other)
