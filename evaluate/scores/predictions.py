"""Predicted tags of many videos: running a model over a store's split, and ``predictions.jsonl``.

``ranked_below.jsonl`` beside it has the annotated tags that a run ranks too low: not predicted, but among its candidates.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ...data.batching import Batch, collate, reading_ahead, sequential_batches
from ...data.errors import RunError, reason_of
from ...data.foreign.json_reader import JSON_DAMAGE, check_is_file, parse_json
from ...data.predicted_tag import PredictedTag
from ...data.store import FeatureStore
from ...data.tags import tag_key
from ...data.whole_files import json_text, write_text
from ...train.confidence.rated_tags import MOST_CANDIDATES


class Predictor(Protocol):
    """What prediction needs of a run."""

    def predict(self, batch: Batch) -> list[list[PredictedTag]]:
        """The tags of every video of the batch, best score first."""
        ...


@dataclass(frozen=True, kw_only=True)
class ItemPrediction:
    """One video with its true and its predicted tags.

    Attributes:
        id, title: as in the feature store.
        true: the annotated tags in their own spelling.
        tags: the predicted tags, best score first.
    """

    id: str
    title: str
    true: tuple[str, ...]
    tags: tuple[PredictedTag, ...]

    def to_json(self) -> str:
        """One line of ``predictions.jsonl``."""
        return json_line({"id": self.id, "title": self.title, "true": self.true, "tags": tag_rows(self.tags)})


def json_line(document: object) -> str:
    """JSON that people can read in any script; only lone surrogates, which UTF-8 cannot hold, are escaped."""
    return json_text(document, allow_nan=False)


def tag_rows(tags: Iterable[PredictedTag]) -> list[dict[str, Any]]:
    """Predicted tags as they stand in JSON: ``{"tag", "score", "novel", "prompt"}``; no prompt is ``null``.

    A pinned tag also has ``"pinned": true``, one with another name than the model wrote ``"written"``, and one that took
    the place of a tag that is not allowed ``"distance"``.
    """
    return [_tag_row(tag) for tag in tags]


def _tag_row(tag: PredictedTag) -> dict[str, Any]:
    row: dict[str, Any] = {"tag": tag.text, "score": tag.score, "novel": tag.novel, "prompt": tag.prompt}
    if tag.pinned:
        row["pinned"] = True
    if tag.written is not None:
        row["written"] = tag.written
    if tag.distance is not None:
        row["distance"] = tag.distance
    return row


TAG_FIELDS: dict[str, tuple[type, ...]] = {
    "tag": (str,),
    "score": (int, float),
    "novel": (bool,),
    "prompt": (int, type(None)),
    "pinned": (bool, type(None)),
    "written": (str, type(None)),
    "distance": (int, float, type(None)),
}
"""Of a tag in JSON."""


NEEDED_FIELDS = ("tag", "score", "novel")


def check_tag_rows(tags: Any) -> None:
    """Whether they are what :func:`tag_rows` gives, out of a file that anybody may have changed.

    Raises:
        ValueError: they are something else.
        KeyError: a tag lacks something.
    """
    if not isinstance(tags, list) or not all(isinstance(tag, dict) for tag in tags):
        raise ValueError("its tags are no list of objects")
    for tag in tags:
        for name, kinds in TAG_FIELDS.items():
            value = tag[name] if name in NEEDED_FIELDS else tag.get(name)
            if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
                raise ValueError(f"the {name} of a tag is {str(value)[:40]!r}")


def _text(row: Mapping[str, Any], name: str) -> str:
    value = row[name]
    if not isinstance(value, str):
        raise ValueError(f"the {name} is {str(value)[:40]!r}")
    return value


def _texts(row: Mapping[str, Any], name: str) -> tuple[str, ...]:
    values = row[name]
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise ValueError(f"{name} is no list of texts")
    return tuple(values)


def predict_rows(
    predictor: Predictor,
    store: FeatureStore,
    rows: NDArray[np.int64],
    *,
    batch_size: int,
    on_batch: Callable[[int], None] = lambda _: None,
) -> list[ItemPrediction]:
    """Predicts the tags of the store's videos ``rows``, in that order.

    Args:
        predictor: the trained run.
        store: features that fit the run.
        rows: row numbers, as :meth:`FeatureStore.indices` gives them.
        batch_size: videos at a time.
        on_batch: told the number of videos after every batch.
    """
    items: list[ItemPrediction] = []
    for numbers in reading_ahead(store, list(sequential_batches(rows, batch_size))):
        predicted = predictor.predict(collate(store, numbers))
        items += [_item(store, int(row), tags) for row, tags in zip(numbers, predicted, strict=True)]
        on_batch(len(numbers))
    return items


def _item(store: FeatureStore, row: int, tags: Sequence[PredictedTag]) -> ItemPrediction:
    true = tuple(store.tag_spellings[tag] for tag in store.tags(row))
    return ItemPrediction(id=store.id(row), title=store.title(row), true=true, tags=tuple(tags))


def write_predictions(path: Path, items: Iterable[ItemPrediction]) -> None:
    """Writes ``predictions.jsonl``, one video a line; errors as :func:`write_text`."""
    write_text(path, (item.to_json() + "\n" for item in items))


def read_predictions(path: Path) -> list[ItemPrediction]:
    """Reads what :func:`write_predictions` wrote.

    Raises:
        RunError: the file is missing, a line is not a prediction, or a video has two.
    """
    items: list[ItemPrediction] = []
    line_of: dict[str, int] = {}
    try:
        check_is_file(path)
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                item = _parse_line(line, f"{path}, line {number}")
                if (before := line_of.setdefault(item.id, number)) != number:
                    raise RunError(
                        f"{path}, line {number}: {item.id!r} is in line {before} already; run optsg-eval again"
                    )
                items.append(item)
    except OSError as error:
        raise RunError(f"{path} cannot be read: {error.strerror}; make it with optsg-eval") from error
    return items


def _parse_line(line: bytes, place: str) -> ItemPrediction:
    try:
        row = parse_json(line)
        check_tag_rows(row["tags"])
        tags = tuple(
            PredictedTag(
                text=tag["tag"],
                score=tag["score"],
                novel=tag["novel"],
                prompt=tag["prompt"],
                pinned=tag.get("pinned") or False,
                written=tag.get("written"),
                distance=tag.get("distance"),
            )
            for tag in row["tags"]
        )
        return ItemPrediction(id=_text(row, "id"), title=_text(row, "title"), true=_texts(row, "true"), tags=tags)
    except JSON_DAMAGE as error:
        raise RunError(
            f"{place} is not a prediction ({reason_of(error)}); expected the fields id, title, true and tags: run optsg-eval again"
        ) from error


RANKED_BELOW = "ranked_below.jsonl"


def ranked_below(items: Sequence[ItemPrediction], candidates: Sequence[ItemPrediction]) -> dict[str, tuple[str, ...]]:
    """By video id, the annotated tags among the best candidates that are not among the predicted tags.

    Args:
        items: the predictions.
        candidates: of the same videos, everything that the run can be brought to give.
    """
    found = {}
    for item, all_tags in zip(items, candidates, strict=True):
        within_reach = {tag_key(tag.text) for tag in all_tags.tags[:MOST_CANDIDATES]}
        missed = within_reach - {tag_key(tag.text) for tag in item.tags}
        found[item.id] = tuple(tag for tag in item.true if tag_key(tag) in missed)
    return found


def write_ranked_below(path: Path, below: Mapping[str, Sequence[str]]) -> None:
    """Writes one line per video; errors as :func:`write_text`."""
    write_text(path, (json_line({"id": video, "tags": tags}) + "\n" for video, tags in below.items()))


def read_ranked_below(path: Path) -> dict[str, tuple[str, ...]] | None:
    """Reads what :func:`write_ranked_below` wrote; ``None`` where there is no such file.

    Raises:
        RunError: the file cannot be read.
    """
    if not path.is_file():
        return None
    try:
        with path.open(encoding="utf-8", newline="\n") as file:
            rows = [parse_json(line) for line in file]
        return {_text(row, "id"): _texts(row, "tags") for row in rows}
    except JSON_DAMAGE as error:
        raise RunError(f"{path} cannot be read ({reason_of(error)}); run optsg-eval again") from error
