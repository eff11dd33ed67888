"""One call of ``optsg-tables``: plan, train what is missing, write the tables, say what is not there."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...data.errors import ConfigError, StoreError
from ...data.media import Split
from ...data.store import FeatureStore, open_store
from ...train.config import RunConfig
from ...train.device import choose_device
from ...train.run.plan import choose_size
from ...train.run_files import CONFIG
from .documents import write_tables
from .plan import Plan, choose_tables, plan_grid, quick_epochs
from .results import Invocation
from .runner import Runner, State, Work, choose_places, run_state

Announce = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Options:
    """What was asked for; the names are the command's."""

    feats: Path
    out: Path
    tables: tuple[str, ...]
    seeds: tuple[int, ...]
    size: str
    settings: tuple[str, ...]
    pretrained: tuple[Path, ...]
    quick: bool
    jobs: int | None
    device: str
    dry_run: bool
    only_write: bool


def run_grid(options: Options, *, announce: Announce, stop: threading.Event) -> bool:
    """Does what was asked for; false where runs of the grid failed or cannot be trained.

    Args:
        announce: told lines for people.
        stop: set from outside to stop.

    Raises:
        OptsgError: the store, a table or an option cannot be used, or a run folder holds another run.
    """
    with open_store(options.feats) as store:
        plan, settings, splits = _plan(options, store)
    work = Work(
        out=options.out,
        feats=options.feats,
        size=plan.size,
        splits=splits,
        places=choose_places(options.device, options.jobs),
    )
    states = _states(plan, work)
    _announce_plan(plan, states, work, announce)
    if options.dry_run:
        for run in plan.distinct:
            announce(f"  {states[run.name]:<12} {run.name}")
        return True
    failed = bool(plan.impossible)
    if not options.only_write:
        work.runs.mkdir(parents=True, exist_ok=True)
        runner = Runner(work, announce, stop)
        runner.train(plan.distinct)
        failed = failed or bool(runner.failures)
    if stop.is_set():
        return False
    _write(options, plan, settings, work, announce)
    return not failed


def _states(plan: Plan, work: Work) -> dict[str, State]:
    return {run.name: run_state(run, work.runs, work.splits) for run in plan.distinct}


def _write(options: Options, plan: Plan, settings: Sequence[str], work: Work, announce: Announce) -> None:
    invocation = Invocation(
        feats=options.feats,
        out=options.out,
        seeds=plan.seeds,
        size=plan.size,
        settings=options.settings,
        pretrained=options.pretrained,
        quick=options.quick,
    )
    missing = write_tables(plan, invocation, _states(plan, work), settings, device=work.places.devices[0])
    for line in missing:
        announce(f"missing: {line}")
    announce(f"tables: {options.out / 'tables.html'} and {options.out / 'tables.md'}")


def _plan(options: Options, store: FeatureStore) -> tuple[Plan, tuple[str, ...], tuple[Split, ...]]:
    """The grid, the settings of every run, and the splits to evaluate on."""
    pretrained = {_system_of(run): run for run in options.pretrained}
    tables = choose_tables(options.tables, quick=options.quick, pretrained=pretrained)
    size = choose_size(options.size, store, choose_device(options.device))
    settings = list(options.settings)
    if options.quick and not any(setting.startswith("epochs=") for setting in settings):
        settings.append(quick_epochs(size, len(store.indices("train")), settings))
    store.indices("test")  # its error is better now than after the trainings
    plan = plan_grid(store, options.feats, tables, seeds=options.seeds, size=size, settings=settings)
    return plan, tuple(settings), ("val", "test") if _has_validation(store) else ("test",)


def _has_validation(store: FeatureStore) -> bool:
    try:
        return len(store.indices("val")) > 0
    except StoreError:
        return False


def _system_of(run: Path) -> str:
    try:
        return RunConfig.from_json((run / CONFIG).read_text(encoding="utf-8")).system
    except OSError as error:
        raise ConfigError(f"--pretrained {run}: there is no run folder with a {CONFIG}") from error


def _announce_plan(plan: Plan, states: Mapping[str, str], work: Work, announce: Announce) -> None:
    counts = Counter(states.values())
    names = ("finished", "trained", "interrupted", "begun", "missing")
    found = ", ".join(f"{counts[name]} {name}" for name in names if counts[name])
    announce(f"{len(states)} runs in {work.runs}: {found or 'none'}; {work.places.described}")
    for choice, reason in plan.impossible.items():
        announce(f"cannot be trained: {_described(choice.system, choice.settings)}: {reason}")


def _described(system: str, settings: Sequence[str]) -> str:
    return " ".join([system, *settings])
