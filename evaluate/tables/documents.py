"""Writes the documents of a grid from its finished runs, headed by what data, what software, where and when."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import torch

from ... import __version__
from ...data.media import SPLITS
from ...data.store import FeatureStore, open_store
from ...data.whole_files import write_text
from ..report.page import render_page
from ..scores.run_store import encoder_name
from .case_studies import CHOSEN_BY, MEANINGS, SIGNS
from .charts import heat_map
from .markdown import FIGURE_3, markdown, plot_name
from .measures import Measures, RunMeasures
from .plan import Plan
from .prompt_orders import prompt_orders
from .results import NO_TITLE, READING, Results, collect, shown_run
from .runner import State

WORDS: Mapping[State, str] = {
    "missing": "not trained",
    "begun": "training has begun",
    "interrupted": "training was interrupted",
    "trained": "trained, not evaluated",
    "finished": "finished",
}
"""States of a run for people."""


def write_tables(plan: Plan, states: Mapping[str, State], *, device: str) -> list[str]:
    """Writes ``tables.md``, its pictures, and ``tables.html`` to the results folder.

    Args:
        states: of every run, by name.
        device: on which Figure 3's video is decoded.

    Returns:
        Lines about what is missing.

    Raises:
        OptsgError: a finished run cannot be read, or a file cannot be written.
    """
    out = plan.asked.out
    finished = {name for name, state in states.items() if state == "finished"}
    measures = Measures(plan, plan.asked.runs, finished)
    missing = missing_lines(plan, states)
    with open_store(plan.asked.feats) as store:
        run = shown_run(measures)
        results = collect(
            plan,
            measures,
            facts=provenance(store, plan, measures.every_run()),
            orders=None if run is None else prompt_orders(run, store, device=device),
            missing=missing,
        )
    for name, picture in pictures(results).items():
        write_text(out / name, [picture, "\n"])
    write_text(out / "tables.md", markdown(results))
    write_text(out / "tables.html", [html(results)])
    return missing


def pictures(results: Results) -> Mapping[str, str]:
    """SVG documents by the names of their files."""
    plots = {plot_name(section): section.plot for section in results.sections if section.plot is not None}
    return plots if results.orders is None else {**plots, FIGURE_3: heat_map(results.orders)}


def html(results: Results) -> str:
    """``tables.html``: the same results as one page that opens from disk."""
    links = [(f"table-{section.key}", section.title.partition(":")[0]) for section in results.sections]
    links += [("figure-3", "Figure 3")] if results.orders is not None else []
    links += [("figure-4", "Figure 4")] if results.cases else []
    links += [("about", "What was compared")]
    links += [("missing", "What is missing")] if results.missing else []
    return render_page(
        "tables.html",
        styles=("report.css", "tables.css"),
        script=None,
        links=links,
        results=results,
        heat_map=None if results.orders is None else heat_map(results.orders),
        reading=READING,
        no_title=NO_TITLE,
        chosen_by=CHOSEN_BY,
        signs=SIGNS,
        meanings=MEANINGS,
        version=__version__,
    )


def missing_lines(plan: Plan, states: Mapping[str, State]) -> list[str]:
    """What the tables lack: a line for all seeds of a choice that are in the same state."""
    lacking: dict[tuple[str, State], list[int]] = {}
    for run in plan.distinct:
        if (state := states[run.name]) != "finished":
            lacking.setdefault((run.name.removesuffix(f"-seed-{run.seed}"), state), []).append(run.seed)
    lines = [f"{name}, {_seeds(seeds)}: {WORDS[state]}" for (name, state), seeds in lacking.items()]
    return lines + [
        f"{' '.join([choice.system, *choice.settings])}: cannot be trained: {reason}"
        for choice, reason in plan.impossible.items()
    ]


def _seeds(seeds: Sequence[int]) -> str:
    *others, last = map(str, seeds)
    return f"seeds {', '.join(others)} and {last}" if others else f"seed {last}"


def provenance(store: FeatureStore, plan: Plan, runs: Sequence[RunMeasures]) -> list[tuple[str, str]]:
    """Name and value of what a reader needs to judge the numbers or make them again.

    Args:
        runs: the finished ones.
    """
    header = store.header
    splits = ((int((store.splits == number).sum()), name) for number, name in enumerate(SPLITS))
    devices = sorted({str(run.cost("device")) for run in runs if run.cost("device")})
    threads = sorted({int(run.cost("threads")) for run in runs if run.cost("threads")})
    every_device = ", ".join(devices) or "unknown"
    with_threads = f"; PyTorch threads of a run: {', '.join(map(str, threads))}" if threads else ""
    return [
        ("Data", f"{store.path}, made {header.created}"),
        ("Videos", ", ".join(f"{count:,} {name}" for count, name in splits if count)),
        ("Tags", f"{len(store.tag_keys):,} different ones in all splits"),
        ("Encoders", f"{encoder_name(header.image_encoder)}; {encoder_name(header.text_encoder)}"),
        ("Size", f"{plan.asked.size}; settings of every run: {' '.join(plan.settings) or 'the defaults'}"),
        ("Seeds", ", ".join(map(str, plan.asked.seeds))),
        ("Runs", f"{len(runs)} of {len(plan.distinct)} finished"),
        ("Device", f"{every_device}{with_threads}. Runs were timed as they ran, side by side"),
        ("Training in all", f"{sum(run.minutes or 0.0 for run in runs) / 60:.1f} hours, each run's own time summed"),
        ("Versions", f"optsg {__version__}, PyTorch {torch.__version__}, Python {platform.python_version()}"),
        ("Written", f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"),
    ]
