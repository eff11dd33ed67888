"""Outputs that go on after an interruption, sidecars, and requests; no model is needed."""

from __future__ import annotations

import csv
import gc
import json
import re
import resource
import threading
import tracemalloc
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from optsg.data.errors import RunError
from optsg.data.foreign.json_reader import SMALL_FILE
from optsg.data.inputs import folder_input
from optsg.data.inputs.folder_input import read_sidecar
from optsg.data.media import MediaItem
from optsg.data.predicted_tag import PredictedTag
from optsg.evaluate.tag.outputs.output import open_output
from optsg.evaluate.tag.requests import TagRequests
from optsg.evaluate.tag.tag_files import tag_files
from optsg.evaluate.tag.tagged_file import TaggedFile
from optsg.train.writing.tag_control import VideoTags

from tests.evaluate.tag.fake_tagger import GROUP, MADE_WITH, FakeTagger, run_all

OTHER = replace(MADE_WITH, run_digest="sha256:01")
TABLES = pytest.mark.parametrize("suffix", ["csv", "parquet"])


@pytest.mark.parametrize("suffix", ["jsonl", "csv", "parquet"])
def test_half_a_line_is_cut_off_and_the_end_is_that_of_an_undisturbed_run(folder, tmp_path, suffix):
    """Real processes are killed in test_processes.py."""
    run_all(folder, tmp_path / f"whole.{suffix}", FakeTagger())
    out = tmp_path / f"cut.{suffix}"
    kept = out if suffix == "jsonl" else out.with_name(out.name + ".unfinished.jsonl")

    def pull_the_plug(_: int) -> None:
        if kept.read_bytes().count(b"\n") >= 3 * GROUP:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        run_all(folder, out, FakeTagger(), advance=pull_the_plug)
    with kept.open("ab") as file:
        file.write(b'{"path": "in/0' + b"0" * 99_999)  # the beginning of a line, longer than all lines that come
    tagger = FakeTagger()
    counts = run_all(folder, out, tagger)
    assert len(tagger.seen) == 30 - 3 * GROUP
    assert counts.tagged + counts.failed + counts.skipped == 30
    assert out.read_bytes() == (tmp_path / f"whole.{suffix}").read_bytes()
    records = [] if suffix == "parquet" else [f"{name}.{suffix}.optsg.json" for name in ("cut", "whole")]
    assert sorted(path.name for path in tmp_path.glob(f"*{suffix}*")) == sorted(
        [f"cut.{suffix}", f"whole.{suffix}", *records]
    )


@pytest.mark.parametrize("suffix", ["jsonl", "csv", "parquet"])
def test_a_file_is_not_done_before_what_stands_beside_it_is_written(folder, tmp_path, suffix):
    out = tmp_path / f"out.{suffix}"

    def pull_the_plug(_: TaggedFile) -> bool:
        raise InterruptedError

    with pytest.raises(InterruptedError), open_output(out, None, MADE_WITH) as output:
        tag_files(
            FakeTagger(),
            TagRequests([folder], is_done=output.is_done),
            output,
            wishes=VideoTags(),
            sidecars=False,
            stop=threading.Event(),
            advance=lambda _: None,
            warn=lambda _: None,
            writers=[pull_the_plug],
        )
    assert run_all(folder, out, FakeTagger()).skipped == 0


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


def test_no_cell_of_csv_is_a_formula_or_a_line_more_and_a_file_so_named_is_done(tmp_path):
    out = tmp_path / "out.csv"
    claimed = []
    for _ in range(2):
        with open_output(out, None, MADE_WITH) as output:
            claimed.append(output.claim("-1.mp4"))
            if claimed[-1]:
                output.write([TaggedFile(path="-1.mp4", title="=1+1\r\nx")])
            output.finish()
    assert claimed == [True, False]
    _, row = out.read_bytes().decode().split("\n", 1)
    assert row.startswith("'-1.mp4,'=1+1  x,")
    assert row.count("\n") == 1


