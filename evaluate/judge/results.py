"""The results for people and for programs: text and CSV. The page is in :mod:`.results_page`."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass

from ...data.foreign.csv_cells import as_cell
from .answers import AnswerFile, Verdict
from .questions import Questions
from .statistics import Agreement, TagGain, TagVerdict, agreements, tag_gains, tag_verdicts

READING = (
    "Tag gain: relevant novel tags / true tags, mean over videos (§4.2, Eq. 11). A tag is relevant if more than half of "
    "the annotators who judged it say so; a tie, unsure and a tag that nobody judged are not relevant. "
    "Intervals: 95 %, by drawing the videos again (1,000 times); they say nothing about other annotators."
)


AGREEMENT_READING = (
    "Fleiss' kappa over relevant, not and unsure. It needs the same number of answers for every tag, so tags judged by "
    "different numbers of annotators are counted apart; tags judged by one alone do not enter."
)


NO_AGREEMENT = "no tag was judged by two annotators yet"


@dataclass(frozen=True, kw_only=True)
class Results:
    """Everything that the answers say about some runs.

    Attributes:
        given: each annotator's verdicts by question number, annotators in alphabetical order.
    """

    questions: Questions
    given: dict[str, dict[int, Verdict]]
    verdicts: tuple[TagVerdict, ...]
    gains: tuple[TagGain, ...]
    agreements: tuple[Agreement, ...]


def results_of(questions: Questions, answers: AnswerFile) -> Results:
    """The results as they stand; answers to other questions are left out."""
    number = {
        (questions.videos[question.video].id, question.key): number for number, question in enumerate(questions.asked)
    }
    answered = [answer for answer in answers.all() if (answer.video, answer.tag) in number]
    given: dict[str, dict[int, Verdict]] = {name: {} for name in sorted({answer.annotator for answer in answered})}
    for answer in answered:
        given[answer.annotator][number[answer.video, answer.tag]] = answer.verdict
    verdicts = tag_verdicts(questions, answered)
    return Results(
        questions=questions,
        given=given,
        verdicts=tuple(verdicts),
        gains=tuple(tag_gains(questions, verdicts)),
        agreements=tuple(agreements(verdicts)),
    )


def gain_rows(results: Results) -> list[tuple[str, ...]]:
    """Tag gain as text: headings, then a row for each run. Of several runs, the last column is against the first."""
    heads: tuple[str, ...] = (
        "run",
        "tag gain",
        "95 % interval",
        "matched tags per video",
        "novel tags judged",
        "at most",
    )
    rows: list[tuple[str, ...]] = [
        (
            gain.run,
            f"{100 * gain.gain:.2f} %",
            f"{100 * gain.interval[0]:.2f} to {100 * gain.interval[1]:.2f} %",
            f"{gain.matched:.2f}",
            f"{gain.judged:,} of {gain.asked:,}",
            f"{100 * gain.highest:.2f} %",
        )
        for gain in results.gains
    ]
    if len(rows) > 1:
        heads = (*heads, f"over {results.gains[0].run}")
        rows = [(*row, _difference(gain)) for row, gain in zip(rows, results.gains, strict=True)]
    return [heads, *rows]


def _difference(gain: TagGain) -> str:
    if gain.over_first is None:
        return ""
    low, high = gain.over_first.interval
    return f"{100 * gain.over_first.gain:+.2f} ({100 * low:+.2f} to {100 * high:+.2f})"


def kappa_text(group: Agreement) -> str:
    """Kappa with three decimals, or why there is none."""
    return "not defined (all answers are the same)" if group.kappa is None else f"{group.kappa:.3f}"


def _agreement_line(results: Results) -> str:
    lines = []
    for group in results.agreements:
        tags = "1 tag" if group.tags == 1 else f"{group.tags:,} tags"
        lines.append(f"{group.annotators} annotators, {tags}: kappa {kappa_text(group)}")
    return "; ".join(lines) or NO_AGREEMENT


def _annotator_line(results: Results) -> str:
    total = len(results.questions.asked)
    return ", ".join(f"{name} {len(said):,} of {total:,}" for name, said in results.given.items()) or "nobody yet"


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
        _aligned(gain_rows(results)),
        READING,
        f"Videos with true tags: {results.gains[0].videos:,}",
        f"Annotators: {_annotator_line(results)}",
        f"Agreement: {_agreement_line(results)}",
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
    """One line for each tag of each video: which runs wrote it, the verdict, and what each annotator said; half of a surrogate pair, which UTF-8 cannot hold, is escaped."""
    buffer = io.StringIO()
    said = [
        tuple(answers.get(number, "") for answers in results.given.values()) for number in range(len(results.verdicts))
    ]
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow((*VERDICT_HEADS, *(f"by {name}" for name in results.given)))
    rows = ((*row, *verdicts) for row, verdicts in zip(_verdict_rows(results), said, strict=True))
    writer.writerows(map(as_cell, row) for row in rows)
    return buffer.getvalue().encode("utf-8", "backslashreplace").decode("utf-8")
