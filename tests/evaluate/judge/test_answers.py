from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest
from optsg.data.errors import RunError
from optsg.evaluate.judge.answers import Answer, AnswerFile, Verdict

BOTH = {("v", "cat"), ("v", "dog")}


def answer(tag: str, verdict: Verdict, annotator: str = "Ann") -> Answer:
    return Answer(video="v", tag=tag, annotator=annotator, verdict=verdict)


def test_answers_outlive_the_file_object_and_a_later_one_replaces_the_earlier(answers: AnswerFile):
    answers.save(answer("cat", "not"))
    answers.save(answer("cat", "relevant"))
    answers.save(answer("cat", "unsure", "Bo"))

    again = AnswerFile(answers.path)

    assert again.of_annotator("Ann") == {("v", "cat"): "relevant"}
    assert again.all() == [answer("cat", "relevant"), answer("cat", "unsure", "Bo")]


def test_undo_goes_back_step_by_step_and_leaves_others_alone(answers: AnswerFile):
    answers.save(answer("cat", "not"))
    answers.save(answer("dog", "relevant"))
    answers.save(answer("cat", "relevant"))
    answers.save(answer("cat", "unsure", "Bo"))

    assert answers.undo("Ann", BOTH) == ("v", "cat")
    assert answers.of_annotator("Ann") == {("v", "cat"): "not", ("v", "dog"): "relevant"}
    assert AnswerFile(answers.path).undo("Ann", BOTH) == ("v", "dog")
    assert answers.undo("Ann", BOTH) == ("v", "cat")
    assert answers.undo("Ann", BOTH) is None
    assert answers.all() == [answer("cat", "unsure", "Bo")]


def test_undo_leaves_answers_to_other_questions_alone(answers: AnswerFile):
    answers.save(answer("cat", "not"))
    answers.save(answer("dog", "relevant"))

    assert answers.undo("Ann", {("v", "cat")}) == ("v", "cat")
    assert answers.undo("Ann", {("v", "cat")}) is None
    assert answers.all() == [answer("dog", "relevant")]


def test_annotators_are_everybody_who_answered(answers: AnswerFile):
    for name in ("Bo", "Ann", "Bo"):
        answers.save(answer("cat", "not", name))

    assert answers.annotators() == ["Ann", "Bo"]


def test_two_annotators_at_once_lose_nothing(answers: AnswerFile):
    def work(name: str) -> None:
        for number in range(25):
            answers.save(answer(str(number), "relevant", name))

    threads = [threading.Thread(target=work, args=(name,)) for name in ("Ann", "Bo")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(answers.of_annotator("Ann")) == len(answers.of_annotator("Bo")) == 25


def test_the_log_is_written_ahead(answers: AnswerFile):
    with closing(sqlite3.connect(answers.path)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_another_file_is_refused_and_left_as_it_is(tmp_path: Path):
    path = tmp_path / "notes.txt"
    path.write_text("no database, but longer than a header of SQLite is: " * 40)
    other = tmp_path / "other.sqlite"
    with closing(sqlite3.connect(other)) as connection:
        connection.execute("CREATE TABLE songs (name TEXT)")

    with pytest.raises(RunError, match=r"cannot be used for judgements .*choose another with --answers"):
        AnswerFile(path)
    with pytest.raises(RunError) as error:
        AnswerFile(other)

    assert str(error.value) == f"{other} is no file of judgements, or of a newer optsg; choose another with --answers"
    assert path.read_text().startswith("no database")
