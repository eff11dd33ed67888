"""The paper's benchmarks through the commands: annotations and media in, a store out, a few steps of training."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from optsg.data.store import open_store
from optsg.data.store.verification import verify_store
from optsg.data.word_pieces import TitleTokenizer
from optsg.evaluate.cli import main as eval_main
from optsg.extract.cli import main as extract_main
from optsg.train.cli import main as train_main
from PIL import Image

from tests.extract.decoding.painted_clips import ClipMaker
from tests.tiny_world import as_options

ANIMALS = ("猫", "狗", "狐狸")


def annotated(number: int) -> dict[str, Any]:
    animal = ANIMALS[number % 3]
    return {
        "vid": f"v{number}",
        "ann_title": f"{animal}的标题",
        "ann_caption": f"{animal}",
        "raw_title": f"一只{animal}",
        "tag": [animal, "动物"],
        "category": 1,
    }


def write(path: Path, numbers: range) -> Path:
    path.write_text(json.dumps([annotated(number) for number in numbers], ensure_ascii=False), encoding="utf-8")
    return path


@pytest.fixture
def create(make_clip: ClipMaker, tmp_path: Path) -> Path:
    """CREATE-210K in small: 9 clips, the published files beside them."""
    folder = tmp_path / "create"
    (folder / "videos").mkdir(parents=True)
    for number in range(9):
        shutil.copy(make_clip("h264.mp4", frames=36), folder / "videos" / f"v{number}.mp4")
    write(folder / "create_210k_train.json", range(6))
    write(folder / "create_210k_val.json", range(6, 7))
    write(folder / "create_210k_test.json", range(7, 9))
    return folder


def extract(*arguments: str | Path, image_encoder: Path) -> Result:
    options = ["--image-encoder", str(image_encoder), "--device", "cpu"]
    return CliRunner().invoke(extract_main, [*map(str, arguments), *options])


def test_create_with_characters_from_videos_to_scores(
    create: Path, tmp_path: Path, tiny_timm_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    characters = ["--out", "feats.h5", "--text-encoder", "characters:32"]
    # First the training set alone, one of its videos missing; then the whole folder: the rest is added, the vocabulary grows.
    video, elsewhere = create / "videos" / "v5.mp4", tmp_path / "v5.mp4"
    video.rename(elsewhere)
    result = extract(
        create, "--metadata", create / "create_210k_train.json", *characters, "-q", image_encoder=tiny_timm_folder
    )
    assert (result.exit_code, result.output) == (0, "")
    elsewhere.rename(video)
    test = json.loads((create / "create_210k_test.json").read_text())
    test[0]["raw_title"] = "一只熊"
    (create / "create_210k_test.json").write_text(json.dumps(test))
    result = extract(create, *characters, image_encoder=tiny_timm_folder)
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[:2] == ["ok               4  4 videos", "earlier          6  done before"]
    assert "warning" not in result.output
    assert verify_store(Path("feats.h5")).problems == []
    with open_store(Path("feats.h5")) as store:
        assert store.failures == []
        assert store.ids() == [f"v{number}" for number in range(9)]
        assert [len(store.indices(split)) for split in ("train", "val", "test")] == [6, 1, 2]
        tokenizer = TitleTokenizer.from_json(store.tokenizer_json)
        for row in range(9):
            assert tokenizer.decode(store.title_tokens(row)[1:-1].tolist()) == store.title(row)
        assert store.title(7) == "一只熊"
    result = extract(create, *characters, image_encoder=tiny_timm_folder)
    assert result.stdout.splitlines()[-1] == "feats.h5: nothing new, left as it was"
    result = extract(create, "--out", "feats.h5", "--text-encoder", "characters:64", image_encoder=tiny_timm_folder)
    assert result.exit_code == 1
    assert "tag_dim: 32 ≠ 64; text_encoder.width: 32 ≠ 64" in result.output
    settings = [*as_options(), "--set", "epochs=2"]
    result = CliRunner().invoke(train_main, ["--feats", "feats.h5", *settings, "--device", "cpu"])
    assert result.exit_code == 0, result.output
    result = CliRunner().invoke(eval_main, ["--split", "test", "--device", "cpu"])
    assert result.exit_code == 0, result.output
    metrics = json.loads(Path("runs/latest/eval/test/metrics.json").read_text())
    assert metrics["items"] == 2


def test_unknown_pieces_are_a_warning_in_summary_and_log(
    create: Path, tmp_path: Path, tiny_timm_folder: Path, tiny_bert_folder: Path
) -> None:
    """A tokenizer of English words cuts 一只猫 into three pieces that it does not know; 动物 into two."""
    log = tmp_path / "log.jsonl"
    arguments = ("--limit", "2", "--text-encoder", tiny_bert_folder, "--json-log", log)
    result = extract(create, "--out", tmp_path / "feats.h5", *arguments, image_encoder=tiny_timm_folder)
    assert result.exit_code == 0, result.output
    text = (
        "100.0% of the word pieces of titles and 100.0% of those of tags are unknown to the tokenizer of "
        f"{tiny_bert_folder}; they are lost for the model: choose another preset (--preset clip-zh for Chinese) or "
        "--text-encoder characters"
    )
    assert result.stdout.splitlines()[1] == f"warning: {text}"
    events = [json.loads(line) for line in log.read_text().splitlines()]
    [warning] = [event for event in events if event["event"] == "warning"]
    assert warning["warning"] == text
    assert warning["unknown_pieces"] == {"titles": 1.0, "tags": 1.0}
    assert events[-1]["event"] == "finished"
    assert events[-1]["unknown_pieces"] == {"titles": 1.0, "tags": 1.0}


def test_a_pexel_style_set_gives_patches(tmp_path: Path, tiny_timm_folder: Path, tiny_bert_folder: Path) -> None:
    images = tmp_path / "pexel" / "images"
    images.mkdir(parents=True)
    rows = []
    for number, split in enumerate(["train", "val", "test"]):
        pixels = np.random.default_rng(number).integers(0, 255, (40, 60, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(images / f"{number}.jpg")
        rows.append({"file_name": f"images/{number}.jpg", "title": "red cat", "tags": ["cat", "pet"], "split": split})
    table = tmp_path / "pexel.json"
    table.write_text(json.dumps(rows))
    out = tmp_path / "feats.h5"
    arguments = ("--metadata", table, "--out", out, "--text-encoder", tiny_bert_folder, "-q")
    result = extract(tmp_path / "pexel", *arguments, image_encoder=tiny_timm_folder)
    assert (result.exit_code, result.output) == (0, "")
    with open_store(out) as store:
        assert [store.kind(row) for row in range(3)] == ["image"] * 3
        assert [len(store.indices(split)) for split in ("train", "val", "test")] == [1, 1, 1]
        assert all(store.patches(row).shape == store.patches(0).shape for row in range(3))
        assert len(store.patches(0)) > 1
        assert all(len(store.frames(row)) == 0 for row in range(3))
        assert store.tag_keys == ["cat", "pet"]
