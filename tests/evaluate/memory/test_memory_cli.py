"""``optsg-memory``: a run knows examples and new tags at once, whatever opens it, and as little as before when they are gone."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from filelock import FileLock
from optsg.data.batching import collate
from optsg.data.errors import RunError
from optsg.data.predicted_tag import PredictedTag
from optsg.data.store import open_store
from optsg.data.store.schema import VideoFeatures
from optsg.data.tags import tag_key
from optsg.evaluate.cli import main as optsg_eval
from optsg.evaluate.memory.cli import main as optsg_memory
from optsg.evaluate.options import TaggingOptions
from optsg.evaluate.tag.evidence import explain
from optsg.evaluate.tag.run_tagger import RunTagger, known_tags, open_tagger
from optsg.train.recall.additions import read_tags
from optsg.train.run.run import load_run
from optsg.train.run.tag_embeddings import load_tag_embeddings
from optsg.train.run_files import ADDITIONS, RANKER, RECALL, run_digest

from tests.tiny_world import TINY_SETTINGS, as_options, tiny_text_tables, tiny_videos, write_tiny_store
from tests.train.command import train

TABLES = tiny_text_tables(contextual=True)


def zeppelins(first: int, count: int) -> list[VideoFeatures]:
    """Videos that look and are titled like no others, of a tag that training does not have."""
    shade = np.random.default_rng(9).normal(size=(3, 12)).astype(np.float16) * 2
    base = tiny_videos(1)[0]
    return [
        replace(
            base,
            id=f"new-{n}",
            title=f"the bird of a bird at {n}",
            tags=("Zeppelin", "pet"),
            frames=shade,
            split="train",
        )
        for n in range(first, first + count)
    ]


@pytest.fixture(scope="module")
def feats(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_store(tmp_path_factory.mktemp("store") / "tiny.h5", tiny_videos(260), text_tables=TABLES)


@pytest.fixture(scope="module")
def more(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five examples of the new tag, a training video with another tag, one as it is, and one without any."""
    known = tiny_videos(2)
    videos = [
        *zeppelins(0, 5),
        replace(known[0], tags=(*known[0].tags, "Blimp")),
        known[1],
        replace(known[0], id="untagged", tags=(), split="none"),
    ]
    return write_tiny_store(tmp_path_factory.mktemp("more") / "more.h5", videos, text_tables=TABLES)


@pytest.fixture(scope="module")
def unseen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    videos = [replace(video, split="test") for video in zeppelins(50, 4)]
    return write_tiny_store(tmp_path_factory.mktemp("unseen") / "unseen.h5", videos, text_tables=TABLES)


