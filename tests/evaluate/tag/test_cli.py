from __future__ import annotations

import io
import json
import shutil
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result
from optsg.data.store import open_store
from optsg.evaluate.cli import main as optsg_eval
from optsg.evaluate.scores.predictions import read_predictions
from optsg.evaluate.tag.cli import main
from optsg.evaluate.tag.file_tagger import FileTagger
from PIL import Image

from tests.evaluate.colour_world import shade, write_clip


@pytest.fixture(scope="module")
def run(colour_run):
    """A run that tells the colours apart by pixels alone."""
    return colour_run


@pytest.fixture(scope="module")
def feats(colour_feats):
    return colour_feats


@pytest.fixture(scope="module")
def videos(colour_videos):
    return colour_videos


def optsg_tag(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def rows_of(result: Result) -> list[dict[str, Any]]:
    return [json.loads(line) for line in result.stdout.splitlines()]


@pytest.fixture
def unseen(ffmpeg, tmp_path):
    """A new clip and a new picture."""
    write_clip(ffmpeg, tmp_path / "a new clip.mp4", shade("blue", 77))
    Image.new("RGB", (64, 20), shade("red", 78)).save(tmp_path / "picture.PNG")
    return tmp_path / "a new clip.mp4", tmp_path / "picture.PNG"


def test_unseen_files_are_tagged_from_their_pixels(run, unseen):
    clip, picture = unseen
    result = optsg_tag(clip, picture, "--run", run, "--json", "--device", "cpu")
    assert result.exit_code == 0, result.output
    first, second = rows_of(result)
    assert set(first) == {"path", "title", "tags"}
    assert (first["path"], first["title"]) == (str(clip), "")
    assert [tag["tag"] for tag in first["tags"]] == ["Blue"]
    assert [tag["tag"] for tag in second["tags"]] == ["Red"]
    tag = first["tags"][0]
    assert set(tag) == {"tag", "score", "novel", "prompt"}
    assert 0.5 < tag["score"] <= 1
    assert tag["novel"] is False


def test_a_classifier_is_trained_evaluated_and_used_by_the_same_three_commands(feats, train_run, unseen):
    run = train_run(feats, "bin")
    config = json.loads((run / "config.json").read_text(encoding="utf-8"))
    assert config["system"] == "bin"

    result = CliRunner().invoke(optsg_eval, ["--run", str(run), "--split", "val", "--device", "cpu"])
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0].startswith(f"bin: {run}, split val")
    decision = json.loads((run / "decision.json").read_text(encoding="utf-8"))
    assert lines[-2].endswith(f"0.00 of them novel; threshold {decision['threshold']:g}")
    metrics = json.loads((run / "eval/val/metrics.json").read_text(encoding="utf-8"))
    assert (metrics["system"], metrics["threshold"]) == ("bin", decision["threshold"])
    assert "nil_bias" not in metrics
    assert metrics["label_based"]["full"]["f1"] == decision["full_f1"] > 0.8
    report = (run / "eval/val/report.html").read_text(encoding="utf-8")
    for text in ("System bin: 6 videos", "bin, size small, 3 tags to choose from", "<dt>Threshold</dt>"):
        assert text in report
    assert "NIL" not in report
    assert ", prompt " not in report
    tags = [tag for item in read_predictions(run / "eval/val/predictions.jsonl") for tag in item.tags]
    assert tags
    assert {(tag.novel, tag.prompt) for tag in tags} == {(False, None)}
    assert all(decision["threshold"] <= tag.score <= 1 for tag in tags)

    result = optsg_tag(*unseen, "--run", run, "--json", "--device", "cpu")
    assert result.exit_code == 0, result.output
    assert [[tag["tag"] for tag in row["tags"]] for row in rows_of(result)] == [["Blue"], ["Red"]]
    assert rows_of(result)[0]["tags"][0]["prompt"] is None


def test_json_is_utf_8_whatever_the_terminal_is(run, unseen, tmp_path):
    picture = unseen[1].rename(tmp_path / "été 😀.png")
    result = CliRunner(charset="latin-1").invoke(main, [str(picture), "--run", str(run), "--json", "--device", "cpu"])
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout_bytes.decode("utf-8"))["path"] == str(picture)


def test_a_file_is_encoded_as_the_feature_store_holds_it(run, feats, videos):
    tagger = FileTagger.open(run, device="cpu")
    with open_store(feats) as store:
        for row in range(0, len(store), 5):
            frames, patches = tagger.encode(videos / store.source(row))
            assert frames.shape == store.frames(row).shape
            np.testing.assert_allclose(frames, store.frames(row), atol=2e-3)
            np.testing.assert_allclose(patches, store.patches(row), atol=2e-3)
        assert {store.kind(row) for row in range(len(store))} == {"video", "image"}


