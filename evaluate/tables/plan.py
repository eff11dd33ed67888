"""From the grid to runs: tables chosen, each choice resolved to its whole configuration, equal ones trained once."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ...data.errors import ConfigError
from ...data.store import FeatureStore
from ...train.config import SIZES, RunConfig, Size, apply_settings, default_epochs
from ...train.device import choose_device
from ...train.run.init_from import open_source
from ...train.run.plan import choose_size, plan_run
from ...train.run.schedule import batch_for
from ...train.system_names import check_system_name
from ...train.systems.op_tsg import PAPER_SETTINGS
from .grid import PAPER, QUICK_EPOCHS, QUICK_TABLES, SYSTEMS, TABLES, Choice, Row, Table
from .invocation import Invocation


@dataclass(frozen=True, kw_only=True)
class PlannedRun:
    """One training of the grid.

    Attributes:
        name: of its folder in ``OUT/runs``; the same for all that is the same.
        choice: with no setting that changes nothing.
        settings: all settings, those of the whole grid first.
        config: its whole configuration.
    """

    name: str
    choice: Choice
    seed: int
    settings: tuple[str, ...]
    config: RunConfig


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The grid for one store.

    Attributes:
        asked: what was asked for, with the size that ``auto`` came to.
        tables: with the rows that were asked for.
        settings: those of every run.
        runs: (choice as in the rows, seed) -> run; rows of the same configuration have the same one.
        impossible: choice -> why it cannot be trained.
    """

    asked: Invocation
    tables: tuple[Table, ...]
    settings: tuple[str, ...]
    runs: Mapping[tuple[Choice, int], PlannedRun]
    impossible: Mapping[Choice, str]

    @property
    def distinct(self) -> list[PlannedRun]:
        """Every run once: all of the first seed first, so that a table is early complete, if with one seed only."""
        by_name = {run.name: run for run in self.runs.values()}
        order = {seed: number for number, seed in enumerate(self.asked.seeds)}
        return sorted(by_name.values(), key=lambda run: order[run.seed])


def choose_tables(
    keys: Sequence[str], *, quick: bool, pretrained: Mapping[str, Path], systems: Sequence[str] = ()
) -> tuple[Table, ...]:
    """The tables of these keys, all of them (``quick``: the quick ones) for none, in the paper's order.

    Args:
        pretrained: by system, the run whose weights fill its row of Table 1's lower half.
        systems: that get a row beside the tables' own.

    Raises:
        ConfigError: there is no such table.
    """
    known = [table.key for table in TABLES]
    for key in keys:
        if key not in {*known, "2"}:
            raise ConfigError(f"--tables {key}: there is no such table; choose from {', '.join(known)}")
    wanted = {"1" if key == "2" else key for key in keys} or set(QUICK_TABLES if quick else known)
    chosen = []
    for table in TABLES:
        if table.key in wanted:
            rows = tuple(row for row in table.rows if row.quick or not quick)
            if table.kind in ("systems", "novel"):
                rows += (*_further_rows(systems, rows), *_finetuned_rows(pretrained))
            chosen.append(replace(table, rows=rows))
    return tuple(chosen)


def _further_rows(systems: Sequence[str], rows: Sequence[Row]) -> tuple[Row, ...]:
    """A row for each system that has none."""
    further = (Row(label=name, choice=Choice(system=name)) for name in dict.fromkeys(systems))
    return tuple(row for row in further if row.choice not in {other.choice for other in rows})


def _finetuned_rows(pretrained: Mapping[str, Path]) -> tuple[Row, ...]:
    for system in pretrained:
        if system not in {row.choice.system for row in SYSTEMS}:
            raise ConfigError(f"--pretrained {pretrained[system]}: Table 1 has no row for the system {system}")
    return tuple(
        Row(
            label=f"{row.label}, pre-trained",
            choice=Choice(system=row.choice.system, pretrained=pretrained[row.choice.system]),
        )
        for row in SYSTEMS
        if row.choice.system in pretrained and not row.choice.settings
    )


