"""The results for people and for programs: text, a page, CSV."""

from __future__ import annotations

import csv
import html
import io
from dataclasses import dataclass

from .answers import AnswerFile
from .questions import Questions
from .statistics import Agreement, TagGain, TagVerdict, agreements, tag_gains, tag_verdicts

READING = (
    "Tag gain: relevant novel tags / true tags, mean over videos (§4.2, Eq. 11). A tag is relevant if more than half of "
    "the annotators who judged it say so; a tie, unsure and a tag that nobody judged are not relevant. "
    "Interval: 95 %, bootstrap over videos."
)
AGREEMENT_READING = (
    "Fleiss' kappa over relevant, not and unsure. It needs the same number of answers for every tag, so tags judged by "
    "different numbers of annotators are counted apart; tags judged by one alone do not enter."
)


@dataclass(frozen=True, kw_only=True)
class Results:
    """Everything that the answers say about some runs."""

    questions: Questions
    annotators: tuple[tuple[str, int], ...]
    verdicts: tuple[TagVerdict, ...]
    gains: tuple[TagGain, ...]
    agreements: tuple[Agreement, ...]


def results_of(questions: Questions, answers: AnswerFile) -> Results:
    """The results as they stand; ``annotators`` are names with the number of these questions each answered."""
    known = {(questions.videos[question.video].id, question.key) for question in questions.asked}
    given = [answer for answer in answers.all() if (answer.video, answer.tag) in known]
    names = sorted({answer.annotator for answer in given})
    verdicts = tag_verdicts(questions, given)
    return Results(
        questions=questions,
        annotators=tuple((name, sum(answer.annotator == name for answer in given)) for name in names),
        verdicts=tuple(verdicts),
        gains=tuple(tag_gains(questions, verdicts)),
        agreements=tuple(agreements(verdicts)),
    )


def _gain_rows(results: Results) -> list[tuple[str, ...]]:
    return [
        (
            gain.run,
            f"{100 * gain.gain:.2f} %",
            f"{100 * gain.interval[0]:.2f}–{100 * gain.interval[1]:.2f} %",
            f"{gain.matched:.2f}",
            f"{gain.judged:,} of {gain.asked:,}",
            "" if gain.judged == gain.asked else f"at most {100 * gain.highest:.2f} %",
        )
        for gain in results.gains
    ]


GAIN_HEADS = ("run", "tag gain", "interval", "matched tags per video", "novel tags judged", "if the rest were relevant")


def _agreement_lines(results: Results) -> list[str]:
    lines = []
    for group in results.agreements:
        kappa = "not defined (all answers are the same)" if group.kappa is None else f"{group.kappa:.3f}"
        tags = "1 tag" if group.tags == 1 else f"{group.tags:,} tags"
        lines.append(f"{group.annotators} annotators, {tags}: kappa {kappa}")
    return lines or ["no tag was judged by two annotators yet"]


def _annotator_line(results: Results) -> str:
    total = len(results.questions.asked)
    return ", ".join(f"{name} {count:,} of {total:,}" for name, count in results.annotators) or "nobody yet"


def _verdict_rows(results: Results) -> list[tuple[str, ...]]:
    videos, runs = results.questions.videos, results.questions.runs
    return [
        (
            videos[item.question.video].id,
            videos[item.question.video].title,
            item.question.tag,
            "; ".join(runs[run] for run in item.question.runs),
            "; ".join(runs[run] for run in item.question.novel_in),
            str(item.relevant),
            str(item.not_relevant),
            str(item.unsure),
            item.outcome,
        )
        for item in results.verdicts
    ]


VERDICT_HEADS = ("video", "title", "tag", "runs", "novel_in", "relevant", "not_relevant", "unsure", "verdict")


def report_text(results: Results) -> str:
    """The results as text for a terminal."""
    tags = [
        (row[0], row[2], row[4], f"{row[5]}/{row[6]}/{row[7]}", row[8])
        for row, item in zip(_verdict_rows(results), results.verdicts, strict=True)
        if item.answers
    ]
    parts = [
        _aligned([GAIN_HEADS, *_gain_rows(results)]),
        READING,
        f"Annotators: {_annotator_line(results)}",
        "Agreement: " + "; ".join(_agreement_lines(results)),
        AGREEMENT_READING,
    ]
    if tags:
        parts.append(_aligned([("video", "tag", "novel in", "yes/no/unsure", "verdict"), *tags]))
    return "\n\n".join(parts) + "\n"


def _aligned(rows: list[tuple[str, ...]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def report_csv(results: Results) -> str:
    """One line for each tag of each video: who wrote it, who said what, and the verdict."""
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerows([VERDICT_HEADS, *_verdict_rows(results)])
    return buffer.getvalue()


def results_page(results: Results) -> str:
    """The results as a page; it names the runs, so it is not for annotators who are still at work."""
    agreement = "".join(f"<li>{html.escape(line)}</li>" for line in _agreement_lines(results))
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Judgement: results</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<link rel="stylesheet" href="page.css"></head><body class="results"><main>'
        "<h1>Tag gain by human judgement</h1>"
        f"{_html_table('Tag gain', GAIN_HEADS, _gain_rows(results))}"
        f"<p>{html.escape(READING)}</p><h2>Annotators</h2><p>{html.escape(_annotator_line(results))}</p>"
        f"<h2>Agreement</h2><ul>{agreement}</ul><p>{html.escape(AGREEMENT_READING)}</p>"
        '<h2>Tags</h2><p><a href="verdicts.csv" download="verdicts.csv">Save as CSV</a></p>'
        f"{_html_table('Tags', VERDICT_HEADS, _verdict_rows(results))}"
        "</main></body></html>"
    )


def _html_table(label: str, heads: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    head = "".join(f'<th scope="col">{html.escape(name.replace("_", " "))}</th>' for name in heads)
    body = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{html.escape(label)}"><table>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )
