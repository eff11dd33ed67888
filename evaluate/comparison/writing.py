"""Writes the documents of a grid from its finished runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ...data.store import open_store
from ...data.whole_files import write_text
from .html_page import html
from .markdown import markdown, pictures
from .measures import Measures
from .plan import Plan
from .prompt_orders import prompt_orders
from .provenance import provenance
from .results import Invocation, collect, shown_run
from .run_state import State

WORDS: Mapping[State, str] = {
    "missing": "not trained",
    "begun": "training has begun",
    "interrupted": "training was interrupted",
    "trained": "trained, not evaluated",
    "finished": "finished",
}
"""States of a run for people."""


def write_tables(
    plan: Plan, invocation: Invocation, states: Mapping[str, State], settings: Sequence[str], *, device: str
) -> list[str]:
    """Writes ``tables.md``, its pictures, and ``tables.html`` to the results folder.

    Args:
        states: of every run, by name.
        settings: those of every run.
        device: on which Figure 3's video is decoded.

    Returns:
        Lines about what is missing.

    Raises:
        OptsgError: a finished run cannot be read, or a file cannot be written.
    """
    out = invocation.out
    finished = {name for name, state in states.items() if state == "finished"}
    measures = Measures(plan, out / "runs", finished)
    missing = missing_lines(plan, states)
    with open_store(invocation.feats) as store:
        run = shown_run(measures)
        results = collect(
            plan,
            measures,
            invocation,
            facts=provenance(store, plan, settings, measures.every_run()),
            orders=None if run is None else prompt_orders(run, store, device=device),
            missing=missing,
        )
    for name, picture in pictures(results).items():
        write_text(out / name, [picture, "\n"])
    write_text(out / "tables.md", markdown(results))
    write_text(out / "tables.html", [html(results)])
    return missing


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
