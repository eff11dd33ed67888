"""One run of a system without a network, from a run folder to a finished run: no steps, no epochs, no states.

It takes seconds, so an interrupted one is simply fitted again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from pathlib import Path

from ...data.errors import StoreError
from ...data.store import FeatureStore
from ...data.tag_table import TagTable
from ...data.word_pieces import TitleTokenizer
from ..config import RunConfig
from ..run_files import save_weights
from ..systems.registry import start_system
from ..systems.system import System
from .finish_run import finish_run
from .log import TrainingLog
from .processes import Processes
from .saved_states import TrainingProgress, finish_state
from .validation import Validator

BATCH = 256
"""Validation videos at a time."""


def fit_run(
    store: FeatureStore,
    run: Path,
    config: RunConfig,
    tag_table: TagTable,
    tokenizer: TitleTokenizer,
    processes: Processes,
    *,
    announce: Callable[[str], None],
    allow_systems: Collection[str] = (),
) -> float:
    """Fits the run's system, tunes it on validation and writes everything that a finished run has.

    Args:
        run: the run folder; it holds the configuration already.
        processes: the main one does it all, the others wait.
        announce: called with one line for people where something is missing.
        allow_systems: classes, ``MODULE:CLASS``, that the system may be.

    Returns:
        Seconds that it took.

    Raises:
        StoreError: the store's text model cannot be used.
        RunError: a file cannot be written.
        MainProcessFailed: in the other processes, where the main one raised something.
    """

    def fit() -> float:
        started = time.monotonic()
        alone = Processes.alone(processes.device)
        system = start_system(store, config, tag_table, tokenizer, allow_systems)
        save_weights(run, {})
        finish_run(run, system, store, _open_validator(store, system, alone, announce), alone)
        seconds = time.monotonic() - started
        _close(run, seconds)
        return seconds

    return processes.by_main(fit)


def _open_validator(
    store: FeatureStore, system: System, alone: Processes, announce: Callable[[str], None]
) -> Validator | None:
    try:
        rows = store.indices("val")
    except StoreError:
        scalar = system.scalar
        announce(f"the store has no validation split: the {scalar.label} stays {scalar.untuned:g}")
        return None
    return Validator(store, rows, system, BATCH, alone)


def _close(run: Path, seconds: float) -> None:
    log = TrainingLog(run, keep_epochs=0)
    log.write("finished", 0, seconds=round(seconds, 3))
    log.close()
    finish_state(run, TrainingProgress(trained=True, seconds=seconds))
