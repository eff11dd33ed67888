"""One call of ``optsg-tables``: plan, train what is missing, write the tables, say what is not there."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from ...data.errors import ConfigError, StoreError
from ...data.media import Split
from ...data.store import FeatureStore, open_store
from ...data.store.digests import label_digest
from ...train.run_files import CONFIG, read_config
from ...train.systems.registry import find_system
from .documents import write_tables
from .invocation import Invocation
from .plan import Plan, choose_tables, plan_grid
from .runner import Runner, State, Work, choose_places, run_state

Announce = Callable[[str], None]


def run_grid(asked: Invocation, *, announce: Announce, stop: threading.Event) -> bool:
    """Does what was asked for; false where runs of the grid failed or cannot be trained.

    Args:
        asked: the options of the command.
        announce: told lines for people.
        stop: set from outside to stop.

    Raises:
        OptsgError: the store, a table or an option cannot be used, or a run folder holds another run.
    """
    for system in asked.systems:
        find_system(system, asked.systems)  # what is wrong with one should be said before anything is read
    with open_store(asked.feats) as store:
        pretrained = {_system_of(run): run for run in asked.pretrained}
        tables = choose_tables(asked.tables, quick=asked.quick, pretrained=pretrained, systems=asked.systems)
        # Without test videos this raises, which is better now than after the trainings.
        test_labels = label_digest(store, store.indices("test"))
        plan = plan_grid(store, asked, tables)
        splits: tuple[Split, ...] = ("val", "test") if _has_validation(store) else ("test",)
    work = Work(
        asked=plan.asked, splits=splits, test_labels=test_labels, places=choose_places(asked.device, asked.jobs)
    )
    states = _states(plan, work)
    _announce_plan(plan, states, work, announce)
    if asked.dry_run:
        for run in plan.distinct:
            announce(f"  {states[run.name]:<12} {run.name}")
        return True
    failed = bool(plan.impossible)
    if not asked.only_write:
        asked.runs.mkdir(parents=True, exist_ok=True)
        runner = Runner(work, announce, stop)
        runner.train(plan.distinct)
        failed = failed or bool(runner.failures)
    if stop.is_set():
        return False
    for line in write_tables(plan, _states(plan, work), device=work.places.devices[0]):
        announce(f"missing: {line}")
    announce(f"tables: {asked.out / 'tables.html'} and {asked.out / 'tables.md'}")
    return not failed


def _states(plan: Plan, work: Work) -> dict[str, State]:
    return {run.name: run_state(run, work.asked.runs, work.splits, work.test_labels) for run in plan.distinct}


def _has_validation(store: FeatureStore) -> bool:
    try:
        return len(store.indices("val")) > 0
    except StoreError:
        return False


def _system_of(run: Path) -> str:
    if not (run / CONFIG).exists():
        raise ConfigError(f"--pretrained {run}: there is no run folder with a {CONFIG}")
    return read_config(run).system


def _announce_plan(plan: Plan, states: Mapping[str, str], work: Work, announce: Announce) -> None:
    counts = Counter(states.values())
    names = ("finished", "trained", "interrupted", "begun", "missing")
    found = ", ".join(f"{counts[name]} {name}" for name in names if counts[name])
    announce(f"{len(states)} runs in {plan.asked.runs}: {found or 'none'}; {work.places.described}")
    for choice, reason in plan.impossible.items():
        announce(f"cannot be trained: {_described(choice.system, choice.settings)}: {reason}")


def _described(system: str, settings: Sequence[str]) -> str:
    return " ".join([system, *settings])
