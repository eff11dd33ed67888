"""The result of an evaluation: predictions of a split with their scores, and ``metrics.json``."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ... import __version__
from ...data.foreign.json_reader import number_of
from ...data.metrics import Scores, TagScore, per_tag_scores, score_predictions
from ...data.tags import tag_key
from ...data.whole_files import write_text
from ...train.systems.tuned_scalar import Decision
from .confidence import Confidence
from .predictions import ItemPrediction


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What the predictions cost.

    Attributes:
        seconds: wall time of prediction alone, reading of features included.
        tags_per_second: predicted tags.
        device: its name, for people; threads: of PyTorch on the CPU.
        trained_parameters: of the model.
    """

    seconds: float
    tags_per_second: float
    device: str
    threads: int
    trained_parameters: int

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Cost:
        """Raises KeyError, TypeError or ValueError for anything but what ``metrics.json`` has of it."""
        cost = cls(**values)
        for number in (cost.seconds, cost.tags_per_second, cost.threads, cost.trained_parameters):
            number_of(number)
        return cost


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Predictions of one split by one run, scored.

    Attributes:
        run: name of the run folder, for people.
        split: the split that was predicted.
        system: which system made the predictions.
        decision: the tuned scalar that they were made with.
        items: every video with its true and predicted tags.
        scores: all metrics.
        per_tag: scores of every tag that occurs in training and in the split, most frequent in training first.
        spellings: how a tag key is written for people.
        train_counts: training occurrences of every tag key.
        cost: what the predictions cost, where it was measured.
        confidence: what the scores are worth.
        options: how tags were predicted otherwise than the run was tuned, as name and value.
        below: by video id, the annotated tags that are not predicted but would be if more tags were; ``None`` where nobody
            looked.
        labels: digest of the videos' titles and tags (:func:`optsg.data.store.digests.label_digest`), where it was written.
    """

    run: str
    split: str
    system: str
    decision: Decision
    items: Sequence[ItemPrediction]
    scores: Scores
    per_tag: Sequence[TagScore]
    spellings: Mapping[str, str]
    train_counts: Mapping[str, int]
    cost: Cost | None = None
    confidence: Confidence | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    below: Mapping[str, Sequence[str]] | None = None
    labels: str | None = None

    @property
    def tags_per_item(self) -> float:
        """Mean number of predicted tags."""
        return sum(len(item.tags) for item in self.items) / max(len(self.items), 1)

    @property
    def true_tags_per_item(self) -> float:
        """Mean number of annotated tags."""
        return sum(len(item.true) for item in self.items) / max(len(self.items), 1)

    def metrics(self) -> dict[str, Any]:
        """The document of ``metrics.json``; all rates in [0, 1]."""
        return {
            **self.scores,
            "items": len(self.items),
            "split": self.split,
            "run": self.run,
            "tags_per_item": self.tags_per_item,
            "system": self.system,
            self.decision.scalar.name: self.decision.value,
            "optsg_version": __version__,
            **({} if self.labels is None else {"labels": self.labels}),
            **({} if self.cost is None else {"cost": asdict(self.cost)}),
            **({"options": dict(self.options)} if self.options else {}),
            **({} if self.confidence is None else {"confidence": self.confidence.document()}),
        }


def evaluate_items(
    items: Sequence[ItemPrediction],
    train_counts: Mapping[str, int],
    *,
    run: str,
    split: str,
    system: str,
    decision: Decision,
    spellings: Mapping[str, str],
    cost: Cost | None = None,
    confidence: Confidence | None = None,
    options: Mapping[str, str] | None = None,
    below: Mapping[str, Sequence[str]] | None = None,
    labels: str | None = None,
) -> Evaluation:
    """Scores predictions against the annotated tags.

    Args:
        items: the videos of one split.
        train_counts: training occurrences of every tag key.
        run: as in :class:`Evaluation`, and so are all others.
    """
    true = [[tag_key(tag) for tag in item.true] for item in items]
    predicted = [[tag_key(tag.text) for tag in item.tags] for item in items]
    return Evaluation(
        run=run,
        split=split,
        system=system,
        decision=decision,
        items=items,
        scores=score_predictions(true, predicted, train_counts),
        per_tag=per_tag_scores(true, predicted, train_counts),
        spellings=spellings,
        train_counts=train_counts,
        cost=cost,
        confidence=confidence,
        options=options or {},
        below=below,
        labels=labels,
    )


def write_metrics(path: Path, evaluation: Evaluation) -> None:
    """Writes ``metrics.json``; errors as :func:`write_text`."""
    write_text(path, [json.dumps(evaluation.metrics(), indent=2, allow_nan=False), "\n"])
