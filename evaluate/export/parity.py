"""What an export is worth: how far its numbers are from the run's, and its tags from the annotated ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ...data.batching import Batch, collate, reading_ahead, sequential_batches
from ...data.errors import RunError
from ...data.metrics import Scores, score_predictions
from ...data.store import FeatureStore
from ...data.tags import tag_key
from ...train.ranking.ranked_system import RankedSystem
from ..scores.predictions import Predictor
from .encoder_graph import EncoderGraph
from .graph_inputs import TitleTexts, graph_inputs
from .onnx_files import OnnxGraph
from .ranker_graph import RankerGraph

BATCH = 32
"""Videos at a time."""

SOURCE = "source "
"""What stands before a source's name where its difference is told: outputs have such names too."""

MOST_DIFFERENCE = 1e-3
"""Of scores, which lie in [0, 1], and of all else relative to its largest value; beyond it the export is refused."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Metrics of the same videos by the run and by its export."""

    videos: int
    run: Scores
    exported: Scores


class ExportedGraphs:
    """Both files with what their inputs are made by.

    Args:
        patches: whether the run reads images too.
    """

    def __init__(self, encoder: OnnxGraph, ranker: OnnxGraph, texts: TitleTexts, *, patches: bool):
        self.encoder, self.ranker, self._texts, self._patches = encoder, ranker, texts, patches

    def run(self, batch: Batch) -> dict[str, NDArray[Any]]:
        """All outputs of both by name."""
        found = self.encoder.run(graph_inputs(batch, self._texts, patches=self._patches))
        return {**found, **self.ranker.run({"sources": torch.from_numpy(found["sources"])})}


def batches_of(store: FeatureStore, rows: NDArray[np.int64]) -> Iterator[tuple[NDArray[np.int64], Batch]]:
    """Some videos of a store, :data:`BATCH` at a time."""
    for numbers in reading_ahead(store, list(sequential_batches(rows, BATCH))):
        yield numbers, collate(store, numbers)


@torch.no_grad()
def greatest_differences(
    graphs: ExportedGraphs, encoder: EncoderGraph, ranker: RankerGraph, system: RankedSystem, batch: Batch
) -> dict[str, float]:
    """By output, ``sources`` by source, the greatest difference from what the run itself computes in PyTorch.

    Raises:
        RunError: one is beyond :data:`MOST_DIFFERENCE`.
    """
    found, model = graphs.run(batch), encoder.model
    features, mask = model.encode(batch)
    assert model.tag_head is not None
    expected = {
        "features": features,
        "prompts": model.order_prompts(features, mask),
        "logits": model.tag_head.score(features, mask),
        "scores": ranker(torch.from_numpy(found["sources"]))[0],
    }
    differences = {name: _difference(found[name], values.numpy()) for name, values in expected.items()}
    sources = system.sources
    said = system.plain.recall(batch, sources.directions).scores
    said = {**sources.score(sources.summarizer.summarize(batch)), **said}
    for place, name in enumerate(encoder.source_names):
        differences[f"{SOURCE}{name}"] = _difference(found["sources"][:, place], said[name])
    worst = max(differences, key=lambda name: differences[name])
    if not differences[worst] <= MOST_DIFFERENCE:
        raise RunError(
            f"the export differs from PyTorch by {differences[worst]:.1e} ({worst}), more than {MOST_DIFFERENCE:g}; "
            "nothing was written"
        )
    return differences


def _difference(found: NDArray[Any], expected: NDArray[Any]) -> float:
    largest = max(1.0, float(np.abs(expected).max(initial=0)))
    return float(np.abs(found - expected).max(initial=0)) / largest


def compare(
    graphs: ExportedGraphs,
    predictor: Predictor,
    store: FeatureStore,
    rows: NDArray[np.int64],
    keys: Sequence[str],
    train_counts: Mapping[str, int],
) -> Comparison:
    """Scores the run and its export on some videos of a store.

    Args:
        keys: of the training tags, in the order of the table.
        train_counts: their occurrences.
    """
    by_run: list[list[str]] = []
    by_export: list[list[str]] = []
    for _, batch in batches_of(store, rows):
        by_run += [[tag_key(tag.text) for tag in tags] for tags in predictor.predict(batch)]
        by_export += [
            [keys[column] for column in np.flatnonzero(given).tolist()] for given in graphs.run(batch)["given"]
        ]
    true = [[store.tag_keys[tag] for tag in store.tags(int(row))] for row in rows]
    run, exported = (score_predictions(true, found, train_counts) for found in (by_run, by_export))
    return Comparison(videos=len(rows), run=run, exported=exported)