def grid_epochs(size: Size, videos: int, settings: Sequence[str], *, quick: bool) -> str:
    """The setting that trains all systems as long as the slowest of them needs, or a share of that.

    A run of its own is shorter (:mod:`optsg.train.run.schedule`): that is long enough for the default system.
    """
    training = apply_settings(*SIZES[size], settings)[1]
    is_said = any(setting.startswith("batch_size=") for setting in settings)
    batch = training.batch_size if is_said else batch_for(training.batch_size, videos)
    epochs = training.epochs or default_epochs(size, videos, batch)
    return f"epochs={max(1, round(QUICK_EPOCHS * epochs)) if quick else epochs}"


def plan_grid(store: FeatureStore, asked: Invocation, tables: Sequence[Table]) -> Plan:
    """Resolves every row of every table.

    Args:
        store: opened from ``asked.feats``.
        asked: its ``settings`` are those of every run; a row's own settings come after them.

    Raises:
        RunError: a pre-trained run cannot be opened.
        ConfigError: one of the settings is wrong. What is wrong with one row is in :attr:`Plan.impossible`.
    """
    size = choose_size(asked.size, store, choose_device(asked.device))
    settings = asked.settings
    if not any(setting.startswith("epochs=") for setting in settings):
        settings += (grid_epochs(size, len(store.indices("train")), settings, quick=asked.quick),)
    if not any(setting.startswith("ranking=") for setting in settings):
        settings += ("ranking=false",)  # the tables compare systems, each by its own decision
    for setting in settings:
        if setting.partition("=")[0] == "seed":
            raise ConfigError(f"--set {setting}: seeds are chosen with --seeds")
    apply_settings(*SIZES[size], settings)
    planned = [_with_default_point(table, size, settings) for table in tables]
    runs: dict[tuple[Choice, int], PlannedRun] = {}
    impossible: dict[Choice, str] = {}
    for choice in dict.fromkeys(row.choice for table in planned for row in table.rows):
        try:
            check_system_name(choice.system)
            used = _without_idle_settings(choice, size, settings)
            every = (*settings, *used.settings)
            source = None if used.pretrained is None else open_source(str(used.pretrained), asked.systems)
            for seed in asked.seeds:
                whole = plan_run(
                    store,
                    asked.feats,
                    system=choice.system,
                    size=size,
                    settings=every,
                    seed=seed,
                    source=source,
                    allow_systems=asked.systems,
                )
                runs[choice, seed] = PlannedRun(
                    name=_name(used, seed), choice=used, seed=seed, settings=every, config=whole.config
                )
        except ConfigError as error:
            impossible[choice] = str(error)
    return Plan(
        asked=replace(asked, size=size), tables=tuple(planned), settings=settings, runs=runs, impossible=impossible
    )


def _with_default_point(table: Table, size: Size, settings: Sequence[str]) -> Table:
    """A sweep with the value that runs have anyway as one of its points, between the others."""
    if table.kind != "sweep":
        return table
    model, training = apply_settings(*SIZES[size], settings)
    default = float(getattr(model if hasattr(model, table.setting) else training, table.setting))
    rows = table.rows
    if default not in {float(row.label) for row in rows}:
        rows += (Row(label=f"{default:g}", choice=PAPER),)
    return replace(table, rows=tuple(sorted(rows, key=lambda row: float(row.label))))


def _without_idle_settings(choice: Choice, size: Size, settings: Sequence[str]) -> Choice:
    """The choice without settings that say what runs have anyway."""
    kept = list(choice.settings)
    whole = apply_settings(*SIZES[size], [*settings, *kept])
    for setting in choice.settings:
        rest = [other for other in kept if other != setting]
        try:
            is_idle = apply_settings(*SIZES[size], [*settings, *rest]) == whole
        except ConfigError:  # the others are possible only beside this one
            continue
        if is_idle:
            kept = rest
    return replace(choice, settings=tuple(kept))


def _name(choice: Choice, seed: int) -> str:
    start = [] if choice.pretrained is None else ["from", choice.pretrained.resolve().name]
    settings = list(choice.settings)
    if set(PAPER_SETTINGS) <= set(settings):
        settings = ["paper", *(setting for setting in settings if setting not in PAPER_SETTINGS)]
    words = [choice.system, *settings, *start, f"seed-{seed}"]
    return "-".join(re.sub(r"[^\w.+-]+", "-", word) for word in words)