def test_pictures_in_the_rows_of_a_data_set_are_tagged(run, tmp_path):
    buffer = io.BytesIO()
    Image.new("RGB", (64, 20), shade("red", 78)).save(buffer, "PNG")
    rows = [{"image": {"bytes": buffer.getvalue(), "path": name}} for name in ("red.png", None)]
    (tmp_path / "set").mkdir()
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "set" / "x.parquet")
    result = optsg_tag(tmp_path / "set", "--run", run, "--json", "--device", "cpu")
    assert result.exit_code == 0, result.output
    paths = [f"{tmp_path / 'set' / 'x.parquet'}/{name}" for name in ("red.png", "2")]
    assert [(row["path"], [tag["tag"] for tag in row["tags"]]) for row in rows_of(result)] == [
        (path, ["Red"]) for path in paths
    ]


def test_a_run_that_knows_no_patches_reads_an_image_as_a_video_of_one_frame(run_path, run, unseen, monkeypatch):
    tagger = FileTagger.open(run, device="cpu")
    frames, patches = tagger.encode(unseen[1])
    assert (len(frames), len(patches)) == (0, 25)
    monkeypatch.setattr(tagger.files, "reads_patches", False)
    frames, patches = tagger.encode(unseen[1])
    assert (len(frames), len(patches)) == (1, 0)
    config = json.loads((run_path / "config.json").read_text(encoding="utf-8"))
    assert config["inputs"]["patch_dim"] == 0, "a store without images gives a run without patches"


def test_the_table_shows_system_tag_and_score(run, unseen):
    result = optsg_tag(unseen[0], "--run", run)
    assert result.exit_code == 0
    lines = [line.split() for line in result.stdout.splitlines() if line.strip(" ─")]
    start = lines.index(["tag", "score"])
    assert [word for line in lines[:start] for word in line] == ["op-tsg:", *str(unseen[0]).split()]
    assert lines[start + 1][0] == "Blue"
    assert lines[start + 1][2] == "known"


def test_pinned_tags_come_first_and_forbidden_ones_go(run, unseen):
    result = optsg_tag(*unseen, "--run", run, "--json", "--pin", "a new one", "--forbid", "BLUE")
    assert result.exit_code == 0, result.output
    clip, picture = ([(tag["tag"], tag.get("pinned", False)) for tag in row["tags"]] for row in rows_of(result))
    assert clip[0] == picture[0] == ("a new one", True)
    assert ("Blue", False) not in clip
    assert ("Red", False) in picture
    refused = optsg_tag(unseen[0], "--run", run, "--pin", "blue", "--forbid", "Blue")
    sentence = "error: the tag “Blue” is both pinned and forbidden; leave one of them out\n"
    assert (refused.exit_code, refused.output) == (1, sentence)


def test_a_list_holds_what_is_printed_and_what_it_cannot_give_is_told(run, unseen, tmp_path):
    (tmp_path / "tags.txt").write_text("red -> Rot\n猫\n", encoding="utf-8")
    result = optsg_tag(*unseen, "--run", run, "--json", "--vocabulary", tmp_path / "tags.txt")
    assert result.exit_code == 0, result.output
    assert {tag["tag"] for row in rows_of(result) for tag in row["tags"]} == {"Rot"}
    assert result.stderr == "warning: 1 of 2 tags of the vocabulary cannot be produced by this run: “猫”\n"


def test_the_title_is_read_too(run, unseen):
    tagger = FileTagger.open(run, device="cpu")
    result = optsg_tag(unseen[0], "--run", run, "--title", "red square", "--json")
    assert rows_of(result)[0]["title"] == "red square"
    titled = [(tag["tag"], tag["score"]) for tag in rows_of(result)[0]["tags"]]
    assert titled == [(tag.text, tag.score) for tag in tagger.tag(unseen[0], "red square")]
    assert titled != [(tag.text, tag.score) for tag in tagger.tag(unseen[0])]


@pytest.fixture
def bad_files(tmp_path):
    (tmp_path / "text.mp4").write_text("this is no video")
    (tmp_path / "empty.png").touch()
    (tmp_path / "notes.txt").write_text("notes")
    (tmp_path / "nothing").mkdir()
    return [tmp_path / name for name in ("text.mp4", "empty.png", "notes.txt", "gone.mp4", "nothing")]


def test_a_bad_file_is_one_line_and_the_others_go_on(run, unseen, bad_files):
    result = optsg_tag(*bad_files, unseen[0], "--run", run, "--json")
    assert result.exit_code == 0
    *bad, good = rows_of(result)
    assert all(set(row) == {"path", "error"} for row in bad)
    assert [row["path"] for row in bad] == [str(path) for path in bad_files]
    text, empty, notes, gone, nothing = bad_files
    errors = [row["error"] for row in bad]
    assert errors[0].startswith(f"{text}: ")
    assert errors[1:] == [
        f"{empty}: the file is empty (0 bytes)",
        f"{notes}: neither a video nor an image by its name; expected a suffix such as .mp4 or .jpg",
        f"{gone}: there is no such file",
        f"{nothing}: there is nothing in this folder, no video, image or .tar shard",
    ]
    assert [tag["tag"] for tag in good["tags"]] == ["Blue"]


