"""A finished evaluation read back from its folder, ``RUN/eval/SPLIT``, without the model.

With it comes the course of the training, from the run folder's ``log.jsonl``, and where the stills of its report come from,
``inputs.json`` beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...data.errors import RunError, StoreError, reason_of
from ...data.foreign.json_reader import JSON_DAMAGE, parse_json, read_json
from ...data.store import FeatureStore
from ...data.whole_files import write_text
from ...train.confidence.calibration import read_calibration
from ...train.config import RunConfig
from ...train.ranking.ranked_system import BAR
from ...train.recall.additions import read_tags
from ...train.run_files import CALIBRATION, LOG, RANKED_CALIBRATION, read_config, write_errors
from ...train.systems.tuned_scalar import Decision, TunedScalar
from ..options import find_evaluation
from .confidence import Confidence, read_confidence
from .evaluation import Cost, Evaluation, evaluate_items
from .predictions import RANKED_BELOW, ItemPrediction, json_line, read_predictions, read_ranked_below
from .run_store import encoder_name, open_run_store

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
        validated = self.config.training.validation_videos
        return open_run_store(self.run, self.config.store, feats, validation_videos=validated)


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
    table = read_tags(run)
    config = read_config(run)
    path = folder / "metrics.json"
    try:
        document: dict[str, Any] = read_json(path, finite=False)
        if len(items) != (counted := document.get("items", len(items))):
            raise ValueError(f"it counts {counted} videos, predictions.jsonl has {len(items):,}")
        evaluation = evaluate_items(
            items,
            table.count_of,
            run=str(run),
            split=split,
            system=config.system,
            decision=_decision(document),
            spellings=table.spelling_of,
            cost=Cost.from_json(document["cost"]) if "cost" in document else None,
            confidence=_confidence(document, items, run),
            options=_options(document),
            below=read_ranked_below(folder / RANKED_BELOW),
            labels=_labels(document),
        )
    except (*JSON_DAMAGE, StopIteration) as error:
        raise RunError(f"{path} cannot be read ({reason_of(error)}); run optsg-eval again") from error
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


def _labels(document: dict[str, Any]) -> str | None:
    labels = document.get("labels")
    if not isinstance(labels, str | None):
        raise ValueError("its labels are no text")
    return labels


def _options(document: dict[str, Any]) -> dict[str, str] | None:
    options = document.get("options")
    if options is None:
        return None
    if not isinstance(options, dict) or not all(isinstance(value, str) for value in options.values()):
        raise ValueError("its options are no texts")
    return options


def _confidence(document: dict[str, Any], items: list[ItemPrediction], run: Path) -> Confidence | None:
    if "confidence" not in document:
        return None
    name = RANKED_CALIBRATION if BAR.name in document else CALIBRATION
    return read_confidence(document["confidence"], items, read_calibration(run, name))


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


@dataclass(frozen=True)
class TrainingHistory:
    """One record per finished epoch, in order.

    A record maps names such as ``train_loss`` and ``val_full_f1`` to numbers; what was not measured in an epoch is
    not in its record.

    Attributes:
        epochs: those records.
        kept: the epoch whose weights were kept; ``None`` where the log does not say.
    """

    epochs: tuple[dict[str, float], ...]
    kept: float | None = None

    def curve(self, name: str) -> list[tuple[float, float]]:
        """(epoch, value) wherever ``name`` was measured."""
        return [(record["epoch"], record[name]) for record in self.epochs if name in record]

    def best_epoch(self, name: str) -> float | None:
        """The epoch whose weights were kept; where the log does not say, the first one with the highest ``name``, if any."""
        if self.kept is not None:
            return self.kept
        points = self.curve(name)
        return max(points, key=lambda point: (point[1], -point[0]))[0] if points else None


def read_training_history(path: Path) -> TrainingHistory:
    """Reads ``log.jsonl``; empty where there is none, since a published run may come without it.

    What training and what validation measured in an epoch become one record. A line that was cut off by a crash is
    passed over.
    """
    if not path.is_file():
        return TrainingHistory(())
    records: dict[float, dict[str, float]] = {}
    kept = None
    with path.open("rb") as file:
        for event in _events(file):
            numbers = _numbers(event)
            if "epoch" in numbers:
                records.setdefault(numbers["epoch"], {}).update(numbers)
                kept = numbers["epoch"] if event.get("best") is True else kept
    return TrainingHistory(tuple(records[epoch] for epoch in sorted(records)), kept)


def _events(lines: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    for line in lines:
        try:
            event = parse_json(line, finite=False)
        except ValueError:
            continue
        if isinstance(event, dict) and event.get("event") in ("epoch", "validation"):
            yield event


LARGEST = 1e100
"""Beyond it a number of a log is damage, and nothing that can be drawn; NaN is not below it either."""


def _numbers(event: dict[str, Any]) -> dict[str, float]:
    return {
        name: float(value)
        for name, value in event.items()
        if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < LARGEST
    }


INPUTS = "inputs.json"


def remember_inputs(folder: Path, inputs: Path | None) -> None:
    """Keeps the folder that was extracted in an evaluation's folder, or that there is none; errors as :func:`write_text`."""
    if inputs is None:
        with write_errors(folder / INPUTS):
            (folder / INPUTS).unlink(missing_ok=True)
    else:
        write_text(folder / INPUTS, [json_line({"inputs": str(inputs.resolve())}), "\n"])


def remembered_inputs(folder: Path) -> Path | None:
    """What :func:`remember_inputs` kept.

    Raises:
        RunError: the file cannot be read.
    """
    path = folder / INPUTS
    if not path.is_file():
        return None
    try:
        return Path(read_json(path, finite=False)["inputs"])
    except JSON_DAMAGE as error:
        raise RunError(
            f"{path} cannot be read ({reason_of(error)}); name the folder again with --inputs DIR"
        ) from error
