"""Evidence of the sample videos' tags: computed, kept in ``evidence.jsonl`` and read back."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from ...data.batching import collate, sequential_batches
from ...data.errors import RunError
from ...data.store import FeatureStore
from ...data.tags import tag_key
from ...data.whole_files import write_text
from ...train.evidence import explain
from ...train.run.run import Run
from ..prediction import ItemPrediction, json_line
from ..tag_evidence import Evidence, evidence_for_people

EVIDENCE = "evidence.jsonl"
VIDEOS_AT_ONCE = 8
"""Gradients of a batch are kept for each of its tags."""

EvidenceOf = Mapping[str, Mapping[str, Evidence]]
"""By video id and tag key."""


def explain_items(run: Run, store: FeatureStore, items: Sequence[ItemPrediction]) -> EvidenceOf:
    """Evidence of every predicted tag of some videos of a store; a replaced tag has that of the tag that was written."""
    row_of = {video: row for row, video in enumerate(store.ids())}
    item_at = {row_of[item.id]: item for item in items}
    found: dict[str, dict[str, Evidence]] = {}
    for rows in sequential_batches(np.array(sorted(item_at), np.int64), VIDEOS_AT_ONCE):
        videos = [item_at[int(row)] for row in rows]
        written = [[replace(tag, text=tag.written or tag.text) for tag in item.tags] for item in videos]
        explained = explain(run.system, collate(store, rows).to(run.device), written)
        for row, item, evidence in zip(rows, videos, explained, strict=True):
            times = store.times(int(row)).tolist()
            found[item.id] = {
                tag_key(tag.text): evidence_for_people(each, times=times, title=item.title, tokenizer=run.tokenizer)
                for tag, each in zip(item.tags, evidence, strict=True)
            }
    return found


def write_evidence(path: Path, evidence: EvidenceOf) -> None:
    """Writes one line per video: ``{"id", "tags": {key: {"frames", "words"}}}``; errors as :func:`write_text`."""
    lines = (
        json_line({"id": video, "tags": {key: each.to_json() for key, each in tags.items()}}) + "\n"
        for video, tags in evidence.items()
    )
    write_text(path, lines)


def read_evidence(path: Path) -> EvidenceOf:
    """Reads what :func:`write_evidence` wrote; empty where there is no such file.

    Raises:
        RunError: the file cannot be read.
    """
    if not path.is_file():
        return {}
    try:
        with path.open(encoding="utf-8", newline="\n") as file:
            rows = [json.loads(line) for line in file]
        return {
            row["id"]: {
                key: Evidence(
                    frames=tuple((float(second), float(share)) for second, share in each["frames"]),
                    words=tuple((str(word), float(share)) for word, share in each["words"]),
                )
                for key, each in row["tags"].items()
            }
            for row in rows
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RunError(f"{path} cannot be read ({error}); run optsg-eval --evidence again") from error