def test_files_that_are_not_there_are_said_before_a_model_is_loaded(run, tmp_path, monkeypatch):
    from optsg.evaluate.tag.file_tagger import FileTagger

    monkeypatch.setattr(FileTagger, "open", None)  # would be an error of another kind
    gone = tmp_path / "gone.mp4"
    result = optsg_tag(gone, tmp_path / "other.mp4", "--run", run)
    assert (result.exit_code, result.stdout, result.stderr) == (1, "", f"error: {gone}: there is no such file\n")


def test_exit_code_one_when_no_file_could_be_tagged(run, bad_files):
    result = optsg_tag(*bad_files, "--run", run)
    assert result.exit_code == 1
    assert result.stdout == ""
    lines = result.stderr.splitlines()
    assert len(lines) == len(bad_files)
    assert all(line.startswith(f"error: {path}: ") for line, path in zip(lines, bad_files, strict=True))


def test_a_folder_stands_for_the_media_files_in_it(tmp_path, run, ffmpeg):
    for name in ("b/late.png", "a.png", ".hidden/x.png", "b/.secret.png"):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (20, 20), shade("green", 5)).save(tmp_path / "in" / name)
    (tmp_path / "in" / "notes.txt").write_text("no picture")
    result = optsg_tag(tmp_path / "in", "--run", run, "--json")
    assert [row["path"] for row in rows_of(result)] == [str(tmp_path / "in" / name) for name in ("a.png", "b/late.png")]


def test_skipped_files_of_a_folder_are_a_warning(tmp_path, run):
    folder = tmp_path / "in"
    folder.mkdir()
    Image.new("RGB", (32, 32), "red").save(folder / "red.png")
    (folder / "raw.jxl").write_bytes(b"")
    result = optsg_tag(folder, "--run", run, "--json")
    assert len(rows_of(result)) == 1
    warning = f"warning: 1 file is skipped in {folder}, being neither video nor image by their suffixes: 1 .jxl (JPEG XL, to be converted, for instance with djxl)"
    assert warning in result.stderr.splitlines()


def test_a_file_of_tags_grows_and_sidecars_are_written(run, unseen, tmp_path):
    clip, picture = unseen
    (tmp_path / "a new clip.info.json").write_text('{"title": "red square", "id": "x"}')
    command = [
        tmp_path,
        "--run",
        run,
        "--out",
        tmp_path / "tags.jsonl",
        "--write-sidecar",
        "--evidence",
        "--workers",
        "1",
    ]
    result = optsg_tag(*command)
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr.splitlines()[-1] == f"{tmp_path / 'tags.jsonl'}: 2 tagged"
    written = (tmp_path / "tags.jsonl").read_text(encoding="utf-8")
    first, second = map(json.loads, written.splitlines())
    assert (first["path"], first["title"], second["path"]) == (str(clip), "red square", str(picture))
    assert [word for word, _ in first["tags"][0]["evidence"]["words"]] == ["red", "square"]
    info = json.loads((tmp_path / "a new clip.info.json").read_text(encoding="utf-8"))
    assert (info["id"], info["optsg_tags"]["run"], info["optsg_tags"]["tags"]) == ("x", run.name, first["tags"])
    again = optsg_tag(*command)
    assert again.exit_code == 0
    assert again.stderr.splitlines()[-1] == f"{tmp_path / 'tags.jsonl'}: 0 tagged, 2 done before"
    assert (tmp_path / "tags.jsonl").read_text(encoding="utf-8") == written


def test_segments_of_a_clip_and_none_of_a_picture(run, unseen, tmp_path):
    clip, picture = unseen
    result = optsg_tag(clip, picture, "--run", run, "--segments", "--json", "--sidecar", "vtt")
    of_clip, of_picture = rows_of(result)
    assert all(not {"segments", "evidence"} & set(tag) for tag in of_picture["tags"])
    for tag in of_clip["tags"]:
        assert "evidence" not in tag
        assert tag["segments"]
        for one in tag["segments"]:
            assert 0 <= one["start"] < one["end"] <= 2.1
            assert 0 < one["score"] <= 1
    written = clip.with_suffix(".chapters.vtt").read_text(encoding="utf-8")
    assert written.startswith("WEBVTT\n\nNOTE Tags by optsg-tag\n\n00:00:0")
    assert of_clip["tags"][0]["tag"] in written
    assert not picture.with_suffix(".chapters.vtt").exists()


