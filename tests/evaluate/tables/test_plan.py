"""The grid: what is equal is trained once, what is unknown is said, sweeps contain the setting that runs have anyway."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest
from optsg.data.errors import ConfigError
from optsg.evaluate.tables.grid import INSTEAD, PAPER, SYSTEMS, TABLES, Choice, Row, Table
from optsg.evaluate.tables.plan import Plan, choose_tables, grid_epochs
from optsg.train.run.differences import differences


def table(*choices: Choice) -> Table:
    rows = tuple(Row(label=str(number), choice=choice) for number, choice in enumerate(choices))
    return Table(key="1", title="t", kind="groups", rows=rows)


def test_the_same_configuration_is_one_run(plan: Callable[..., Plan]) -> None:
    choices = (
        Choice(),
        Choice(settings=("nil_weight=0.3",)),
        Choice(settings=("match_nil=true", "prompts=8")),
        Choice(settings=("prompts=5",)),
        Choice(settings=("prompts=5", "nil_weight=0.3")),
        Choice(system="bin"),
    )
    made = plan(tables=[table(*choices[:4]), table(*choices[3:])], seeds=(0, 1))
    assert [run.name for run in made.distinct] == [
        f"{name}-seed-{seed}" for seed in (0, 1) for name in ("op-tsg", "op-tsg-prompts-5", "bin")
    ]
    assert len(made.runs) == 2 * len(choices)
    assert made.runs[choices[1], 0] == made.runs[choices[0], 0]


def test_settings_of_the_whole_grid_decide_what_changes_nothing(plan: Callable[..., Plan]) -> None:
    made = plan(
        "nil_weight=0.5", tables=[table(Choice(settings=("nil_weight=0.5",)), Choice(settings=("nil_weight=0.3",)))]
    )
    assert [run.name for run in made.distinct] == ["op-tsg-seed-0", "op-tsg-nil_weight-0.3-seed-0"]
    assert made.distinct[1].config.training.nil_weight == 0.3


def test_what_cannot_be_trained_is_told_apart(plan: Callable[..., Plan]) -> None:
    unknown, wrong = Choice(system="nobody"), Choice(settings=("prompts=0",))
    made = plan(tables=[table(unknown, wrong, Choice())])
    assert [run.name for run in made.distinct] == ["op-tsg-seed-0"]
    assert made.impossible[unknown].startswith("there is no system 'nobody'; known are op-tsg, ")
    assert made.impossible[wrong] == "prompts=0 is out of range; expected at least 1"


def test_every_row_of_every_table_can_be_trained(plan: Callable[..., Plan]) -> None:
    made = plan(tables=TABLES)
    assert not made.impossible
    # Possible only beside decoding=sequential, which therefore changes something in size small.
    entry = next(run.config.model for run in made.distinct if run.config.model.prompt_entry == "prefix")
    assert entry.decoding == "sequential"


def test_a_wrong_setting_of_every_run_ends_the_planning(plan: Callable[..., Plan]) -> None:
    with pytest.raises(ConfigError, match=r"^--set nil_wait: unknown setting; did you mean nil_weight\?$"):
        plan("nil_wait=1")
    with pytest.raises(ConfigError, match=r"^--set seed=3: seeds are chosen with --seeds$"):
        plan("seed=3")


def test_the_paper_s_setting_has_a_short_name(plan: Callable[..., Plan]) -> None:
    [sweep] = plan(tables=[one for one in TABLES if one.key == "4"]).tables
    made = plan(tables=[sweep])
    names = {made.runs[row.choice, 0].name for row in sweep.rows[:2]}
    assert names == {"op-tsg-paper-prompts-5-seed-0", "op-tsg-paper-seed-0"}


def test_a_sweep_contains_the_own_setting_in_order(plan: Callable[..., Plan]) -> None:
    [sweep] = plan(tables=[one for one in TABLES if one.key == "4"]).tables
    assert [row.label for row in sweep.rows] == ["5", "8", "10", "15", "20", "30", "50"]
    assert sweep.rows[1] == Row(label="8", choice=PAPER)


def test_choosing_tables(tmp_path: Path) -> None:
    assert [one.key for one in choose_tables((), quick=False, pretrained={})] == [one.key for one in TABLES]
    assert [one.key for one in choose_tables((), quick=True, pretrained={})] == ["1", "7", "8"]
    assert [one.key for one in choose_tables(("8", "2"), quick=False, pretrained={})] == ["1", "8"]
    for sweep in choose_tables(("4", "5", "6"), quick=True, pretrained={}):
        assert 2 <= len(sweep.rows) <= 3
    with pytest.raises(
        ConfigError, match=r"^--tables 9: there is no such table; choose from 1, 3, 4, 5, 6, 7, 8, beyond$"
    ):
        choose_tables(("1", "9"), quick=False, pretrained={})


def test_pretrained_runs_fill_the_lower_half(tmp_path: Path) -> None:
    [first] = choose_tables(("1",), quick=False, pretrained={"asy": tmp_path / "pre"})
    assert first.rows == (
        *SYSTEMS,
        *INSTEAD,
        Row(label="asy, pre-trained", choice=Choice(system="asy", pretrained=tmp_path / "pre")),
    )
    for system in ("no-shuffle", "memory"):
        with pytest.raises(ConfigError, match=f"Table 1 has no row for the system {system}"):
            choose_tables(("1",), quick=False, pretrained={system: tmp_path})


def test_further_systems_get_rows_of_their_own() -> None:
    systems = ("mine:Mine", "rare-first", "asy", "mine:Mine")
    first, third, seventh = choose_tables(("1", "3", "7"), quick=True, pretrained={}, systems=systems)
    further = tuple(Row(label=name, choice=Choice(system=name)) for name in ("mine:Mine", "rare-first"))
    assert first.rows == (*SYSTEMS, *INSTEAD, *further)
    assert third.rows == (*SYSTEMS, *further)
    assert not set(further) & set(seventh.rows)


def test_rows_are_told_apart_by_their_labels() -> None:
    for one in TABLES:
        assert len({row.label for row in one.rows}) == len(one.rows)


def test_quick_trainings_are_shorter() -> None:
    assert grid_epochs("small", 1485, [], quick=True) == "epochs=12"
    assert grid_epochs("small", 1485, ["epochs=10"], quick=True) == "epochs=4"


def test_differences_name_the_setting(plan: Callable[..., Plan]) -> None:
    one, other = (plan(f"epochs={epochs}").distinct[0].config for epochs in (1, 2))
    # The average's horizon follows from the number of steps.
    assert differences(one, other) == [("epochs", "1", "2"), ("ema", "0.0", "0.3333")]
    moved = dataclasses.replace(one, store={**one.store, "path": "elsewhere.h5"}, optsg_version="0")
    assert differences(one, moved) == []
    renewed = dataclasses.replace(one, store={**one.store, "header": {**one.store["header"], "created": "2027"}})
    assert [name for name, _, _ in differences(one, renewed)] == ["the store's created"]
