"""The names and shapes of every system's weights: runs that were trained before are opened by them."""

from __future__ import annotations

from pathlib import Path

import pytest
from optsg.data.store import open_store
from optsg.train.system_names import FITTED_SYSTEMS, SYSTEM_NAMES
from optsg.train.systems.op_tsg import PAPER_SETTINGS

from tests.golden.files import golden_json
from tests.train.command import started

SETTINGS: tuple[tuple[str, ...], ...] = (
    PAPER_SETTINGS,
    *((f"prompt_entry={entry}", *PAPER_SETTINGS) for entry in ("slot", "prefix", "prefix+slot", "memory")),
    *((f"modality={modality}", *PAPER_SETTINGS) for modality in ("video", "title")),
    *((f"modality={modality}",) for modality in ("video", "title")),
    ("decoding=sequential",),
    ("copy_title=false",),
    ("tag_head=false",),
    ("decoding=parallel", "copy_title=false", "tag_head=false"),
    ("vocabulary=full",),
    ("frozen_title_layers=-1",),
    ("hybrid_layers=0",),
    ("hybrid_layers=2", "prompt_layers=2", "decoder_layers=2", "prompts=5"),
)
"""Settings of ``op-tsg`` that change its model, beside its defaults."""
VARIANTS = (
    *((system,) for system in SYSTEM_NAMES if system not in FITTED_SYSTEMS),
    *(("op-tsg", *settings) for settings in SETTINGS),
    *((system, f"modality={modality}") for system in ("bin", "open-book") for modality in ("video", "title")),
)


@pytest.mark.parametrize("variant", VARIANTS, ids=" ".join)
def test_the_weights_have_the_names_and_shapes_that_they_had(old: Path, variant: tuple[str, ...]) -> None:
    feats = old / "feats.h5"
    with open_store(feats) as store:
        state = started(feats, store, *variant).model.state_dict()
    found = {name: list(weight.shape) for name, weight in sorted(state.items())}
    assert found == golden_json("state_dict_names.json", " ".join(variant), found)