@pytest.mark.parametrize("suffix", ["jsonl", "csv", "parquet"])
def test_an_output_with_long_cells_is_gone_on_with(tmp_path, suffix):
    """Details of many tags with evidence and segments are longer than what Python's reader of CSV takes."""
    limit = csv.field_size_limit(131_072)
    try:
        for name in ("a.mp4", "b.mp4"):
            with open_output(tmp_path / f"out.{suffix}", None, MADE_WITH) as output:
                assert output.claim(name)
                output.write([TaggedFile(path=name, title="long " * 30_000)])
                output.finish()
        csv.field_size_limit(1 << 20)
        assert list(contents(tmp_path / f"out.{suffix}")) == ["a.mp4", "b.mp4"]
    finally:
        csv.field_size_limit(limit)


def test_in_the_table_of_hugging_face_a_file_that_could_not_be_tagged_has_no_row(tmp_path):
    out = tmp_path / "metadata.jsonl"
    with open_output(out, "hf", MADE_WITH) as output:
        failed = TaggedFile(path=str(tmp_path / "a.png"), error="it is bad")
        output.write([failed, TaggedFile(path=str(tmp_path / "b.png"), title="é")])
        output.finish()
    rows = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert rows == [{"file_name": "b.png", "title": "é", "tags": [], "scores": []}]


def tag_into_hugging_face(folder: Path, *names: str) -> list[dict[str, object]]:
    """The rows of the folder's table once these files are tagged."""
    out = folder / "metadata.jsonl"
    with open_output(out, "hf", MADE_WITH) as output:
        tags = [PredictedTag(text="cat", score=0.5, novel=False, prompt=1)]
        paths = [str(folder / name) for name in names]
        output.write([TaggedFile(path=path, tags=tags) for path in paths if output.claim(path)])
        output.finish()
    return [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]


def test_a_table_of_hugging_face_may_be_as_large_as_that_of_a_large_set(tmp_path):
    with (tmp_path / "metadata.jsonl").open("w") as file:
        file.writelines(f'{{"file_name": "{n}.png", "text": "{"caption " * 10_000}"}}\n' for n in range(220))
    assert (tmp_path / "metadata.jsonl").stat().st_size > SMALL_FILE
    rows = tag_into_hugging_face(tmp_path, "0.png", "new.png")
    assert (rows[0]["tags"], rows[-1]["file_name"], len(rows)) == (["cat"], "new.png", 221)


@pytest.mark.parametrize("change", [{"path": ""}, {"title": None}, {"tags": None}])
@pytest.mark.parametrize("name", ["metadata.jsonl", "out.csv", "out.parquet"])
def test_a_line_of_the_journal_that_lacks_something_is_no_traceback(tmp_path, name, change):
    out, kind = tmp_path / name, "hf" if name == "metadata.jsonl" else None
    journal = tmp_path / f"{name}.unfinished.jsonl"
    with open_output(out, kind, MADE_WITH) as output:
        output.write([TaggedFile(path=str(tmp_path / "a.png"))])
    line = {**json.loads(journal.read_bytes()), **change}
    journal.write_text(json.dumps({key: value for key, value in line.items() if value is not None}) + "\n")
    if "path" in change:
        with pytest.raises(RunError, match=r"line 1, is not what optsg-tag writes \(no path\)"):
            open_output(out, kind, MADE_WITH).__enter__()
        return
    with open_output(out, kind, MADE_WITH) as output:
        output.finish()
    assert out.exists()
    assert not journal.exists()


@TABLES
def test_a_table_is_there_only_once_it_is_whole(folder, tmp_path, suffix):
    out = tmp_path / f"out.{suffix}"
    there: list[bool] = []
    run_all(folder, out, FakeTagger(), advance=lambda _: there.append(out.exists()))
    assert there
    assert not any(there)
    assert len(contents(out)) == 30


@TABLES
def test_new_files_are_added_to_a_finished_table(folder, tmp_path, suffix):
    out = tmp_path / f"out.{suffix}"
    run_all(folder, out, FakeTagger())
    before = list(contents(out))
    (folder / "100.png").touch()
    tagger = FakeTagger()
    run_all(folder, out, tagger)
    assert tagger.seen == ["100.png"]
    assert list(contents(out)) == [*before, "100.png"]
    changed = out.stat().st_mtime_ns
    run_all(folder, out, FakeTagger())
    assert out.stat().st_mtime_ns == changed, "nothing is new"


