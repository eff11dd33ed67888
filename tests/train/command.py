"""``optsg-train`` in this process, and systems as it starts them."""

from __future__ import annotations

from pathlib import Path

import torch
from click.testing import CliRunner, Result
from optsg.data.store import FeatureStore
from optsg.data.tag_table import TagTable
from optsg.data.word_pieces import TitleTokenizer
from optsg.train.cli import main
from optsg.train.config import RunConfig
from optsg.train.run.plan import RunRequest, new_run
from optsg.train.systems.registry import start_system
from optsg.train.systems.system import System

from tests.tiny_world import TINY_SETTINGS


def train(*arguments: str | Path) -> Result:
    """Runs the command on the CPU."""
    return CliRunner().invoke(main, [*map(str, arguments), "--device", "cpu"])


def started(feats: Path, store: FeatureStore, name: str, *settings: str, seed: int = 3) -> System:
    """A system as training begins with it, ready for its loss."""
    chosen = [*TINY_SETTINGS, *settings]
    run = new_run(RunRequest(feats=feats, system=name, size="small", settings=chosen, seed=seed, device="cpu"))
    config = RunConfig.from_json((run / "config.json").read_text())
    system = start_system(store, config, TagTable.from_store(store), TitleTokenizer.from_json(store.tokenizer_json))
    system.prepare(store, torch.device("cpu"))
    return system
