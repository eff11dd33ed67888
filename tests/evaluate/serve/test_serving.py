"""``optsg-serve`` as a process: its answers are those of ``optsg-tag`` to the digit, and whatever is wrong is one sentence."""

from __future__ import annotations

import io
import json
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from optsg.data.inputs.media_folder import media_kind
from optsg.evaluate.tag.cli import main as optsg_tag
from optsg.evaluate.tag.file_tagger import FileTagger

from benchmarks.served_process import ServedProcess, form, free_port
from benchmarks.serving_endurance import endure, good_files, hostile_requests


@pytest.fixture(scope="module")
def root(colour_videos, tmp_path_factory):
    """The files, one of them in a folder, one with a title beside it, and links that lead elsewhere."""
    root = tmp_path_factory.mktemp("served")
    for path in colour_videos.iterdir():
        if media_kind(path.name) is not None:
            (root / path.name).write_bytes(path.read_bytes())
    (root / "inner").mkdir()
    (root / "inner" / "red.png").write_bytes((root / "red4.png").read_bytes())
    (root / "red0.info.json").write_text(json.dumps({"title": "a red thing"}))
    outside = tmp_path_factory.mktemp("outside")
    (outside / "secret.png").write_bytes((root / "red4.png").read_bytes())
    (root / "link.png").symlink_to(outside / "secret.png")
    (root / "folder").symlink_to(outside)
    (root / "within.png").symlink_to("red4.png")
    return root


@pytest.fixture(scope="module")
def media(root):
    return sorted(path for path in root.iterdir() if path.is_file() and not path.is_symlink() and media_kind(path.name))


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    return tmp_path_factory.mktemp("log") / "log.txt"


@pytest.fixture(scope="module")
def service(colour_run, root, log):
    words = (colour_run, "--device", "cpu", "--workers", "2", "--root", root, "--json-log", "-")
    with ServedProcess(*words, log=log) as process:
        yield process


def tag(run, *words):
    """What ``optsg-tag`` says, by the files' names; titles are none, as those of an upload."""
    result = CliRunner().invoke(optsg_tag, [*map(str, words), "--run", str(run), "--device", "cpu", "--json"])
    assert result.exit_code == 0, result.output
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    return {Path(row["path"]).name: row["tags"] for row in rows}


@pytest.fixture(scope="module")
def expected(colour_run, media):
    (media[0].parent / "red0.info.json").rename(media[0].parent / "aside")
    try:
        return tag(colour_run, *media)
    finally:
        (media[0].parent / "aside").rename(media[0].parent / "red0.info.json")


def one(answer):
    assert answer.status == 200, answer
    (result,) = answer.body["results"]
    return result["tags"]


def test_answers_are_those_of_the_command_to_the_digit_whoever_else_asks(service, media, expected):
    with ThreadPoolExecutor(8) as callers:
        for _ in range(2):
            found = dict(
                zip(
                    [path.name for path in media],
                    callers.map(lambda path: one(service.tag([(path.name, path.read_bytes())])), media),
                    strict=True,
                )
            )
            assert found == expected
    together = service.tag([(path.name, path.read_bytes()) for path in media]).body["results"]
    assert {result["path"]: result["tags"] for result in together} == expected


def test_named_files_are_tagged_with_the_title_beside_them(service, colour_run, root):
    named = service.tag([], [("path", "red0.mp4"), ("path", "inner/red.png"), ("path", "within.png")])
    assert named.status == 200
    assert [result["path"] for result in named.body["results"]] == ["red0.mp4", "inner/red.png", "within.png"]
    assert [result["title"] for result in named.body["results"]] == ["a red thing", "", ""]
    assert named.body["results"][0]["tags"] == tag(colour_run, root / "red0.mp4")["red0.mp4"]


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("../secret.png", "without .."),
        ("inner/../../secret.png", "without .."),
        ("/etc/passwd", "without .."),
        ("link.png", "leads out"),
        ("folder/secret.png", "leads out"),
        ("inner", "not a file"),
        ("nothing.png", "no such file"),
        ("red0.info.json", "neither a video nor an image"),
    ],
)
def test_no_path_leads_out_of_the_folder(service, root, name, why):
    answer = service.tag([], [("path", name)])
    assert answer.status == 422
    assert why in answer.body["error"]
    assert str(root) not in answer.body["error"]


@pytest.mark.parametrize(
    "name", ["told.info.json", "told.png.info.json", "told.json", "told.txt", "told.nfo", "told.png.xmp"]
)
def test_no_file_beside_one_is_read_from_elsewhere(service, root, name, tmp_path):
    (tmp_path / "elsewhere").write_text('{"title": "a secret"}' if name.endswith("json") else "A secret. It is kept.")
    (root / "inner" / "told.png").write_bytes((root / "red4.png").read_bytes())
    (root / "inner" / name).symlink_to(tmp_path / "elsewhere")
    try:
        answer = service.tag([], [("path", "inner/told.png")])
    finally:
        (root / "inner" / name).unlink()
    assert answer.status == 200, answer.body
    assert answer.body["results"][0]["title"] == ""


