"""One output is of one run and one set of options, and of one process at a time."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from optsg.data.errors import ConfigError, RunError
from optsg.evaluate.options import TaggingOptions
from optsg.evaluate.tag.outputs.made_with import MadeWith
from optsg.evaluate.tag.outputs.output import open_output
from optsg.train.run_files import NEEDED

from tests.evaluate.tag.fake_tagger import GROUP, MADE_WITH, FakeTagger, run_all

FORMATS = pytest.mark.parametrize("suffix", ["jsonl", "csv", "parquet"])
REMEDY = "Repeat the command with the old options, choose another --out, or add --overwrite to begin anew"


@pytest.fixture
def make_run(tmp_path: Path) -> Callable[..., Path]:
    """Makes what looks like a finished run from outside; ``content`` is in its files."""

    def make(name: str, content: str = "") -> Path:
        folder = tmp_path / "runs" / name
        folder.mkdir(parents=True)
        for file in NEEDED:
            (folder / file).write_text(f"{file} {content}")
        return folder

    return make


def refusal(folder: Path, out: Path, made_with: MadeWith) -> str:
    with pytest.raises(RunError) as raised:
        run_all(folder, out, FakeTagger(), made_with=made_with)
    return str(raised.value)


@FORMATS
def test_an_output_of_another_run_is_refused_and_left_as_it_was(folder: Path, tmp_path: Path, suffix: str) -> None:
    out = tmp_path / f"out.{suffix}"
    run_all(folder, out, FakeTagger())
    before = out.read_bytes()
    other = replace(MADE_WITH, run="small-2", run_digest="sha256:01", threshold=0.0, evidence=True)
    assert refusal(folder, out, other) == (
        f"{out} was made with other options (there ≠ now): --run fake ≠ small-2; --threshold not given ≠ 0.0; --evidence "
        f"not given ≠ given. {REMEDY}"
    )
    assert out.read_bytes() == before


@FORMATS
def test_so_is_one_that_is_not_finished(folder: Path, tmp_path: Path, suffix: str) -> None:
    out = tmp_path / f"out.{suffix}"
    with pytest.raises(InterruptedError):
        run_all(folder, out, FakeTagger(), advance=_interrupt)
    kept = out if suffix == "jsonl" else out.with_name(f"{out.name}.unfinished.jsonl")
    assert refusal(folder, out, replace(MADE_WITH, vocabulary="known")) == (
        f"{kept} was made with other options (there ≠ now): --vocabulary open ≠ known. {REMEDY}"
    )


@pytest.mark.parametrize(
    ("there", "now", "difference"),
    [
        ({}, {"run_digest": "sha256:01"}, "--run fake ≠ fake with other files"),
        ({"threshold": 0.5}, {"min_precision": 0.9}, "--threshold 0.5 ≠ not given; --min-precision not given ≠ 0.9"),
        ({"nil_bias": -1.0}, {"nil_bias": 1.5}, "--nil-bias -1.0 ≠ 1.5"),
        ({"decision": 0.25}, {}, "--decision 0.25 ≠ not given"),
        ({"pin": ("cat", "dog")}, {"forbid": ("cow",)}, "--pin cat, dog ≠ not given; --forbid not given ≠ cow"),
        ({"write_sidecar": True}, {}, "--write-sidecar given ≠ not given"),
        ({"vocabulary": "snap"}, {"vocabulary": "known"}, "--vocabulary snap ≠ known"),
        (
            {"vocabulary": "tags.txt", "list_digest": "sha256:00"},
            {"vocabulary": "tags.txt", "list_digest": "sha256:01"},
            "--vocabulary tags.txt ≠ tags.txt with other tags",
        ),
        (
            {"vocabulary": "tags.txt", "list_digest": "sha256:00"},
            {"vocabulary": "snap:tags.txt", "list_digest": "sha256:00"},
            "--vocabulary tags.txt ≠ snap:tags.txt",
        ),
    ],
)
def test_the_options_that_differ_are_named(there: dict[str, Any], now: dict[str, Any], difference: str) -> None:
    found = replace(MADE_WITH, **there).differences(replace(MADE_WITH, **now))
    assert "; ".join(found) == difference


def test_the_same_tags_are_made_by_a_run_and_a_list_wherever_they_lie(make_run, tmp_path: Path) -> None:
    (tmp_path / "tags.txt").write_text("Cat\nkitty -> Cat\n!spam\n")
    (tmp_path / "moved.txt").write_text("# the same\n!spam\nkitty -> Cat\n")
    first, moved = make_run("first"), make_run("moved")
    there = MadeWith.now(first, TaggingOptions(vocabulary=str(tmp_path / "tags.txt")), forbid=("b", "a"))
    now = MadeWith.now(moved, TaggingOptions(vocabulary=str(tmp_path / "moved.txt")), forbid=("a", "b"))
    assert there.differences(now) == []
    assert MadeWith.from_json(there.to_json()) == there

    (moved / "decision.json").write_text("tuned again")
    (tmp_path / "moved.txt").write_text("*\n!spam\nkitty -> Cat\n")
    changed = MadeWith.now(moved, TaggingOptions(vocabulary=str(tmp_path / "moved.txt")), forbid=("a", "b"))
    names = f"{tmp_path / 'tags.txt'} ≠ {tmp_path / 'moved.txt'}"
    assert there.differences(changed) == ["--run first ≠ moved", f"--vocabulary {names}"]


def test_tags_that_all_files_have_or_have_not_count_with_a_run_and_without(make_run) -> None:
    run, options = make_run("first"), TaggingOptions()
    without = partial(MadeWith.without_run, "clip", {"name": "ViT-B-32"}, options)
    expected = ["--forbid not given ≠ a, b", "--evidence not given ≠ given"]
    assert without().differences(without(forbid=("b", "a"), evidence=True)) == expected
    with_run = partial(MadeWith.now, run, options)
    found = with_run().differences(with_run(pin=("d", "c"), forbid=("b", "a"), evidence=True))
    assert found == ["--pin not given ≠ d, c", *expected]


def test_a_run_or_list_that_cannot_be_read_is_said(make_run, tmp_path: Path) -> None:
    run = make_run("first")
    with pytest.raises(ConfigError, match=r"^the vocabulary .*gone\.txt cannot be read: No such file or directory$"):
        MadeWith.now(run, TaggingOptions(vocabulary=f"snap:{tmp_path / 'gone.txt'}"))
    (run / "config.json").unlink()
    with pytest.raises(
        RunError, match=r"has no config\.json; the run is not finished \(optsg-train --resume\) or was damaged$"
    ):
        MadeWith.now(run, TaggingOptions())


def test_lines_without_a_record_are_not_gone_on_with(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    run_all(folder, out, FakeTagger())
    record = tmp_path / "out.jsonl.optsg.json"
    assert json.loads(record.read_text(encoding="utf-8"))["run"] == "fake"
    record.unlink()
    remedy = "choose another --out, or add --overwrite to begin anew"
    assert refusal(folder, out, MADE_WITH) == f"there is no {record} to say which run and options made {out}; {remedy}"
    for text in ("[]", "{", '{"run": "fake", "run_digest": "sha256:00", "unheard_of": 1}'):
        record.write_text(text)
        message = rf"^{re.escape(str(record))} is not what this optsg-tag writes \(.*\); {remedy}$"
        assert re.match(message, refusal(folder, out, MADE_WITH))


def test_a_record_without_lines_holds_nobody_back(folder: Path, tmp_path: Path) -> None:
    """A kill before the first line leaves it."""
    out = tmp_path / "out.csv"
    run_all(folder, out, FakeTagger())
    whole = out.read_bytes()
    for left in (b"", b"path,ti", b"path,title,tags,scores,novel,error,details\n", whole[:60]):
        out.write_bytes(left)
        run_all(folder, out, FakeTagger(), made_with=replace(MADE_WITH, threshold=0.5))
        assert out.read_bytes() == whole
        assert json.loads((tmp_path / "out.csv.optsg.json").read_text())["threshold"] == 0.5


def test_a_parquet_file_that_says_nothing_is_not_gone_on_with(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.parquet"
    run_all(folder, out, FakeTagger())
    assert MadeWith.from_json(pq.read_schema(out).metadata[b"optsg"]) == MADE_WITH
    pq.write_table(pq.read_table(out).replace_schema_metadata(None), out)
    message = (
        rf"^the metadata of {re.escape(str(out))} is not what this optsg-tag writes \(.*\); choose another --out, or"
    )
    assert re.match(message, refusal(folder, out, MADE_WITH))


@FORMATS
def test_overwrite_begins_anew_once_there_is_something_to_write(folder: Path, tmp_path: Path, suffix: str) -> None:
    out = tmp_path / f"out.{suffix}"
    run_all(folder, out, FakeTagger())
    before = out.read_bytes()
    other = replace(MADE_WITH, threshold=0.5)
    with pytest.raises(RuntimeError), open_output(out, None, other, overwrite=True):
        raise RuntimeError("the run cannot be opened")
    assert out.read_bytes() == before
    assert run_all(folder, out, FakeTagger()).skipped == 30

    with pytest.raises(InterruptedError):
        run_all(folder, out, FakeTagger(), made_with=other, overwrite=True, advance=_interrupt)
    counts = run_all(folder, out, FakeTagger(), made_with=other)
    assert (counts.skipped, counts.tagged + counts.failed) == (GROUP, 30 - GROUP)
    assert "--threshold 0.5 ≠ not given" in refusal(folder, out, MADE_WITH)
    assert run_all(folder, out, FakeTagger(), overwrite=True).skipped == 0
    assert out.read_bytes() == before


@FORMATS
def test_two_processes_on_one_output_are_refused(folder: Path, tmp_path: Path, suffix: str) -> None:
    out = tmp_path / f"out.{suffix}"
    program = "import sys; from filelock import FileLock; lock = FileLock(sys.argv[1]); lock.acquire(); print('held', flush=True); input()"
    command = [sys.executable, "-c", program, f"{out}.lock"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        message = f"{out} is being written by another process; wait until it has finished, or choose another --out"
        assert refusal(folder, out, MADE_WITH) == message
        assert not out.exists()
        other.kill()  # the lock goes with its owner, however it ends
    run_all(folder, out, FakeTagger())
    assert not list(tmp_path.glob("*.lock"))


def _interrupt(_: int) -> None:
    raise InterruptedError