@TABLES
def test_lines_that_a_finished_table_has_already_are_not_added_again(folder, tmp_path, suffix):
    """A kill between the two steps of finishing leaves both."""
    out = tmp_path / f"out.{suffix}"
    run_all(folder, tmp_path / "out.jsonl", FakeTagger())
    run_all(folder, out, FakeTagger())
    names = {path.name for path in tmp_path.glob("out*")} - {"out.jsonl", "out.jsonl.optsg.json"}
    before = contents(out)
    for name in ("out.jsonl", "out.jsonl.optsg.json"):
        (tmp_path / name).rename(tmp_path / name.replace("out.jsonl", f"{out.name}.unfinished.jsonl"))
    tagger = FakeTagger()
    run_all(folder, out, tagger)
    assert (tagger.seen, contents(out)) == ([], before)
    assert {path.name for path in tmp_path.glob("out*")} == names


def cut_csv(folder: Path, out: Path, *, rows: int) -> bytes:
    """What an interrupted command of a version that wrote the table line by line left; returns the whole table."""
    run_all(folder, out, FakeTagger())
    whole = out.read_bytes()
    lines = whole.splitlines(keepends=True)
    out.write_bytes(b"".join(lines[: rows + 1]) + lines[rows + 1][:20])
    return whole


def test_a_csv_that_was_written_line_by_line_is_gone_on_with(folder, tmp_path):
    out = tmp_path / "out.csv"
    whole = cut_csv(folder, out, rows=10)
    tagger = FakeTagger()

    def pull_the_plug(done: int) -> None:
        if done == GROUP:  # files done before come one by one
            raise InterruptedError

    before = out.read_bytes()
    with pytest.raises(InterruptedError):
        run_all(folder, out, FakeTagger(), advance=pull_the_plug)
    assert out.read_bytes() == before, "it is kept until the table is whole"
    with pytest.raises(RunError, match="was made with other options"):
        run_all(folder, out, FakeTagger(), made_with=OTHER)
    run_all(folder, out, tagger)
    assert (tagger.seen[0], len(tagger.seen)) == ("014.png", 30 - 10 - GROUP)
    assert out.read_bytes() == whole


@pytest.mark.parametrize("kept", [0, 10])
def test_of_a_csv_that_has_only_begun_all_is_tagged(folder, tmp_path, kept):
    out = tmp_path / "out.csv"
    whole = cut_csv(folder, out, rows=10)
    out.write_bytes(whole[:kept])
    tagger = FakeTagger()
    run_all(folder, out, tagger)
    assert (len(tagger.seen), out.read_bytes()) == (30, whole)