def test_fields_mean_what_the_options_mean(service, colour_run, media, tmp_path):
    path = next(path for path in media if path.name == "blue5.png")
    upload = [(path.name, path.read_bytes())]
    listed = tmp_path / "list.txt"
    listed.write_text("blue -> sea\n*\n", encoding="utf-8")
    for fields, words in (
        ([("pinned", "sky"), ("forbidden", "blue")], ["--pin", "sky", "--forbid", "blue"]),
        ([("vocabulary", "known")], ["--vocabulary", "known"]),
        ([("vocabulary", listed.read_text())], ["--vocabulary", listed]),
        ([("threshold", "0.01")], ["--threshold", "0.01"]),
        ([("title", "a red thing")], ["--title", "a red thing"]),
        ([("hierarchy", "l")], ["--hierarchy", "l"]),
    ):
        assert one(service.tag(upload, fields)) == tag(colour_run, path, *words)[path.name], fields
    assert len(one(service.tag(upload, [("threshold", "0"), ("max_tags", "1")]))) == 1
    video = next(path for path in media if path.name == "blue1.mp4")
    rests = one(service.tag([(video.name, video.read_bytes())], [("evidence", "true")]))
    assert len(rests[0]["evidence"]["frames"]) == 3


def test_features_are_tagged_as_the_file_that_they_are_of(service, colour_run, media, expected):
    video = next(path for path in media if path.name == "green1.mp4")
    with FileTagger.open(colour_run, device="cpu") as tagger:
        frames, _ = tagger.encode(video)
    body = json.dumps({"frames": frames.astype(float).tolist()}).encode()
    assert one(service.post("/v1/tag-features", body, {"Content-Type": "application/json"})) == expected[video.name]
    buffer = io.BytesIO()
    np.save(buffer, frames)
    npy = service.post("/v1/tag-features?title=", buffer.getvalue(), {"Content-Type": "application/x-npy"})
    assert one(npy) == expected[video.name]


def test_broken_and_hostile_requests_are_one_sentence_and_leave_nothing(service, media, log):
    for ask in hostile_requests(media[0].read_bytes()):
        answer = ask(service)
        assert 400 <= answer.status < 500, answer
        assert set(answer.body) == {"error"}
        assert "\n" not in answer.body["error"]
        assert "optsg-serve-" not in answer.body["error"]
    one(service.tag([(media[0].name, media[0].read_bytes())]))
    assert "Traceback" not in log.read_text(encoding="utf-8")


def test_one_broken_file_among_several_is_an_error_among_tags(service, media):
    answer = service.tag([("bad.mp4", b"no video"), (media[0].name, media[0].read_bytes())])
    assert answer.status == 200
    bad, good = answer.body["results"]
    assert set(bad) == {"path", "error"}
    assert good["tags"]


def test_a_killed_decoding_process_costs_nobody_an_answer(service, media, expected):
    with ThreadPoolExecutor(4) as callers:
        asked = [callers.submit(service.tag, [(path.name, path.read_bytes())]) for path in media]
        for _ in range(3):
            for worker in service.workers():
                os.kill(worker, signal.SIGKILL)
            time.sleep(0.1)
        answers = [one(each.result()) for each in asked]
    assert dict(zip([path.name for path in media], answers, strict=True)) == expected


def test_callers_who_hang_up_leave_the_service_as_it_was(service, media, expected):
    path = media[0]
    body, kind = form([(path.name, path.read_bytes())])
    for part in (0.3, 0.9, 1.0):
        for _ in range(5):
            service.send_and_leave(body, {"Content-Type": kind}, part=part)
    assert one(service.tag([(path.name, path.read_bytes())])) == expected[path.name]
    deadline = time.monotonic() + 60
    while "optsg_files_under_way 0.0" not in service.get("/metrics").body:
        assert time.monotonic() < deadline, "files of callers who left are still under way"
        time.sleep(0.05)


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_endurance(colour_run, media, expected, tmp_path):
    """Every good request is answered once and right, whatever happens meanwhile."""
    port = free_port()
    outcome = endure(
        lambda: ServedProcess(colour_run, "--device", "cpu", "--workers", "2", port=port, log=tmp_path / "log"),
        good_files(media),
        expected,
        requests=600,
        callers=16,
    )
    assert outcome.wrong == []
    assert outcome.lost == 0
    assert outcome.right + sum(outcome.hurt.values()) == 600
    assert outcome.kills == 2
    assert outcome.exit_codes == [0, 0]
    assert not any(status >= 500 and status != 503 for status in outcome.statuses)
    assert outcome.resident[-1] < outcome.resident[3] + 64
    assert "Traceback" not in (tmp_path / "log").read_text(encoding="utf-8")
