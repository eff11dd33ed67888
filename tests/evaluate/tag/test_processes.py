"""``optsg-tag`` as a process: its exit codes, stopped by signals, killed (−9) at any moment, and begun again."""

from __future__ import annotations

import contextlib
import csv
import itertools
import json
import os
import random
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from PIL import Image

from tests.command_server import open_server
from tests.evaluate.colour_world import shade

FILES = 40
BROKEN = 5
GROUP = 4
FORMATS = ("jsonl", "csv", "parquet")
SCORE_ROUNDING = 1e-3


@dataclass
class Commands:
    """The process that runs commands (:mod:`tests.evaluate.tag.tagging_server`)."""

    process: subprocess.Popen[str]
    folder: Path

    def run(
        self,
        *arguments: object,
        number: signal.Signals = signal.SIGKILL,
        after: float | None = None,
        once: Callable[[], bool] | None = None,
        group: bool = False,
    ) -> tuple[int, float]:
        """One command: exit code (−9 when a kill came before the end) and seconds.

        Args:
            number: the signal, sent ``after`` so many seconds, or ``once`` something is true.
            group: whether all processes of the command get it, as from Ctrl-C.
        """
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        started = time.monotonic()
        self.process.stdin.write(json.dumps([str(argument) for argument in arguments]) + "\n")
        self.process.stdin.flush()
        child = int(self.process.stdout.readline())
        while once is not None and not once():
            assert not select.select([self.process.stdout], [], [], 0.01)[0], f"it ended too early: {self.output()}"
        if once is not None or (after is not None and not select.select([self.process.stdout], [], [], after)[0]):
            with contextlib.suppress(ProcessLookupError):  # it has just ended by itself
                (os.killpg if group else os.kill)(child, number)
        code = int(self.process.stdout.readline())
        seconds = time.monotonic() - started
        self._wait_for_workers(child)
        return code, seconds

    def output(self) -> str:
        """What the last command said."""
        return (self.folder / "output.txt").read_text(encoding="utf-8")

    @staticmethod
    def _wait_for_workers(group: int) -> None:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            try:
                os.killpg(group, 0)
            except ProcessLookupError:
                return
            time.sleep(0.05)
        pytest.fail("decoding processes are left")


@pytest.fixture(scope="module")
def commands(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Commands]:
    folder = tmp_path_factory.mktemp("commands")
    with open_server("tests.evaluate.tag.tagging_server", folder) as process:
        yield Commands(process, folder)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures of many shades, some of them no pictures."""
    folder = tmp_path_factory.mktemp("pictures")
    for number in range(FILES):
        path = folder / f"{number:03}.png"
        if number % (FILES // BROKEN) == 5:
            path.write_text("no picture")
        else:
            Image.new("RGB", (40, 30), shade(("red", "green", "blue")[number % 3], number)).save(path)
    return folder


@pytest.fixture(scope="module")
def options(pictures: Path, colour_run: Path) -> list[object]:
    return [pictures, "--run", colour_run, "--device", "cpu", "--workers", 1, "--batch-size", GROUP]


@dataclass(frozen=True)
class Whole:
    """An uninterrupted run: its rows, and its seconds."""

    rows: list[dict[str, Any]]
    seconds: float


@pytest.fixture(scope="module")
def whole(commands: Commands, options: list[object], tmp_path_factory: pytest.TempPathFactory) -> Whole:
    out = tmp_path_factory.mktemp("whole") / "tags.jsonl"
    code, seconds = commands.run(*options, "--out", out)
    assert code == 0, commands.output()
    rows = read_rows(out)
    assert sum("error" in row for row in rows) >= BROKEN
    return Whole(rows, seconds)


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Rows of an output in any format as JSON lines have them; fails where one is not whole."""
    if path.suffix == ".jsonl":
        text = path.read_text(encoding="utf-8")
        assert text.endswith("\n") or not text
        return [json.loads(line) for line in text.splitlines()]
    if path.suffix == ".csv":
        with path.open(encoding="utf-8", newline="") as file:
            read = list(csv.DictReader(file, strict=True))
        return [
            {"path": row["path"], "error": row["error"]}
            if row["error"]
            else {"path": row["path"], "title": row["title"], "tags": json.loads(row["details"])}
            for row in read
        ]
    rows = []
    for row in pq.read_table(path).to_pylist():
        some = {name: value for name, value in row.items() if value is not None}
        optional = ("pinned", "written", "distance", "evidence")
        for tag in some.get("tags", ()):
            assert not any(tag.pop(name) for name in optional)
        rows.append(some)
    return rows


def kept_of(out: Path) -> Path:
    """The file that grows."""
    return out if out.suffix == ".jsonl" else out.with_name(f"{out.name}.unfinished.jsonl")


def assert_same_rows(found: list[dict[str, Any]], expected: list[dict[str, Any]]) -> None:
    """The same rows but for the rounding of scores: a picture may be encoded in another batch the second time."""
    scores = [[tag["score"] for row in rows for tag in row.get("tags", ())] for rows in (found, expected)]
    assert scores[0] == pytest.approx(scores[1], rel=0, abs=SCORE_ROUNDING)
    assert [_without_scores(row) for row in found] == [_without_scores(row) for row in expected]


def _without_scores(row: dict[str, Any]) -> dict[str, Any]:
    if "tags" not in row:
        return row
    return {**row, "tags": [{name: value for name, value in tag.items() if name != "score"} for tag in row["tags"]]}


