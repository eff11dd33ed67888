"""Which tags are asked for to learn from, and answers that become tags of a store."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from optsg.data.errors import RunError
from optsg.data.media import SPLITS
from optsg.data.store import open_store
from optsg.data.store.verification import verify_store
from optsg.evaluate.judge.answers import Answer, AnswerFile
from optsg.evaluate.judge.questions import entropy_in_bits, order_for, read_questions
from optsg.evaluate.judge.teaching import apply_answers
from optsg.extract.store.cli import main as optsg_store

from tests.evaluate.judge.conftest import write_run
from tests.evaluate.judge.test_cli import judge


def test_entropy_is_highest_in_the_middle() -> None:
    assert [entropy_in_bits(p) for p in (0.0, 0.5, 1.0)] == [0.0, 1.0, 0.0]
    assert entropy_in_bits(0.11) == pytest.approx(0.5, abs=1e-3)


def test_those_are_asked_that_are_unsure_or_that_runs_do_not_agree_on(tmp_path: Path) -> None:
    true: dict[str, tuple[str, ...]] = {"a": ("x",), "b": ("y",)}
    first = {"a": {"sure": 0.99, "unsure": 0.6}, "b": {"alone": 0.95, "no": 0.02}}
    second = {"a": {"sure": 0.98, "unsure": 0.5}, "b": {}}
    runs = [
        write_run(
            tmp_path / name,
            {video: dict.fromkeys(tags, False) for video, tags in predicted.items()},
            true,
            scores=predicted,
        )
        for name, predicted in (("one", first), ("two", second))
    ]
    questions = read_questions(runs, "test", all_tags=True)
    worth = {question.tag: question.worth for question in questions.asked}
    assert worth["alone"] > worth["unsure"] > worth["sure"] > worth["no"]
    chosen = questions.most_worth(2)
    assert {question.tag for question in chosen.asked} == {"alone", "unsure"}
    for name in ("Ann", "Bo", "Cy"):
        first_asked = chosen.asked[order_for(chosen, name, 0)[0]]
        assert first_asked.tag == "alone"


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Three videos with imported features, one of them without tags."""
    folder = tmp_path / "features"
    folder.mkdir()
    for name in "abc":
        np.save(folder / f"{name}.npy", np.full((2, 4), ord(name), np.float16))
    table = tmp_path / "old.csv"
    table.write_text('id,title,tags,split\na,Cat,"Cat,pet",test\nb,Dog,"dog,pet",train\nc,Fox,,\n', encoding="utf-8")
    out = tmp_path / "feats.h5"
    words = ["import-features", folder, "--metadata", table, "--out", out, "--text-encoder", "characters:32"]
    result = CliRunner().invoke(optsg_store, [*map(str, words), "--device", "cpu"])
    assert result.exit_code == 0, result.output
    return out


def tags_of(path: Path) -> dict[str, list[str]]:
    with open_store(path) as store:
        return {store.id(row): [store.tag_spellings[tag] for tag in store.tags(row)] for row in range(len(store))}


def answers(*given: tuple[str, str, str, str]) -> list[Answer]:
    return [Answer(video=video, tag=tag, annotator=who, verdict=verdict) for video, tag, who, verdict in given]  # type: ignore[arg-type]


def test_what_most_say_is_added_and_taken_away(store: Path) -> None:
    taught = apply_answers(
        store,
        answers(
            ("a", "night sky", "Ann", "relevant"),
            ("a", "cat", "Ann", "not"),
            ("b", "moon", "Ann", "relevant"),
            ("b", "moon", "Bo", "not"),  # a tie
            ("b", "dog", "Ann", "unsure"),
            ("elsewhere", "moon", "Ann", "relevant"),
        ),
        {"night sky": "Night Sky"},
        device="cpu",
    )
    assert tags_of(store) == {"a": ["pet", "Night Sky"], "b": ["dog", "pet"], "c": []}
    assert (taught.answered, taught.added, taught.removed, taught.new_tags, taught.joined) == (4, 1, 1, 1, 0)
    assert verify_store(store).problems == []
    content = store.read_bytes()
    again = apply_answers(store, answers(("a", "night sky", "Ann", "relevant")), {})
    assert again.sentence(store) == f"1 answer, and {store} says the same already; it was left as it was"
    assert store.read_bytes() == content


def test_a_video_without_tags_becomes_one_to_learn_from_and_the_other_way_round(store: Path) -> None:
    def splits() -> list[str]:
        with open_store(store) as opened:
            return [SPLITS[number] for number in opened.splits]

    assert splits() == ["test", "train", "none"]
    taught = apply_answers(store, answers(("c", "pet", "Ann", "relevant"), ("a", "pet", "Ann", "not")), {})
    assert (taught.joined, splits()) == (1, ["test", "train", "train"])
    apply_answers(store, answers(("c", "pet", "Ann", "not"), ("a", "cat", "Ann", "not")), {})
    assert splits() == ["none", "train", "none"]


def test_answers_about_other_videos_are_refused(store: Path) -> None:
    content = store.read_bytes()
    with pytest.raises(RunError) as caught:
        apply_answers(store, answers(("elsewhere", "moon", "Ann", "relevant")), {})
    assert str(caught.value) == f"no answer is about a video of {store}; give the store whose videos were judged"
    assert store.read_bytes() == content


def test_the_command_applies_answers_and_says_what_is_next(tmp_path: Path, store: Path) -> None:
    run = write_run(tmp_path / "run", {"a": {"Night Sky": True}}, {"a": ("x",)})
    AnswerFile(run / "judgements.sqlite").save(Answer(video="a", tag="night sky", annotator="Ann", verdict="relevant"))
    done = judge("--run", run, "--split", "test", "--apply", store, "--device", "cpu")
    assert done.exit_code == 0, done.output
    assert done.output == (
        f"1 answer: 1 tag added to videos, 0 taken away, 1 new to {store}\nnext:    optsg-train --feats {store}\n"
    )
    assert "Night Sky" in tags_of(store)["a"]
    refused = judge("--run", run, "--apply", store, "--report")
    assert (refused.exit_code, "--apply and --report each end the command" in refused.stderr) == (2, True)