@pytest.fixture(scope="module")
def trained(feats: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A run of each of three kinds."""
    folder = tmp_path_factory.mktemp("runs")
    settings = {
        "op-tsg": as_options([*TINY_SETTINGS, "epochs=2", "tag_head=true", "ranking=true"]),
        "memory": [],
        "sources": [],
    }
    for name, options in settings.items():
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(folder)
            result = train("--feats", feats, "--system", name, "--run", folder / name, *options, "-q")
        assert result.exit_code == 0, result.output
    return {name: folder / name for name in settings}


@pytest.fixture
def run(trained: dict[str, Path], tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A copy, which a test may change."""
    return Path(shutil.copytree(trained[getattr(request, "param", "memory")], tmp_path / "run"))


every_kind = pytest.mark.parametrize("run", ["memory", "sources", "op-tsg"], indirect=True)


def called(*arguments: object) -> Result:
    return CliRunner().invoke(optsg_memory, [*map(str, arguments)])


def added(run: Path, feats: Path, *options: str) -> Result:
    result = called("add", run, "--feats", feats, *options)
    assert result.exit_code == 0, result.output
    return result


def predicted(run: Path, feats: Path, options: TaggingOptions | None = None) -> list[list[PredictedTag]]:
    with open_store(feats) as store:
        rows = np.arange(len(store))
        tagger = open_tagger(load_run(run, device="cpu"), options or TaggingOptions(), device="cpu")
        return tagger.predict(collate(store, rows))


def texts(found: Sequence[Sequence[PredictedTag]]) -> list[set[str]]:
    return [{tag.text for tag in tags} for tags in found]


@every_kind
def test_new_tags_come_out_at_once_and_go_again(run: Path, more: Path, unseen: Path, feats: Path) -> None:
    before, digest = predicted(run, feats), run_digest(run)
    assert not any("Zeppelin" in tags for tags in texts(predicted(run, unseen)))
    result = added(run, more)
    lines = result.stdout.splitlines()
    assert lines[:2] == [
        "left out: 1 video remembered with the same tags already",
        "left out: 1 video without tags",
    ]
    assert lines[2].startswith(f"added 6 videos of {more} to {run} in ")
    assert lines[2].endswith(
        " s, 1 of them in place of what was remembered of the same videos; new tags: Zeppelin, Blimp"
    )
    assert lines[3] == f"back: optsg-memory undo {run}"
    found = predicted(run, unseen)
    assert all("Zeppelin" in tags for tags in texts(found))
    assert not any(tag.novel for tags in found for tag in tags if tag.text == "Zeppelin")
    assert run_digest(run) != digest
    undone = called("undo", run)
    assert undone.output == f"took 6 videos and 2 new tags of {more} back from {run}\n"
    assert not (run / ADDITIONS).exists()
    assert (predicted(run, feats), run_digest(run)) == (before, digest)


@every_kind
def test_what_lists_tags_lists_new_ones(run: Path, more: Path, unseen: Path) -> None:
    added(run, more)
    opened = load_run(run, device="cpu")
    assert {"Zeppelin", "Blimp"} < set(known_tags(opened).spellings)
    assert read_tags(run).count_of["zeppelin"] == opened.tag_table.count_of["zeppelin"] == 5
    assert len(load_tag_embeddings(run, opened.tag_table)) == len(opened.tag_table)
    assert all("Zeppelin" in tags for tags in texts(predicted(run, unseen, TaggingOptions(vocabulary="known"))))
    with open_store(unseen) as store:
        batch = collate(store, np.arange(len(store)))
        tags = RunTagger(opened).predict(batch)
        assert [len(own) for own in explain(opened.system, batch, tags)] == [len(own) for own in tags]
    evaluated = CliRunner().invoke(
        optsg_eval, ["--run", str(run), "--feats", str(unseen), "--split", "test", "--device", "cpu", "-q"]
    )
    assert evaluated.exit_code == 0, evaluated.output
    metrics = json.loads((run / "eval/test/metrics.json").read_text(encoding="utf-8"))
    assert metrics["label_based"]["full"]["f1"] > 0.5
    shown = called("show", run).output.splitlines()
    assert shown[1] == f"1. 6 videos of {more}, new tags: Zeppelin (5), Blimp (1)"


def test_the_system_alone_is_as_it_was_trained(
    trained: dict[str, Path], more: Path, unseen: Path, tmp_path: Path
) -> None:
    run = Path(shutil.copytree(trained["op-tsg"], tmp_path / "run"))
    alone = TaggingOptions(decision="scalar")
    before = predicted(run, unseen, alone)
    added(run, more)
    assert predicted(run, unseen, alone) == before


def test_additions_stack_and_are_taken_back_one_by_one(run: Path, more: Path, tmp_path: Path) -> None:
    others = [replace(video, id=f"second-{n}", tags=("Gondola",)) for n, video in enumerate(zeppelins(9, 2))]
    second = write_tiny_store(tmp_path / "second.h5", others, text_tables=TABLES)
    added(run, more)
    first = (run / ADDITIONS).read_bytes()
    assert "new tags: Gondola" in added(run, second).output
    assert len(called("show", run, "-v").output.splitlines()) == 3
    assert called("undo", run).exit_code == 0
    assert (run / ADDITIONS).read_bytes() == first
    assert called("undo", run).exit_code == 0
    nothing = called("undo", run)
    assert nothing.exit_code == 1
    assert nothing.output == f"error: {run} was given no examples after training: there is nothing to undo\n"


def test_the_same_examples_are_added_once(run: Path, more: Path) -> None:
    added(run, more)
    before = (run / ADDITIONS).read_bytes()
    lines = added(run, more).stdout.splitlines()
    assert lines[0] == "left out: 7 videos remembered with the same tags already"
    assert lines[-1] == f"nothing was added to {run}"
    assert (run / ADDITIONS).read_bytes() == before


def test_a_video_with_fewer_tags_takes_the_place_of_the_remembered_one(run: Path, tmp_path: Path) -> None:
    [known] = tiny_videos(1)
    fewer = write_tiny_store(tmp_path / "fewer.h5", [replace(known, tags=known.tags[1:])], text_tables=TABLES)
    before = read_tags(run).count_of
    assert "1 of them in place of what was remembered" in added(run, fewer).output
    after = read_tags(run).count_of
    gone = tag_key(known.tags[0])
    assert after == {**before, gone: before[gone] - 1}


def test_a_split_is_added_alone(run: Path, more: Path) -> None:
    refused = called("add", run, "--feats", more, "--split", "test")
    assert refused.exit_code == 1
    assert "has no videos in split 'test'" in refused.output
    assert not (run / ADDITIONS).exists()


def test_one_process_changes_a_run_at_a_time(run: Path, more: Path) -> None:
    with FileLock(run / f"{ADDITIONS}.lock"):
        for command in (("add", run, "--feats", more), ("undo", run)):
            busy = called(*command)
            message = "is being changed by another process; try again when it has finished"
            assert (busy.exit_code, busy.output) == (1, f"error: {run / ADDITIONS} {message}\n")
    added(run, more)


def test_a_full_disk_leaves_what_was_there(
    run: Path, more: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    added(run, more)
    before = (run / ADDITIONS).read_bytes()

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("optsg.train.run_files.save_file", full)
    second = write_tiny_store(
        tmp_path / "second.h5", [replace(zeppelins(9, 1)[0], tags=("Gondola",))], text_tables=TABLES
    )
    failed = called("add", run, "--feats", second)
    assert failed.exit_code == 1
    assert failed.output.endswith("cannot be written: No space left on device; an earlier one is kept\n")
    assert (run / ADDITIONS).read_bytes() == before
    assert sorted(path.name for path in run.glob(f"{ADDITIONS}*")) == [ADDITIONS]


def test_a_store_of_other_encoders_is_refused(run: Path, tmp_path: Path) -> None:
    other = write_tiny_store(
        tmp_path / "s.h5", zeppelins(0, 1), image_encoder={"kind": "tiny", "name": "other"}, text_tables=TABLES
    )
    refused = called("add", run, "--feats", other)
    assert refused.exit_code == 1
    assert "does not fit the run: its image encoder is" in refused.output


@pytest.mark.parametrize(("run", "missing"), [("op-tsg", RANKER), ("memory", RECALL)], indirect=["run"])
def test_a_run_without_a_memory_that_anybody_reads_is_refused(run: Path, more: Path, missing: str) -> None:
    (run / missing).unlink()
    refused = called("add", run, "--feats", more)
    assert (refused.exit_code, refused.output.count("\n")) == (1, 1)
    assert f"error: {run} has no ranker that would read a memory" in refused.output


@every_kind
def test_damaged_additions_are_refused_by_whoever_opens_the_run(run: Path, more: Path) -> None:
    added(run, more)
    path = run / ADDITIONS
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(RunError, match=r"memory_additions\.safetensors cannot be read"):
        load_run(run, device="cpu")
    for command in (("add", run, "--feats", more), ("undo", run), ("show", run)):
        refused = called(*command)
        assert (refused.exit_code, refused.output.count("\n")) == (1, 1)


def test_additions_of_another_run_are_refused(run: Path, more: Path, trained: dict[str, Path], tmp_path: Path) -> None:
    small = write_tiny_store(
        tmp_path / "small.h5", [replace(v, tags=v.tags[:1]) for v in tiny_videos(30)], text_tables=TABLES
    )
    other = tmp_path / "other"
    assert train("--feats", small, "--system", "memory", "--run", other, "-q").exit_code == 0
    added(run, more)
    shutil.copyfile(run / ADDITIONS, other / ADDITIONS)
    with pytest.raises(
        RunError, match=r"memory_additions\.safetensors does not fit the run: they were added to a run of"
    ):
        load_run(other, device="cpu")


def test_a_store_in_a_folder_whose_name_is_not_utf_8(feats: Path, more: Path, tmp_path: Path) -> None:
    """As of disks that were written in Latin-1."""
    folder = tmp_path / os.fsdecode(b"vid\xe9os")
    try:
        folder.mkdir()
    except OSError:
        pytest.skip("this file system knows no such names")
    shutil.copy(feats, folder / "feats.h5")
    shutil.copy(more, folder / "more.h5")
    refused = train("--feats", folder / "feats.h5", "--system", "memory", "--run", folder / "run")
    assert refused.exit_code == 1
    assert r"vid\xe9os/run, whose name is not UTF-8; choose another --run" in refused.output
    run = tmp_path / "run"
    result = train("--feats", folder / "feats.h5", "--system", "memory", "--run", run, "--quiet")
    assert result.exit_code == 0, result.output
    assert CliRunner().invoke(optsg_eval, ["--run", str(run), "--device", "cpu", "-q"]).exit_code == 0
    for command in (["add", str(run), "--feats", str(folder / "more.h5")], ["show", str(run)], ["undo", str(run)]):
        said = CliRunner().invoke(optsg_memory, command)
        assert said.exit_code == 0, said.output
        assert r"vid\xe9os/more.h5" in said.output
