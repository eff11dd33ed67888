"""A tiny store, and a grid of two classifiers that train in a second or two."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from optsg.data.store import open_store
from optsg.data.store.digests import label_digest
from optsg.evaluate.tables.grid import Choice, Row, Table
from optsg.evaluate.tables.invocation import Invocation
from optsg.evaluate.tables.plan import Plan, plan_grid
from optsg.evaluate.tables.runner import Places, Runner, Work

from tests.tiny_world import TINY_SETTINGS, tiny_videos, write_tiny_store


@pytest.fixture(scope="session")
def tiny_feats(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_store(tmp_path_factory.mktemp("grid") / "tiny.h5", tiny_videos(60))


PAIR = Table(
    key="1",
    title="two classifiers",
    kind="groups",
    rows=tuple(Row(label=name, choice=Choice(system=name)) for name in ("bin", "asy")),
)


def asked(out: Path, feats: Path, *, settings: tuple[str, ...] = (), seeds: tuple[int, ...] = (0,)) -> Invocation:
    """For small models."""
    return Invocation(feats=feats, out=out, seeds=seeds, size="small", settings=settings)


@pytest.fixture(scope="session")
def plan(tiny_feats: Path) -> Callable[..., Plan]:
    def make(*settings: str, tables: Sequence[Table] = (PAIR,), seeds: Sequence[int] = (0,)) -> Plan:
        with open_store(tiny_feats) as store:
            every = (*TINY_SETTINGS, *settings)
            return plan_grid(store, asked(Path("out"), tiny_feats, settings=every, seeds=tuple(seeds)), tables)

    return make


def labels_of_test(feats: Path) -> str:
    """Of the store as it is."""
    with open_store(feats) as store:
        return label_digest(store, store.indices("test"))


def new_work(folder: Path, feats: Path) -> Work:
    places = Places(devices=("cpu", "cpu"), threads=1)
    made = Work(
        asked=asked(folder / "out", feats), splits=("val", "test"), test_labels=labels_of_test(feats), places=places
    )
    made.asked.runs.mkdir(parents=True)
    return made


@pytest.fixture
def work(tiny_feats: Path, tmp_path: Path) -> Work:
    """An empty results folder."""
    return new_work(tmp_path, tiny_feats)


@pytest.fixture(scope="session")
def trained(
    plan: Callable[..., Plan], tiny_feats: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Work, list[str]]:
    """A results folder with both runs finished after one epoch, and what the runner said."""
    work = new_work(tmp_path_factory.mktemp("trained"), tiny_feats)
    lines: list[str] = []
    runner = Runner(work, lines.append, threading.Event())
    runner.train(plan("epochs=1").distinct)
    assert not runner.failures
    return work, lines


@pytest.fixture
def finished(trained: tuple[Work, list[str]], work: Work) -> Work:
    """A copy of it that a test may change."""
    shutil.copytree(trained[0].asked.out, work.asked.out, dirs_exist_ok=True, symlinks=True)
    return work
