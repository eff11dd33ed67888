"""The results as a page in the report's style. It names the runs, so it is not for annotators who are still at work."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ... import __version__
from ..report.charts import Axis
from ..report.page import render_page
from .results import AGREEMENT_READING, NO_AGREEMENT, READING, Results, gain_rows, kappa_text
from .statistics import TagGain, TagVerdict

PAGES = Path(__file__).with_name("pages")


def results_page(results: Results) -> str:
    """A whole HTML document that fetches nothing."""
    total = len(results.questions.asked)
    return render_page(
        "results.html",
        folder=PAGES,
        styles=("report.css", PAGES / "results.css"),
        runs=results.questions.runs,
        tiles=_tiles(results),
        chart=_chart(results.gains),
        gains=gain_rows(results),
        reading=READING,
        agreements=[(group.annotators, f"{group.tags:,}", kappa_text(group)) for group in results.agreements],
        no_agreement=NO_AGREEMENT,
        agreement_reading=AGREEMENT_READING,
        annotators=[(name, f"{len(said):,} of {total:,}") for name, said in results.given.items()],
        tags=[_tag(results, item) for item in results.verdicts],
        version=__version__,
    )


def _tiles(results: Results) -> list[tuple[str, str, str]]:
    """Name, value and what stands below it."""
    judged = sum(item.answers > 0 for item in results.verdicts)
    answers = sum(map(len, results.given.values()))
    agreement = results.agreements[0] if results.agreements else None
    kappa = "–" if agreement is None or agreement.kappa is None else f"{agreement.kappa:.2f}"
    by = "once two judge a tag" if agreement is None else f"{agreement.annotators} annotators, {agreement.tags:,} tags"
    return [
        ("Tags judged", f"{judged:,}", f"of {len(results.verdicts):,}"),
        ("Annotators", f"{len(results.given):,}", f"{answers:,} answers"),
        ("Fleiss' kappa", kappa, by),
        ("Videos", f"{results.gains[0].videos:,}", "with true tags"),
    ]


def _chart(gains: Sequence[TagGain]) -> dict[str, Any]:
    """Where each run's gain lies as a dot on its interval, in percent; a row for each run below ``top``."""
    width, left, right, step, top = 480.0, 130.0, 20.0, 30.0, 8.0
    percents = [tuple(100 * value for value in (*gain.interval, gain.gain)) for gain in gains]
    axis = Axis.around([value for row in percents for value in row], count=4, from_zero=True)

    def x(percent: float) -> float:
        return left + axis.place(percent) * (width - left - right)

    return {
        "width": width,
        "height": top + step * len(gains) + 26,
        "left": left,
        "top": top,
        "base": top + step * len(gains),
        "ticks": [{"x": x(tick), "percent": tick} for tick in axis.ticks],
        "rows": [
            {"run": gain.run, "y": top + step * (row + 0.5), "low": x(low), "high": x(high), "gain": x(middle)}
            for row, (gain, (low, high, middle)) in enumerate(zip(gains, percents, strict=True))
        ],
        "words": "; ".join(
            f"{gain.run} {middle:.2f} %, {low:.2f} to {high:.2f}"
            for gain, (low, high, middle) in zip(gains, percents, strict=True)
        ),
    }


def _tag(results: Results, item: TagVerdict) -> dict[str, Any]:
    question = item.question
    video = results.questions.videos[question.video]
    runs = [results.questions.runs[run] + ("" if run in question.novel_in else " (known)") for run in question.runs]
    return {
        "tag": question.tag,
        "video": video.id,
        "title": video.title or video.id,
        "outcome": item.outcome,
        "written_by": ", ".join(runs),
        "counts": (item.relevant, item.not_relevant, item.unsure),
    }
