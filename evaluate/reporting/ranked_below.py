"""Annotated tags that a run ranks too low: not predicted, but among its candidates. ``ranked_below.jsonl``."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from ...data.errors import RunError
from ...data.tags import tag_key
from ...data.whole_files import write_text
from ...train.confidence.rated_tags import MOST_CANDIDATES
from ..prediction import ItemPrediction, json_line

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
            rows = [json.loads(line) for line in file]
        return {row["id"]: tuple(row["tags"]) for row in rows}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(f"{path} cannot be read ({error}); run optsg-eval again") from error
