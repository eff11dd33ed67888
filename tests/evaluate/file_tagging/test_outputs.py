"""Outputs that go on after an interruption, sidecars, and requests; no model is needed."""

from __future__ import annotations

import csv
import gc
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from optsg.data.errors import InputError, RunError
from optsg.data.media import MediaItem
from optsg.evaluate.file_tagging.info_json import write_info_json
from optsg.evaluate.file_tagging.outputs import open_output
from optsg.evaluate.file_tagging.requests import TagRequests
from optsg.evaluate.file_tagging.session import tag_files
from optsg.evaluate.file_tagging.tagged_file import TaggedFile
from optsg.train.constraints.tag_control import VideoTags
from optsg.train.generation import PredictedTag

GROUP = 4


class FakeTagger:
    """Tags every file with its own name; every seventh cannot be read. ``seconds`` a group."""

    name, system = "fake", "op-tsg"

    def __init__(self, seconds: float = 0.0):
        self.seconds = seconds
        self.seen: list[str] = []

    def tag_many(self, requests, *, wishes=None, stop=None):  # noqa: ARG002
        group: list[TaggedFile] = []
        for request in requests:
            self.seen.append(Path(request.path).name)
            number = int(Path(request.path).stem)
            tag = PredictedTag(text=f'tag, "{number}"', score=0.5, novel=True, prompt=1)
            group.append(
                TaggedFile(path=request.path, error="it is bad")
                if number % 7 == 6
                else TaggedFile(path=request.path, title="é", tags=[tag], sidecar=request.sidecar)
            )
            if len(group) == GROUP:
                time.sleep(self.seconds)
                yield group
                group = []
        if group:
            yield group


def run_all(folder: Path, out: Path, tagger: FakeTagger, *, sidecars: bool = False, advance=lambda _: None):
    with open_output(out, None) as output:
        return tag_files(
            tagger,
            TagRequests([folder]),
            output,
            wishes=VideoTags(),
            sidecars=sidecars,
            stop=threading.Event(),
            advance=advance,
            warn=lambda _: None,
        )


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "in"
    made.mkdir()
    for number in range(30):
        (made / f"{number:03}.png").touch()
    return made


@pytest.mark.parametrize("suffix", ["jsonl", "csv", "parquet"])
def test_killed_in_the_middle_and_started_again_it_ends_as_if_nothing_had_happened(folder, tmp_path, suffix):
    run_all(folder, tmp_path / f"whole.{suffix}", FakeTagger())
    out = tmp_path / f"killed.{suffix}"
    code = (
        f"import sys; sys.path[:] = {sys.path!r}\n"
        "from tests.evaluate.file_tagging.test_outputs import FakeTagger, run_all\n"
        "from pathlib import Path\n"
        f"run_all(Path({str(folder)!r}), Path({str(out)!r}), FakeTagger(0.3))\n"
    )
    kept = out if suffix != "parquet" else out.with_name(out.name + ".unfinished.jsonl")
    process = subprocess.Popen([sys.executable, "-c", code], cwd=Path(__file__).parents[3])
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not (kept.exists() and kept.read_bytes().count(b"\n") > GROUP):
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    with kept.open("ab") as file:
        file.write(b'{"path": "in/0')  # the beginning of a line
    tagger = FakeTagger()
    counts = run_all(folder, out, tagger)
    assert 0 < len(tagger.seen) < 30
    assert counts.tagged + counts.failed + counts.skipped == 30
    assert out.read_bytes() == (tmp_path / f"whole.{suffix}").read_bytes()
    assert not out.with_name(out.name + ".unfinished.jsonl").exists()


