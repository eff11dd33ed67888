from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from optsg.evaluate.judge.answers import Answer, AnswerFile, Verdict
from optsg.evaluate.judge.questions import Questions, read_questions
from optsg.evaluate.judge.results import AGREEMENT_READING, READING, report_csv, report_text, results_of
from optsg.evaluate.judge.results_page import results_page

from tests.evaluate.judge.conftest import write_run

SAID: tuple[tuple[str, str, str, Verdict], ...] = (
    ("Ann", "a", "kitten", "relevant"),
    ("Bo", "a", "kitten", "relevant"),
    ("Ann", "b", "puppy", "not"),
    ("Bo", "b", "puppy", "not"),
    ("Ann", "a", "fluff", "unsure"),
)


def judge(answers: AnswerFile) -> None:
    for annotator, video, tag, verdict in SAID:
        answers.save(Answer(video=video, tag=tag, annotator=annotator, verdict=verdict))


def test_csv(questions: Questions, answers: AnswerFile):
    judge(answers)

    assert report_csv(results_of(questions, answers)) == (
        "video,title,tag,runs,novel_in,relevant,not_relevant,unsure,verdict,by Ann,by Bo\n"
        "a,title of a,fluff,first,first,0,0,1,not relevant,unsure,\n"
        "a,title of a,Kitten,first; second,first; second,2,0,0,relevant,relevant,relevant\n"
        "b,title of b,lawn,second,second,0,0,0,not judged,,\n"
        "b,title of b,puppy,first,first,0,2,0,not relevant,not,not\n"
        "d,title of d,moon,first,first,0,0,0,not judged,,\n"
    )


def test_half_of_a_surrogate_pair_can_be_written(questions: Questions, answers: AnswerFile):
    odd = replace(questions, videos=tuple(replace(video, title="half \ud800") for video in questions.videos))
    assert "a,half \\ud800,fluff" in report_csv(results_of(odd, answers)).encode("utf-8").decode("utf-8")


def test_text(questions: Questions, answers: AnswerFile):
    judge(answers)

    assert report_text(results_of(questions, answers)) == (
        "run     tag gain  95 % interval    matched tags per video  novel tags judged  at most  over first\n"
        "first   16.67 %   0.00 to 50.00 %  0.33                    3 of 3             16.67 %\n"
        "second  16.67 %   0.00 to 50.00 %  0.33                    1 of 2             25.00 %  +0.00 (+0.00 to +0.00)\n"
        "\n"
        f"{READING}\n"
        "\n"
        "Videos with true tags: 3\n"
        "\n"
        "Annotators: Ann 3 of 5, Bo 2 of 5\n"
        "\n"
        "Agreement: 2 annotators, 2 tags: kappa 1.000\n"
        "\n"
        f"{AGREEMENT_READING}\n"
        "\n"
        "video  tag     novel in       yes/no/unsure  verdict\n"
        "a      fluff   first          0/0/1          not relevant\n"
        "a      Kitten  first; second  2/0/0          relevant\n"
        "b      puppy   first          0/2/0          not relevant\n"
    )


def test_before_the_first_answer(questions: Questions, answers: AnswerFile):
    text = report_text(results_of(questions, answers))

    assert "Annotators: nobody yet" in text
    assert "Agreement: no tag was judged by two annotators yet" in text
    assert "0 of 3" in text


def test_the_page_escapes_names(questions: Questions, answers: AnswerFile):
    answers.save(Answer(video="a", tag="kitten", annotator="<script>", verdict="relevant"))

    page = results_page(results_of(questions, answers))

    assert '<th scope="row">&lt;script&gt;</th><td>1 of 5</td>' in page
    assert page.count("<script") == 1  # the page's own


def test_the_page_holds_no_characters_that_html_cannot_hold(tmp_path: Path, answers: AnswerFile):
    run = write_run(tmp_path / "odd", {"a": {"moon\x07'\"&<b>": True}}, {"a": ("cat",)})

    page = results_page(results_of(read_questions([run], "test"), answers))

    assert '<th scope="row" dir="auto">moon\ufffd&#39;&#34;&amp;&lt;b&gt;</th>' in page
    assert "\x07" not in page


def test_the_page_tells_gain_agreement_and_every_tag(questions: Questions, answers: AnswerFile):
    judge(answers)

    page = results_page(results_of(questions, answers))

    assert 'aria-label="Tag gain: first 16.67 %, 0.00 to 50.00; second 16.67 %, 0.00 to 50.00"' in page
    assert "<td>+0.00 (+0.00 to +0.00)</td>" in page
    assert '<tr><th scope="row">2</th><td>2</td><td>1.000</td></tr>' in page
    assert page.count("not judged</span></td>") == 2
    assert "http" not in page.replace("http-equiv", "")


def test_one_run_has_no_column_of_differences(two_runs: tuple[Path, Path], answers: AnswerFile):
    questions = read_questions(two_runs[:1], "test")

    assert "over first" not in report_text(results_of(questions, answers))
    assert "Over first" not in results_page(results_of(questions, answers))
