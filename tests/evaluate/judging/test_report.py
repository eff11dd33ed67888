from __future__ import annotations

from optsg.evaluate.judging.answers import Answer, AnswerFile, Verdict
from optsg.evaluate.judging.questions import Questions
from optsg.evaluate.judging.report import AGREEMENT_READING, READING, report_csv, report_text, results_of, results_page

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
        "video,title,tag,runs,novel_in,relevant,not_relevant,unsure,verdict\n"
        "a,title of a,Kitten,first; second,first; second,2,0,0,relevant\n"
        "a,title of a,fluff,first,first,0,0,1,not relevant\n"
        "b,title of b,puppy,first,first,0,2,0,not relevant\n"
        "b,title of b,lawn,second,second,0,0,0,not judged\n"
        "d,title of d,moon,first,first,0,0,0,not judged\n"
    )


def test_text(questions: Questions, answers: AnswerFile):
    judge(answers)

    assert report_text(results_of(questions, answers)) == (
        "run     tag gain  interval      matched tags per video  novel tags judged  if the rest were relevant\n"
        "first   16.67 %   0.00–50.00 %  0.33                    3 of 3\n"
        "second  16.67 %   0.00–50.00 %  0.33                    1 of 2             at most 25.00 %\n"
        "\n"
        f"{READING}\n"
        "\n"
        "Annotators: Ann 3 of 5, Bo 2 of 5\n"
        "\n"
        "Agreement: 2 annotators, 2 tags: kappa 1.000\n"
        "\n"
        f"{AGREEMENT_READING}\n"
        "\n"
        "video  tag     novel in       yes/no/unsure  verdict\n"
        "a      Kitten  first; second  2/0/0          relevant\n"
        "a      fluff   first          0/0/1          not relevant\n"
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

    assert "&lt;script&gt; 1 of 5" in page
    assert "<script" not in page