def assert_ended_well(out: Path, whole: Whole) -> None:
    assert_same_rows(read_rows(out), whole.rows)
    record = [] if out.suffix == ".parquet" else [f"{out.name}.optsg.json"]
    assert sorted(path.name for path in out.parent.iterdir()) == [out.name, *record], "something was left behind"


@pytest.mark.parametrize(
    ("suffix", "number"),
    [
        ("jsonl", signal.SIGINT),
        pytest.param("csv", signal.SIGTERM, marks=pytest.mark.slow),
        ("parquet", signal.SIGTERM),
    ],
)
def test_stopped_it_leaves_whole_rows_and_goes_on(
    commands: Commands, options: list[object], whole: Whole, tmp_path: Path, suffix: str, number: signal.Signals
) -> None:
    out = tmp_path / f"tags.{suffix}"
    kept = kept_of(out)
    command = [*options, "--out", out]
    has_begun = lambda: kept.exists() and kept.read_bytes().count(b"\n") > GROUP  # noqa: E731
    code, _ = commands.run(*command, number=number, once=has_begun, group=number == signal.SIGINT)
    assert code == {signal.SIGINT: 130, signal.SIGTERM: 143}[number]
    assert commands.output().splitlines()[-1] == "interrupted; what is done is kept, the same command goes on"
    rows = read_rows(kept)
    assert len(rows) % GROUP == 0
    assert 0 < len(rows) < FILES
    assert_same_rows(rows, whole.rows[: len(rows)])
    assert out.exists() == (suffix == "jsonl")
    assert commands.run(*command)[0] == 0
    assert commands.output().splitlines()[-1].endswith(f", {len(rows)} done before")
    assert_ended_well(out, whole)


def test_ctrl_c_of_the_installed_command(options: list[object], tmp_path: Path) -> None:
    """From its very start, imports included: a process of its own that nobody prepared."""
    code = "import sys; from optsg.evaluate.tag.cli import main; sys.argv[0] = 'optsg-tag'; main()"
    out = tmp_path / "tags.jsonl"
    words = [sys.executable, "-c", code, *map(str, [*options, "--out", out])]
    with subprocess.Popen(words, cwd=tmp_path, stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
        while not (out.exists() and out.read_bytes().count(b"\n") >= GROUP):
            assert process.poll() is None
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert (process.returncode, said.splitlines()[-1]) == (
        130, "interrupted; what is done is kept, the same command goes on",
    )  # fmt: skip
    assert len(read_rows(out)) % GROUP == 0


def test_exit_codes(commands: Commands, options: list[object], tmp_path: Path) -> None:
    pictures, *rest = options
    assert isinstance(pictures, Path)
    broken, good = pictures / "005.png", pictures / "000.png"
    out = tmp_path / "some.jsonl"
    assert commands.run(good, broken, *rest, "--out", out)[0] == 0
    assert commands.output().splitlines()[-1] == f"{out}: 1 tagged, 1 could not be read"
    out = tmp_path / "none.jsonl"
    assert commands.run(broken, *rest, "--out", out)[0] == 1
    assert commands.output().splitlines()[-1] == f"{out}: 0 tagged, 1 could not be read"
    assert commands.run(good, *rest, "--out", out, "--threshold", 0.5)[0] == 1
    assert commands.output() == (
        f"error: {out} was made with other options (there ≠ now): --threshold not given ≠ 0.5. Repeat the command with "
        "the old options, choose another --out, or add --overwrite to begin anew\n"
    )
    assert commands.run(good, *rest, "--out", out, "--threshold", 0.5, "--overwrite")[0] == 0
    assert commands.run(good, *rest, "--overwrite")[0] == 2
    assert commands.output().startswith("Usage: optsg-tag [OPTIONS] PATH...\n")
    assert commands.output().endswith("Error: --overwrite is of --out FILE\n")


def kill_often(
    commands: Commands, options: list[object], whole: Whole, tmp_path: Path, *, kills: int, seed: int
) -> None:
    """Outputs of all formats, one after the other, until there were enough kills."""
    moments = random.Random(seed)
    done, seconds = 0, whole.seconds
    for number in itertools.count():
        if done == kills:
            return
        folder = tmp_path / str(number)
        folder.mkdir()
        out = folder / f"tags.{FORMATS[number % len(FORMATS)]}"
        earlier = ["--overwrite"] if number % 2 else []  # where there is nothing, it changes nothing
        for attempt in itertools.count():
            after = moments.uniform(0, seconds) if done < kills else None
            code, took = commands.run(*options, "--out", out, *(earlier if attempt == 0 else ()), after=after)
            if code == 0:
                seconds = min(seconds, took) if attempt == 0 else seconds
                break
            assert code == -signal.SIGKILL, commands.output()
            done += 1
            if out.suffix != ".jsonl" and out.exists():  # it is there only once it is whole
                assert_same_rows(read_rows(out), whole.rows)
        assert_ended_well(out, whole)


def test_killed_at_any_moment_it_ends_as_if_nothing_had_happened(
    commands: Commands, options: list[object], whole: Whole, tmp_path: Path
) -> None:
    kill_often(commands, options, whole, tmp_path, kills=2, seed=0)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_killed_a_hundred_times(commands: Commands, options: list[object], whole: Whole, tmp_path: Path) -> None:
    kill_often(commands, options, whole, tmp_path, kills=100, seed=1)