@pytest.mark.parametrize("suffix", ["jsonl", "csv"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_last_line_whose_end_an_editor_took_away_is_kept(folder, tmp_path, suffix, end):
    out, other = tmp_path / f"out.{suffix}", tmp_path / "other"
    run_all(folder, out, FakeTagger())
    before = list(contents(out))
    out.write_bytes(out.read_bytes().replace(b"\n", end.encode()).removesuffix(end.encode()))
    other.mkdir()
    (other / "200.png").touch()
    run_all(other, out, FakeTagger())
    assert list(contents(out)) == [*before, "200.png"]


@pytest.mark.parametrize("suffix", ["jsonl", "csv"])
def test_an_output_whose_lines_end_as_on_old_macs_is_not_taken_for_half_a_line(folder, tmp_path, suffix):
    out = tmp_path / f"out.{suffix}"
    run_all(folder, out, FakeTagger())
    before = out.read_bytes().replace(b"\n", b"\r")
    out.write_bytes(before)
    with pytest.raises(RunError, match=r"is not what optsg-tag writes|is no table of optsg-tag"):
        run_all(folder, out, FakeTagger())
    assert out.read_bytes() == before


@pytest.mark.parametrize("lost", [b"{", b'{"path": "in/\xc3', b'{"path": "in/' + bytes(600), bytes(600)])
def test_what_a_kill_or_a_power_cut_leaves_of_a_line_is_cut_off(folder, tmp_path, lost):
    out = tmp_path / "out.jsonl"
    run_all(folder, out, FakeTagger())
    whole = out.read_bytes()
    lines = whole.splitlines(keepends=True)
    out.write_bytes(b"".join(lines[:10]) + lost)
    run_all(folder, out, FakeTagger())
    assert out.read_bytes() == whole


def test_a_csv_that_nobody_says_who_made_is_refused(folder, tmp_path):
    out = tmp_path / "out.csv"
    cut_csv(folder, out, rows=10)
    before = out.read_bytes()
    (tmp_path / "out.csv.optsg.json").unlink()
    message = f"there is no {out}.optsg.json to say which run and options made {out}; choose another --out, or add "
    with pytest.raises(RunError, match=f"^{re.escape(message)}--overwrite to begin anew$"):
        run_all(folder, out, FakeTagger())
    assert out.read_bytes() == before
    run_all(folder, out, FakeTagger(), overwrite=True)
    assert len(contents(out)) == 30


@TABLES
def test_memory_while_a_table_is_made_does_not_grow_with_it(folder, tmp_path, suffix):
    """Rows that are there already and rows of the journal go through it a row group at a time."""
    (tmp_path / "more").mkdir()
    for number in range(3000):
        (tmp_path / "more" / f"{number:04}.png").touch()
    peaks = []
    for name, many in (("few", folder), ("many", tmp_path / "more")):
        out = tmp_path / f"{name}.{suffix}"
        run_all(many, out, FakeTagger())
        with open_output(out, None, MADE_WITH) as output:
            output.write([TaggedFile(path="new", title="n")])
            tracemalloc.start()
            output.finish()
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
    assert peaks[1] < peaks[0] + 2_000_000, "a thousand rows take less than that, three thousand more"


def contents(out: Path) -> dict[str, str | None]:
    """The error of every file in an output, ``None`` for tagged ones; a file stands there once."""
    if out.suffix == ".parquet":
        rows = pq.read_table(out).to_pylist()
    elif out.suffix == ".csv":
        with out.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    else:
        rows = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert len({row["path"] for row in rows}) == len(rows)
    return {Path(row["path"]).name: row.get("error") or None for row in rows}


@pytest.mark.parametrize("suffix", ["jsonl", "csv", "parquet"])
def test_failed_files_are_tried_again_only_when_asked(folder, tmp_path, suffix):
    out = tmp_path / f"out.{suffix}"
    run_all(folder, out, FakeTagger())
    failed = [name for name, error in contents(out).items() if error]
    assert len(failed) == 4
    plain, again, never = FakeTagger(reads_all=True), FakeTagger(), FakeTagger(reads_all=True)
    run_all(folder, out, plain)
    assert (plain.seen, len(contents(out))) == ([], 30)
    run_all(folder, out, again, retry_failed=True)
    assert again.seen == failed
    assert [name for name, error in contents(out).items() if error] == failed
    run_all(folder, out, FakeTagger(reads_all=True), retry_failed=True)
    assert set(contents(out).values()) == {None}
    assert len(contents(out)) == 30
    run_all(folder, out, never, retry_failed=True)
    assert never.seen == []


@pytest.mark.parametrize("suffix", ["jsonl", "csv", "parquet"])
def test_an_interrupted_second_try_is_gone_on_with_by_either_command(folder, tmp_path, suffix):
    out = tmp_path / f"out.{suffix}"
    run_all(folder, out, FakeTagger())

    def pull_the_plug(_: int) -> None:
        raise InterruptedError

    (folder / "100.png").touch()
    with pytest.raises(InterruptedError):
        run_all(folder, out, FakeTagger(reads_all=True), retry_failed=True, advance=pull_the_plug)
    run_all(folder, out, FakeTagger(reads_all=True))
    assert len(contents(out)) == 31
    run_all(folder, out, FakeTagger(reads_all=True), retry_failed=True)
    assert list(contents(out).values()) == [None] * 31


def test_all_failed_are_tried_again(tmp_path):
    folder, out = tmp_path / "in", tmp_path / "out.csv"
    folder.mkdir()
    (folder / "006.png").touch()
    assert run_all(folder, out, FakeTagger()).failed == 1
    with pytest.raises(RunError, match="was made with other options"):
        run_all(folder, out, FakeTagger(), made_with=OTHER, retry_failed=True)
    assert run_all(folder, out, FakeTagger(reads_all=True), retry_failed=True).tagged == 1
    assert contents(out) == {"006.png": None}


@pytest.mark.parametrize(
    ("name", "content", "error"),
    [
        ("notes.jsonl", "notes\n", r"line 1, is not what optsg-tag writes \(.*\); name another file with --out"),
        (
            "line.jsonl",
            '{"path": "a"',
            r"is not what optsg-tag writes \(no line is whole\); name another file with --out",
        ),
        ("notes.csv", "a,b\n", "is no table of optsg-tag; name another file with --out"),
        ("notes.parquet", "PAR", r"is not a Parquet file \(.*\); name another file with --out"),
    ],
)
def test_another_file_is_not_written_over(tmp_path, name, content, error):
    (tmp_path / name).write_text(content)
    with pytest.raises(RunError, match=error), open_output(tmp_path / name, None, MADE_WITH):
        pass
    assert (tmp_path / name).read_text() == content
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("suffix", ["jsonl", "csv", "parquet"])
def test_what_a_link_names_is_written_where_it_leads(folder, tmp_path, suffix):
    (tmp_path / "far").mkdir()
    out, real = tmp_path / f"out.{suffix}", tmp_path / "far" / f"real.{suffix}"
    out.symlink_to(real)
    for again, anew, counted in ((False, False, 26), (True, False, 0), (False, True, 26)):
        counts = run_all(folder, out, FakeTagger(), retry_failed=again, overwrite=anew)
        assert counts.tagged == counted
        assert out.is_symlink()
        assert len(contents(real)) == 30
    assert [path.name for path in (tmp_path / "far").iterdir()] == [real.name]


def test_a_file_named_twice_is_tagged_once(folder, tmp_path):
    tagger = FakeTagger()
    with open_output(tmp_path / "out.jsonl", None, MADE_WITH) as output:
        named = TagRequests([folder / "001.png", folder / "002.png", folder / "001.png"])
        counts = tag_files(
            tagger,
            named,
            output,
            wishes=VideoTags(),
            sidecars=False,
            stop=threading.Event(),
            advance=lambda _: None,
            warn=lambda _: None,
        )
    assert (tagger.seen, counts.tagged, counts.skipped) == (["001.png", "002.png"], 2, 1)


def test_a_full_disk_is_one_sentence_and_what_was_written_is_kept(folder, tmp_path):
    out = tmp_path / "out.jsonl"
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1500, hard))
    try:
        message = f"{out} cannot be written: File too large; what it holds is kept"
        with pytest.raises(RunError, match=f"^{re.escape(message)}$"):
            run_all(folder, out, FakeTagger())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert out.stat().st_size == 1500
    run_all(folder, out, FakeTagger())
    run_all(folder, tmp_path / "whole.jsonl", FakeTagger())
    assert out.read_bytes() == (tmp_path / "whole.jsonl").read_bytes()


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


@pytest.mark.parametrize("pattern", ["in", "in/*.png"])
def test_of_what_is_done_no_info_json_is_read_again(folder, tmp_path, monkeypatch, pattern):
    """In an archive they are large, and there are many."""
    for number in range(30):
        (folder / f"{number:03}.info.json").write_text(json.dumps({"title": f"title {number}"}))
    names: list[str] = []

    def read(path: Path) -> dict[str, object]:
        names.append(path.name)
        return read_sidecar(path)

    monkeypatch.setattr(folder_input, "read_sidecar", read)
    for done in (0, 30):
        names.clear()
        counts = run_all(tmp_path / pattern, tmp_path / "out.jsonl", FakeTagger())
        assert (counts.skipped, len(names)) == (done, 30 - done)
    (folder / "100.png").touch()
    (folder / "100.info.json").write_text('{"title": "new"}')
    run_all(tmp_path / pattern, tmp_path / "out.jsonl", FakeTagger())
    assert names == ["100.info.json"]
