"""A finished evaluation read back from its folder, ``RUN/eval/SPLIT``, without the model."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...data.errors import ConfigError, RunError, StoreError
from ...data.store import FeatureStore
from ...data.tag_table import TagTable
from ...train.confidence.calibration import read_calibration
from ...train.config import RunConfig
from ...train.run_files import CONFIG, LOG, TAG_TABLE
from ...train.systems.tuned_scalar import Decision, TunedScalar
from ..confidence import Confidence, read_confidence
from ..evaluation import Cost, Evaluation, evaluate_items
from ..find_evaluation import find_evaluation
from ..prediction import ItemPrediction, read_predictions
from ..run_store import encoder_name, open_run_store
from ..training_history import TrainingHistory, read_training_history
from .ranked_below import RANKED_BELOW, read_ranked_below

NO_DECISION = frozenset({"items", "tags_per_item"})
"""Numbers of ``metrics.json`` that are no tuned scalar."""


@dataclass(frozen=True, kw_only=True)
class SavedEvaluation:
    """What an evaluation left behind.

    Attributes:
        run: the run folder; folder: where the evaluation's files are.
        config: of the run.
        history: course of the training; may be empty.
    """

    run: Path
    folder: Path
    evaluation: Evaluation
    config: RunConfig
    history: TrainingHistory

    def facts(self, store: FeatureStore | None) -> list[tuple[str, str]]:
        """What was evaluated, as name and value for people."""
        evaluation, header = self.evaluation, self.config.store["header"]
        label = evaluation.decision.scalar.label
        tags = f"{len(evaluation.train_counts):,} tags"
        facts = [
            ("Run folder", str(self.run.resolve())),
            ("System", f"{self.config.system}, size {self.config.size}"),
            ("Training", f"{len(self.history.epochs)} epochs, {tags}" if self.history.epochs else tags),
            (label[:1].upper() + label[1:], f"{evaluation.decision.value:g}"),
            ("Feature store", str(store.path.resolve() if store is not None else self.config.store["path"])),
            ("Image encoder", encoder_name(header["image_encoder"])),
            ("Text encoder", encoder_name(header["text_encoder"])),
            *((f"Option: {name.lower()}", value) for name, value in evaluation.options.items()),
        ]
        if evaluation.cost is not None:
            facts.insert(2, ("Trained parameters", f"{evaluation.cost.trained_parameters / 1e6:.1f} M"))
        return facts

    def open_store(self, feats: Path | None) -> FeatureStore:
        """The store that it was made from, for pictures and embeddings; errors as :func:`open_run_store`."""
        return open_run_store(self.config.store, feats)


def read_saved(run: Path, split: str) -> SavedEvaluation:
    """Reads ``run/eval/split``.

    Args:
        split: name of the folder in ``eval``: a split, or what ``optsg-eval`` named it after its options.

    Raises:
        RunError: the run was not evaluated so, or a file of it cannot be read.
    """
    folder = find_evaluation(run, split)
    items = read_predictions(folder / "predictions.jsonl")
    if not items:
        raise RunError(f"{folder / 'predictions.jsonl'} holds no videos; run optsg-eval again")
    table = TagTable.load(run / TAG_TABLE)
    try:
        config = RunConfig.from_json((run / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ConfigError) as error:
        raise RunError(f"{run / CONFIG} cannot be read: {error}") from error
    path = folder / "metrics.json"
    try:
        document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        evaluation = evaluate_items(
            items,
            table.count_of,
            run=str(run),
            split=split,
            system=config.system,
            decision=_decision(document),
            spellings=table.spelling_of,
            cost=Cost(**document["cost"]) if "cost" in document else None,
            confidence=_confidence(document, items, run),
            options=document.get("options"),
            below=read_ranked_below(folder / RANKED_BELOW),
        )
    except (OSError, ValueError, KeyError, TypeError, StopIteration) as error:
        raise RunError(f"{path} cannot be read ({error}); run optsg-eval again") from error
    history = read_training_history(run / LOG)
    return SavedEvaluation(run=run, folder=folder, evaluation=evaluation, config=config, history=history)


def _decision(document: dict[str, Any]) -> Decision:
    """The tuned scalar: the number of the document's own that is none of the others."""
    name, value = next(
        (name, float(value))
        for name, value in document.items()
        if isinstance(value, int | float) and name not in NO_DECISION
    )
    scalar = TunedScalar(
        name=name, label=name.replace("_", " "), untuned=value, candidates=(value,), during_training=(value,)
    )
    return Decision(scalar=scalar, value=value)


def _confidence(document: dict[str, Any], items: list[ItemPrediction], run: Path) -> Confidence | None:
    if "confidence" not in document:
        return None
    return read_confidence(document["confidence"], items, read_calibration(run))


def open_pictures(saved: SavedEvaluation, feats: Path | None, warn: Callable[[str], None]) -> FeatureStore | None:
    """The evaluation's store; ``None``, told to ``warn``, where it is not to be had and nobody named another.

    Raises:
        StoreError: ``feats`` cannot be used.
    """
    try:
        return saved.open_store(feats)
    except StoreError as error:
        if feats is not None:
            raise
        warn(f"the report has no pictures: {error}")
        return None


def thumbnails(store: FeatureStore | None) -> Callable[[str], bytes]:
    """The JPEG of a video by its id; ``b""`` where there is none."""
    if store is None:
        return lambda _: b""
    row_of = {video: row for row, video in enumerate(store.ids())}
    return lambda video: store.thumbnail(row_of[video]) if video in row_of else b""
