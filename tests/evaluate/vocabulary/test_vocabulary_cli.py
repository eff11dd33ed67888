"""``optsg-vocabulary``: from a store to a CSV, and from what is accepted to a list of tags and another store."""

from __future__ import annotations

import csv
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from optsg.data.store import open_store
from optsg.data.store.verification import verify_store
from optsg.data.tag_list import read_tag_list
from optsg.evaluate.vocabulary.cli import main
from optsg.extract.store.cli import main as optsg_store

from tests.tiny_world import tiny_videos, write_tiny_store


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def accept(proposals: Path, *tags: str) -> Path:
    """The same CSV with yes at some tags and no at the others."""
    with proposals.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    out = proposals.with_name("accepted.csv")
    with out.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows({**row, "accept": "yes" if row["tag"] in tags else "no"} for row in rows)
    return out


@pytest.fixture
def proposals(feats: Path, tmp_path: Path) -> Path:
    out = tmp_path / "proposals.csv"
    result = run("check", feats, "--csv", out, "-q")
    assert (result.exit_code, result.output) == (0, "")
    return out


def test_check_prints_a_table_for_each_kind_and_is_what_is_done_without_a_command(feats: Path, tmp_path: Path) -> None:
    result = run(feats, "--shown", 1, "--csv", tmp_path / "p.csv")
    assert result.exit_code == 0, result.output
    with open_store(feats) as store:
        tags = len(store.tag_keys)
    lines = result.output.splitlines()
    assert f"spelling (written alike: one tag): 2 of {tags} tags" in lines
    assert f"alias (used alike: one tag): 1 of {tags} tags" in lines
    assert f"one-off (used once, close to nothing: away): 1 of {tags} tags" in lines
    assert lines[-1] == f"proposals: {tmp_path / 'p.csv'}"
    assert ("Blau" in result.output, "gren" in result.output, "blacks" in result.output) in (
        (True, True, False),
        (True, False, True),
    )


def test_the_same_store_gives_the_same_file(feats: Path, proposals: Path, tmp_path: Path) -> None:
    run("check", feats, "--csv", tmp_path / "again.csv", "-q")
    assert (tmp_path / "again.csv").read_bytes() == proposals.read_bytes()
    assert proposals.read_text(encoding="utf-8").startswith(
        "kind,tag,into,score,evidence,count_tag,count_into,accept\n"
    )


def test_what_is_there_is_not_overwritten(feats: Path, proposals: Path) -> None:
    before = proposals.read_bytes()
    result = run("check", feats, "--csv", proposals)
    assert (result.exit_code, result.output) == (
        1,
        f"error: {proposals} is there already; choose another name, or replace it with --overwrite\n",
    )
    assert proposals.read_bytes() == before
    assert run("check", feats, "--csv", proposals, "--overwrite", "--least-score", 1.0, "-q").exit_code == 0
    assert proposals.read_text(encoding="utf-8").count("\n") == 1


def test_a_store_that_is_not_there(tmp_path: Path) -> None:
    result = run("check", tmp_path / "none.h5")
    assert result.exit_code == 1
    assert result.output == f"error: there is neither a run nor a feature store at {tmp_path / 'none.h5'}\n"


def test_a_store_without_tags_has_nothing_to_propose(tmp_path: Path) -> None:
    videos = [replace(video, tags=(), split="none") for video in tiny_videos(3)]
    result = run("check", write_tiny_store(tmp_path / "bare.h5", videos))
    assert (result.exit_code, result.output) == (0, "nothing to propose for 0 tags\n")


def test_accepted_changes_become_a_vocabulary(feats: Path, proposals: Path, tmp_path: Path) -> None:
    out = tmp_path / "tags.txt"
    result = run("apply", feats, "--csv", accept(proposals, "gren", "Blau", "<b>odd & new</b>"), "--out", out)
    assert (result.exit_code, result.output) == (0, f"{out}: merged 2, taken away 1, put under others 0\n")
    found = read_tag_list(out)
    assert (found.resolve("GREN"), found.resolve("blau"), found.resolve("<b>odd & new</b>")) == ("green", "blue", None)
    assert found.resolve("blacks") == "blacks"
    assert found.closed
    assert "gren" not in found.spellings


def test_accepted_changes_become_another_store(feats: Path, proposals: Path, tmp_path: Path) -> None:
    store = Path(shutil.copyfile(feats, tmp_path / "feats.h5"))
    accepted = accept(proposals, "gren", "Blau", "<b>odd & new</b>")
    result = CliRunner().invoke(optsg_store, ["relabel", str(store), "--aliases", str(accepted)])
    assert result.exit_code == 0, result.output
    with open_store(feats) as before, open_store(store) as after:
        changed = 0
        for row in range(len(before)):
            old = [before.tag_spellings[tag] for tag in before.tags(row)]
            names = {"gren": "green", "Blau": "blue"}
            new = [names.get(tag, tag) for tag in old if tag != "<b>odd & new</b>"]
            assert [after.tag_spellings[tag] for tag in after.tags(row)] == new
            assert after.title(row) == before.title(row)
            assert after.splits[row] == before.splits[row]
            changed += new != old
        assert set(before.tag_keys) - set(after.tag_keys) == {"gren", "blau", "<b>odd & new</b>"}
    assert result.output == f"{store}: {changed} of 240 videos changed (tags {changed}), 0 new tags embedded\n"
    assert verify_store(store, None).problems == []


def test_relabelling_says_what_it_cannot_do(feats: Path, proposals: Path, tmp_path: Path) -> None:
    store = Path(shutil.copyfile(feats, tmp_path / "feats.h5"))

    def relabel(*words: object) -> tuple[int, str]:
        result = CliRunner().invoke(optsg_store, ["relabel", str(store), *map(str, words)])
        return result.exit_code, result.output.splitlines()[-1]

    assert relabel("--aliases", proposals) == (
        1,
        f"error: {proposals} accepts nothing; write yes into the column accept of the rows that are right",
    )
    assert relabel() == (2, "Error: give --metadata, or --aliases, and not both")
    assert relabel("--aliases", proposals, "--metadata", proposals) == (2, relabel()[1])
    assert relabel("--aliases", proposals, "--clear-missing") == (
        2,
        "Error: options of tables and --clear-missing are for --metadata",
    )
    assert store.read_bytes() == feats.read_bytes()
