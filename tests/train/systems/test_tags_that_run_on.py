"""A tag that has not ended at the longest length is dropped, whichever system writes it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from optsg.data.batching import collate
from optsg.data.store import FeatureStore
from optsg.data.tag_table import TagTable
from optsg.data.word_pieces import MARKS, TitleTokenizer
from optsg.train.config import RunConfig
from optsg.train.run.plan import RunRequest, new_run
from optsg.train.systems.registry import SYSTEMS, open_system, start_system
from optsg.train.systems.writers.full_writer import FrequencyFirstFull
from optsg.train.writing import greedy

from tests.tiny_world import TINY_SETTINGS, tiny_videos, write_tiny_store

WRITING = sorted(name for name, system in SYSTEMS.items() if system.writes)
SEQUENTIAL = ("decoding=sequential", "copy_title=false", "tag_head=false")


@pytest.fixture(scope="module")
def feats(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_store(tmp_path_factory.mktemp("store") / "tiny.h5", tiny_videos(40))


@pytest.mark.parametrize("name", WRITING)
def test_a_tag_that_runs_on_does_not_come_out(
    feats: Path, store: FeatureStore, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = (*TINY_SETTINGS, *(SEQUENTIAL if name == "op-tsg" else ()))
    run = new_run(RunRequest(feats=feats, system=name, size="small", settings=settings, seed=3, device="cpu"))
    config = RunConfig.from_json((run / "config.json").read_text())
    table, tokenizer = TagTable.from_store(store), TitleTokenizer.from_json(store.tokenizer_json)
    if name == "learnable-tag-embeddings":  # starts with the text model of its tags alone, and writes without it
        system = open_system(config, table, tokenizer)
    else:
        system = start_system(store, config, table, tokenizer)
    system.model.eval()
    with torch.no_grad():  # one piece for ever
        system.model.decoder.output_bias[MARKS + 3] = 1e4  # type: ignore[union-attr, operator]
        if isinstance(system, FrequencyFirstFull):  # nothing but what is written
            system.model.tag_head.bias.fill_(-1e4)
    batch = collate(store, np.arange(3))
    assert system.predict(batch, system.permissive) == [[], [], []]
    monkeypatch.setattr(greedy, "drop_unfinished", lambda written: written)
    assert all(system.predict(batch, system.permissive)), "else nothing has been dropped"