def test_segments_in_a_table_that_is_gone_on_with(run, unseen, tmp_path):
    clip, picture = unseen
    out = tmp_path / "tags.parquet"
    assert optsg_tag(clip, "--run", run, "--segments", "--out", out).exit_code == 0
    assert optsg_tag(clip, picture, "--run", run, "--segments", "--out", out).exit_code == 0
    of_clip, of_picture = pq.read_table(out).to_pylist()
    printed = rows_of(optsg_tag(clip, "--run", run, "--segments", "--json"))[0]
    assert [json.loads(tag["segments"]) for tag in of_clip["tags"]] == [tag["segments"] for tag in printed["tags"]]
    assert [tag["segments"] for tag in of_picture["tags"]] == [None] * len(of_picture["tags"])
    refused = optsg_tag(clip, "--run", run, "--out", out)
    assert refused.exit_code == 1
    assert "(there ≠ now): --segments given ≠ not given" in refused.stderr


def test_options_that_do_not_go_together_are_usage_errors(tmp_path):
    for options in (
        ("a.mp4", "b.mp4", "--title", "t"),
        ("list.CSV", "--title", "t"),
        ("shard.tar", "--title", "t"),
        ("a.mp4", "--format", "csv"),
        ("a.mp4", "--metadata", "m.csv"),
        ("a.mp4", "--overwrite"),
        ("a.mp4", "--retry-failed"),
        ("a.mp4", "--out", "tags.csv", "--overwrite", "--retry-failed"),
        ("a.mp4", "--sidecar", "vtt"),
        ("a.mp4", "--untrained", "--segments"),
    ):
        assert optsg_tag(*options).exit_code == 2


def test_a_title_is_not_that_of_all_files_of_a_pattern(tmp_path):
    for name in ("a.png", "b.png"):
        (tmp_path / name).touch()
    result = optsg_tag(tmp_path / "*.png", "--title", "t", "--run", tmp_path)
    assert (result.exit_code, result.stderr) == (
        1,
        f"error: {tmp_path / '*.png'} stands for 2 files, and a title is of one; give them titles by metadata\n",
    )
    assert "stands for" not in optsg_tag(tmp_path / "a*.png", "--title", "t", "--run", tmp_path).stderr


@pytest.mark.parametrize("options", [("metadata.jsonl", "--format", "hf"), ("metadata.parquet",)])
def test_an_output_is_no_second_table_of_a_folder(tmp_path, options):
    name, *more = options
    table = tmp_path / "Metadata.csv"
    table.write_text("file_name,title\na.mp4,a\n", encoding="utf-8")
    (tmp_path / "metadata.json").write_text('{"title": "an album, as photo managers describe it"}', encoding="utf-8")
    result = optsg_tag(tmp_path, "--out", tmp_path / name, *more, "--run", tmp_path)
    assert result.exit_code == 2
    assert "second table of metadata beside Metadata.csv" in " ".join(result.stderr.split())
    table.unlink()
    allowed = optsg_tag(tmp_path, "--out", tmp_path / name, *more, "--run", tmp_path)
    assert "second table" not in allowed.stderr


@pytest.mark.parametrize("place", ["in", "in/inner"])
def test_an_output_is_not_the_metadata_of_its_own_folder(tmp_path, place):
    (tmp_path / "in" / "inner").mkdir(parents=True)
    out = tmp_path / place / "metadata.jsonl"
    result = optsg_tag(tmp_path / "in", "--out", out, "--run", tmp_path)
    assert result.exit_code == 2
    assert "would be read as the metadata of" in " ".join(result.stderr.split())
    assert not out.exists()
    for options in (
        (tmp_path / "in", "--out", out, "--format", "hf"),
        (tmp_path / "in/inner", "--out", tmp_path / "metadata.jsonl"),
    ):
        assert optsg_tag(*options, "--run", tmp_path).exit_code == 1, "the run is none"


def test_no_run_yet(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = optsg_tag("a.mp4")
    assert result.exit_code == 1
    assert result.stderr == (
        "error: there is no runs/latest in this folder; train a run with optsg-train or name one with --run DIR\n"
    )


def test_an_image_encoder_that_changed_is_refused(run, unseen, tmp_path):
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    config = json.loads((copy / "config.json").read_text(encoding="utf-8"))
    config["store"]["header"]["image_encoder"]["digest"] = "sha256:" + "0" * 64
    (copy / "config.json").write_text(json.dumps(config), encoding="utf-8")
    result = optsg_tag(unseen[0], "--run", copy)
    assert result.exit_code == 1
    assert "has other weights" in result.stderr
    assert "use the original weights or extract again" in result.stderr


def test_no_path_is_a_usage_error():
    result = optsg_tag()
    assert result.exit_code == 2
    assert "Missing argument 'PATH...'" in result.stderr
