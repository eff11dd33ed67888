"""The command from predictions and a store to the page and the report."""

from __future__ import annotations

import http.client
import json
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from click.testing import CliRunner, Result
from optsg.data.errors import RunError
from optsg.data.store import open_store
from optsg.evaluate.judge.answers import Answer, AnswerFile
from optsg.evaluate.judge.cli import main
from optsg.evaluate.judge.judge import Options, serve
from optsg.train.config import InputConfig, ModelConfig, RunConfig, TrainingConfig

from tests.evaluate.judge.conftest import write_run

PREDICTED = {"test-00": {"Moon": True, "red": False}, "test-01": {"night sky": True}}
TRUE = {"test-00": ("Red", "Cat"), "test-01": ("Blue",)}


@pytest.fixture
def run(tmp_path: Path, store_path: Path) -> Path:
    """A run evaluated on two videos of a store, beside the folder ``videos``, which holds the first."""
    folder = write_run(tmp_path / "night", PREDICTED, TRUE)
    with open_store(store_path) as store:
        header = json.loads(store.header.to_json())
    config = RunConfig(
        optsg_version="0",
        size="small",
        model=ModelConfig(),
        training=TrainingConfig(),
        inputs=InputConfig(
            frame_dim=4, patch_dim=0, max_patches=1, tag_dim=8, title_encoder={"model_type": "bert"}, pieces=(5, 6, 9)
        ),
        store={"path": str(store_path), "header": header},
    )
    (folder / "config.json").write_text(config.to_json(), encoding="utf-8")
    (tmp_path / "videos" / "test").mkdir(parents=True)
    (tmp_path / "videos" / "test" / "00.mp4").write_bytes(b"not much of a video")
    return folder


def options(run: Path, **changes: Any) -> Options:
    values: dict[str, Any] = {
        "runs": (run,),
        "split": "test",
        "all_tags": False,
        "sample": None,
        "answers": None,
        "feats": None,
        "videos": run.parent / "videos",
        "port": 0,
        "seed": 0,
    }
    return Options(**{**values, **changes})


def judge(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments], prog_name="optsg-judge")


def get(address: str) -> tuple[int, bytes]:
    parts = urlsplit(address)
    connection = http.client.HTTPConnection(parts.netloc, timeout=10)
    try:
        connection.request("GET", parts.path)
        reply = connection.getresponse()
        return reply.status, reply.read()
    finally:
        connection.close()


def test_it_serves_the_page_the_videos_and_stills_until_it_is_stopped(run: Path):
    stop, ready, said = threading.Event(), threading.Event(), []

    def announce(line: str) -> None:
        said.append(line)
        if line.startswith("Ctrl-C"):
            ready.set()

    thread = threading.Thread(target=serve, args=(options(run), announce, stop))
    thread.start()
    try:
        assert ready.wait(60)
        page = said[2].split()[1]
        assert get(page)[0] == 200
        assert get(page + "media/0") == (200, b"not much of a video")
        assert get(page + "media/1")[0] == 404
        assert get(page + "still/1")[1].startswith(b"\xff\xd8")
        assert get(page + "results")[0] == 200
    finally:
        stop.set()
        thread.join()

    assert said[:2] == [
        f"2 tags of 2 videos; answers: {run / 'judgements.sqlite'}",
        "1 video was not found; a still stands in for it",
    ]
    with pytest.raises(ConnectionRefusedError):
        get(page)


def test_the_process_prints_its_address_and_ends_well_on_ctrl_c(run: Path):
    code = "from optsg.evaluate.judge.cli import main; main(prog_name='optsg-judge')"
    command = [sys.executable, "-c", code, "--run", str(run), "--videos", str(run.parent / "videos")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(5)]
        assert re.fullmatch(r"judge:   http://127\.0\.0\.1:\d+/[\w-]{32}/\n", lines[2])
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, "")


def test_the_report_and_its_csv(run: Path, tmp_path: Path):
    AnswerFile(run / "judgements.sqlite").save(
        Answer(video="test-01", tag="night sky", annotator="Ann", verdict="relevant")
    )

    result = judge("--run", run, "--report", "--csv", tmp_path / "verdicts.csv")

    assert result.exit_code == 0, result.output
    # One of one true tag and none of two: (1 + 0) / 2; with "Moon", (1 + 1/2) / 2.
    assert " ".join(result.stdout.splitlines()[1].split()) == "night 50.00 % 0.00 to 100.00 % 0.50 1 of 2 75.00 %"
    assert (tmp_path / "verdicts.csv").read_text(encoding="utf-8").splitlines() == [
        "video,title,tag,runs,novel_in,relevant,not_relevant,unsure,verdict,by Ann",
        "test-00,title of test-00,Moon,night,night,0,0,0,not judged,",
        "test-01,title of test-01,night sky,night,night,1,0,0,relevant,relevant",
    ]
    assert judge("--run", run, "--report", "-q").stdout == ""
    assert "\nVideos with true tags: 1\n" in judge("--run", run, "--report", "--sample", "1").stdout


def test_a_report_without_answers(run: Path):
    result = judge("--run", run, "--report")

    assert result.exit_code == 1
    assert result.stderr == (
        f"error: there are no answers at {run / 'judgements.sqlite'}; judge first, or say where with --answers FILE\n"
    )


def test_no_novel_tags_is_told(run: Path):
    write_run(run, {"test-00": {"red": False}}, {"test-00": ("Red",)})

    result = judge("--run", run, "--videos", run.parent / "videos")

    assert result.exit_code == 1
    assert result.stderr == (
        "error: the runs wrote no novel tags for 'test', so there is nothing to judge; --all-tags asks for every tag\n"
    )


def test_videos_that_are_elsewhere_are_told(run: Path, tmp_path: Path):
    (tmp_path / "empty").mkdir()

    with pytest.raises(RunError) as error:
        serve(options(run, videos=tmp_path / "empty"), print, threading.Event())

    assert str(error.value) == (
        f"none of the videos is in {tmp_path / 'empty'} (the first is 'test/00.mp4'); "
        "say with --videos FOLDER which folder was extracted"
    )


def test_csv_is_of_the_report():
    result = judge("--csv", "x.csv")

    assert result.exit_code == 2
    assert "--csv writes the results; give it together with --report" in result.stderr


def test_a_run_is_named_once(run: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(run.parent)

    result = judge("--run", "night", "--run", "../" + str(Path(run.parent.name) / "night"))

    assert (result.exit_code, result.stderr) == (
        1,
        f"error: ../{run.parent.name}/night is given twice; name every run once\n",
    )


def test_any_evaluation_of_the_run_can_be_judged(run: Path):
    (run / "eval" / "test").rename(run / "eval" / "test-min-precision-0.9")
    AnswerFile(run / "judgements.sqlite").save(
        Answer(video="test-01", tag="night sky", annotator="Ann", verdict="relevant")
    )

    assert judge("--run", run, "--report").stderr == (
        f"error: {run} has no evaluation 'test'; it has test-min-precision-0.9; make it with: "
        f"optsg-eval --run {run} --split test\n"
    )
    assert "night" in judge("--run", run, "--split", "test-min-precision-0.9", "--report").stdout