def test_what_stands_in_the_three_formats(folder, tmp_path):
    for suffix in ("jsonl", "csv", "parquet"):
        counts = run_all(folder, tmp_path / f"out.{suffix}", FakeTagger())
        assert (counts.tagged, counts.failed, counts.skipped) == (26, 4, 0)
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()]
    with (tmp_path / "out.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    table = pq.read_table(tmp_path / "out.parquet").to_pylist()
    assert [line["path"] for line in lines] == [row["path"] for row in rows] == [row["path"] for row in table]
    assert lines[0]["tags"] == [{"tag": 'tag, "0"', "score": 0.5, "novel": True, "prompt": 1}]
    assert json.loads(rows[0]["tags"]) == ['tag, "0"']
    assert (json.loads(rows[0]["scores"]), rows[0]["title"]) == ([0.5], "é")
    assert table[0]["tags"][0]["tag"] == 'tag, "0"'
    assert lines[6] == {"path": str(folder / "006.png"), "error": "it is bad"}
    assert rows[6]["error"] == table[6]["error"] == "it is bad"
    assert table[6]["tags"] is None


def test_new_files_are_added_to_a_finished_parquet_file(folder, tmp_path):
    run_all(folder, tmp_path / "out.parquet", FakeTagger())
    (folder / "100.png").touch()
    tagger = FakeTagger()
    run_all(folder, tmp_path / "out.parquet", tagger)
    assert tagger.seen == ["100.png"]
    assert pq.read_table(tmp_path / "out.parquet").num_rows == 31


def test_another_file_is_not_written_over(tmp_path):
    (tmp_path / "notes.jsonl").write_text("notes\n")
    (tmp_path / "notes.csv").write_text("a,b\n")
    with pytest.raises(RunError, match=r"line 1, is not what optsg-tag writes"):
        open_output(tmp_path / "notes.jsonl", None)
    with pytest.raises(RunError, match="is no table of optsg-tag; name another file with --out"):
        open_output(tmp_path / "notes.csv", None)
    assert (tmp_path / "notes.jsonl").read_text() == "notes\n"


def test_memory_does_not_grow_with_the_number_of_results(folder, tmp_path):
    """The paths of the folder are held, and nothing of the results."""
    for number in range(30, 3000):
        (folder / f"{number:04}.png").touch()
    alive: list[int] = []

    def count_alive(done: int) -> None:
        if done == GROUP and len(seen) % 1000 == 0:
            alive.append(sum(type(thing) in (TaggedFile, MediaItem) for thing in gc.get_objects()))

    tagger = FakeTagger()
    seen = tagger.seen
    run_all(folder, tmp_path / "out.jsonl", tagger, advance=count_alive)
    assert len(alive) == 3
    assert max(alive) <= 3 * GROUP


def test_sidecars_keep_all_other_keys_and_are_not_touched_where_they_say_the_same(tmp_path):
    sidecar = tmp_path / "a.info.json"
    sidecar.write_text(json.dumps({"id": "x", "tags": ["own"], "nested": {"n": 1.5}}))
    tag = PredictedTag(text="猫", score=0.25, novel=False, prompt=3)
    tagged = TaggedFile(path="a.mp4", tags=[tag], sidecar=sidecar)
    assert write_info_json(tagged, run="small-1", system="op-tsg")
    row = {"tag": "猫", "score": 0.25, "novel": False, "prompt": 3}
    assert json.loads(sidecar.read_text(encoding="utf-8")) == {
        "id": "x",
        "tags": ["own"],
        "nested": {"n": 1.5},
        "optsg_tags": {"run": "small-1", "system": "op-tsg", "tags": [row]},
    }
    before = sidecar.stat().st_mtime_ns
    assert not write_info_json(tagged, run="small-1", system="op-tsg")
    assert sidecar.stat().st_mtime_ns == before
    sidecar.write_text("[")
    with pytest.raises(InputError, match="and was left as it is"):
        write_info_json(tagged, run="small-1", system="op-tsg")
    assert sidecar.read_text() == "["


def test_titles_and_wishes_come_from_metadata(tmp_path):
    (tmp_path / "a.mp4").touch()
    (tmp_path / "b.mp4").touch()
    (tmp_path / "a.info.json").write_text('{"title": "from yt-dlp"}')
    (tmp_path / "list.jsonl").write_text(
        '{"file_name": "b.mp4", "title": "t", "pinned_tags": ["cat"], "forbidden_tags": "dog, cow"}\n'
        '{"file_name": "../c.mp4"}\n'
    )
    (single,) = TagRequests([tmp_path / "a.mp4"])
    assert isinstance(single.item, MediaItem)
    assert (single.item.title, single.sidecar) == ("from yt-dlp", tmp_path / "a.info.json")
    (titled,) = TagRequests([tmp_path / "a.mp4"], title="own")
    assert isinstance(titled.item, MediaItem)
    assert titled.item.title == "own"
    row, outside = TagRequests([tmp_path / "list.jsonl"])
    assert isinstance(row.item, MediaItem)
    assert (row.item.title, row.item.pinned, row.item.forbidden) == ("t", ("cat",), ("dog", "cow"))
    assert "leads outside its folder" in str(outside.item)
    assert [Path(request.path).name for request in TagRequests([tmp_path / "*.mp4"])] == ["a.mp4", "b.mp4"]
