from __future__ import annotations

import errno
import json
import os
import re
from typing import Any

import pytest
from optsg.data.errors import RunError
from optsg.data.predicted_tag import PredictedTag
from optsg.evaluate.scores.predictions import ItemPrediction, predict_rows, read_predictions, write_predictions

RED = PredictedTag(text="Red", score=0.75, novel=False, prompt=3)
REDDISH = PredictedTag(text="reddish", score=0.25, novel=True, prompt=0)


def test_a_line_has_exactly_the_documented_fields(tmp_path):
    item = ItemPrediction(id="a1", title="red square", true=("Red", "Square"), tags=(RED, REDDISH))
    write_predictions(tmp_path / "predictions.jsonl", [item])
    assert json.loads((tmp_path / "predictions.jsonl").read_text(encoding="utf-8")) == {
        "id": "a1",
        "title": "red square",
        "true": ["Red", "Square"],
        "tags": [
            {"tag": "Red", "score": 0.75, "novel": False, "prompt": 3},
            {"tag": "reddish", "score": 0.25, "novel": True, "prompt": 0},
        ],
    }


def test_a_system_without_prompts_writes_null_and_reads_it_back(tmp_path):
    plain = PredictedTag(text="Red", score=0.75, novel=False)
    item = ItemPrediction(id="a1", title="", true=(), tags=(plain,))
    path = tmp_path / "predictions.jsonl"
    write_predictions(path, [item])
    row = json.loads(path.read_text(encoding="utf-8"))
    assert row["tags"] == [{"tag": "Red", "score": 0.75, "novel": False, "prompt": None}]
    assert read_predictions(path) == [item]


def test_predictions_come_back_as_they_were_written(tmp_path):
    strange = 'line\nbreak, \u2028 \x85 \t "quotes" 你好，李焕英 \ud83d alone </script>'
    items = [
        ItemPrediction(
            id=strange,
            title=strange,
            true=(strange,),
            tags=(PredictedTag(text=strange, score=1 / 3, novel=True, prompt=1),),
        ),
        ItemPrediction(id="empty", title="", true=(), tags=()),
    ]
    path = tmp_path / "eval" / "test" / "predictions.jsonl"
    write_predictions(path, items)
    assert read_predictions(path) == items
    assert path.read_bytes().count(b"\n") == 2


def test_writing_replaces_the_file_as_a_whole_and_leaves_nothing_beside_it(tmp_path):
    path = tmp_path / "predictions.jsonl"
    write_predictions(path, [ItemPrediction(id="old", title="", true=(), tags=())])

    def broken():
        yield ItemPrediction(id="new", title="", true=(), tags=())
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_predictions(path, broken())
    assert [item.id for item in read_predictions(path)] == ["old"]
    write_predictions(path, [ItemPrediction(id="new", title="", true=(), tags=())])
    assert [item.id for item in read_predictions(path)] == ["new"]
    assert [file.name for file in tmp_path.iterdir()] == ["predictions.jsonl"]


def test_a_place_that_cannot_be_written_is_one_sentence(tmp_path):
    (tmp_path / "eval").write_text("a file where a folder should be")
    path = tmp_path / "eval" / "predictions.jsonl"
    with pytest.raises(RunError, match=re.escape(f"{path} cannot be written: File exists; an earlier one is kept")):
        write_predictions(path, [])


def test_a_full_disk_keeps_the_earlier_file_and_leaves_no_half_one(tmp_path, monkeypatch):
    path = tmp_path / "predictions.jsonl"
    write_predictions(path, [ItemPrediction(id="old", title="", true=(), tags=())])

    def full_disk(handle):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(RunError, match=re.escape(f"{path} cannot be written: No space left on device; an earlier")):
        write_predictions(path, [ItemPrediction(id="new", title="", true=(), tags=())])
    assert [item.id for item in read_predictions(path)] == ["old"]
    assert [file.name for file in tmp_path.iterdir()] == ["predictions.jsonl"]


def test_a_missing_predictions_file_says_how_to_make_it(tmp_path):
    path = tmp_path / "predictions.jsonl"
    message = f"{path} cannot be read: No such file or directory; make it with optsg-eval"
    with pytest.raises(RunError, match=re.escape(message)):
        read_predictions(path)


@pytest.mark.parametrize(
    ("line", "found"),
    [("{", "Expecting property name"), ('{"id": "a"}', "'tags'"), ("[1]", "list indices must be integers")],
)
def test_a_line_that_is_no_prediction_is_named(tmp_path, line, found):
    path = tmp_path / "predictions.jsonl"
    path.write_text('{"id":"a","title":"","true":[],"tags":[]}\n' + line + "\n")
    with pytest.raises(RunError, match=re.escape(f"{path}, line 2 is not a prediction ({found}")):
        read_predictions(path)


@pytest.mark.parametrize(
    ("changed", "found"),
    [
        ({"id": 5}, "the id is '5'"),
        ({"title": None}, "the title is 'None'"),
        ({"true": "red"}, "true is no list of texts"),
        ({"true": [1]}, "true is no list of texts"),
        ({"tags": {"tag": "red"}}, "its tags are no list of objects"),
        ({"score": "high"}, "the score of a tag is 'high'"),
        ({"score": None}, "the score of a tag is 'None'"),
        ({"score": True}, "the score of a tag is 'True'"),
        ({"tag": 5}, "the tag of a tag is '5'"),
        ({"novel": "no"}, "the novel of a tag is 'no'"),
        ({"prompt": "x"}, "the prompt of a tag is 'x'"),
    ],
)
def test_values_of_another_kind_are_named(tmp_path, changed, found):
    tag: dict[str, Any] = {"tag": "red", "score": 0.5, "novel": False, "prompt": 1}
    row: dict[str, Any] = {"id": "a", "title": "", "true": ["red"]}
    tag |= {name: value for name, value in changed.items() if name in tag}
    row = {"tags": [tag], **row, **{name: value for name, value in changed.items() if name not in tag}}
    (tmp_path / "predictions.jsonl").write_text(json.dumps(row) + "\n")
    with pytest.raises(RunError, match=re.escape(f"line 1 is not a prediction ({found})")):
        read_predictions(tmp_path / "predictions.jsonl")


def test_a_video_with_two_predictions_is_named(tmp_path):
    """As two files put together would have it: means over videos would be others, without a word."""
    path = tmp_path / "predictions.jsonl"
    items = [ItemPrediction(id=name, title="", true=("Red",), tags=(RED,)) for name in ("a", "b", "a")]
    write_predictions(path, items)
    with pytest.raises(RunError, match=r"predictions\.jsonl, line 3: 'a' is in line 1 already; run optsg-eval again$"):
        read_predictions(path)


def test_a_split_is_predicted_in_batches_and_in_order(store, fake_predictor):
    predictor = fake_predictor(RED, REDDISH)
    told: list[int] = []
    items = predict_rows(predictor, store, store.indices("test"), batch_size=4, on_batch=told.append)
    assert predictor.batch_sizes == told == [4, 4, 1]
    assert [item.id for item in items] == [f"test-{number:02}" for number in range(9)]
    first = items[0]
    assert first.title == store.title(int(store.indices("test")[0]))
    assert first.true == (*(word.capitalize() for word in first.title.split()), "Moon")
    assert first.tags == (RED, REDDISH)
