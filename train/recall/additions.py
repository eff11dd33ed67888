"""Examples and tags that a run was given after training, in a file of their own beside what training left.

They come in rounds, each described relative to what was there before it, so that the last one can be taken back. An example
whose video was remembered already takes that one's place. Legend: A examples, K training tags, N further tags, W width of
a summary, E width of the text model.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from scipy.sparse import csr_array
from torch import Tensor

from ...data.errors import RunError, reason_of
from ...data.foreign.json_reader import JSON_DAMAGE, parse_json
from ...data.tag_table import TagRow, TagTable
from ...data.whole_files import json_text
from ..run_files import ADDITIONS, TAG_TABLE, load_tensors, save_tensors
from .source import Floats
from .tag_rows import row_tensors, rows_of_tensors, tag_rows

KEY = "additions"
"""Of the texts in the file's header."""


@dataclass(frozen=True, kw_only=True)
class Round:
    """What was added at once.

    Attributes:
        videos, tags: how many, of the tags those that were new.
        source: the store that they came from, as it was named.
    """

    videos: int
    tags: int
    source: str


@dataclass(frozen=True, kw_only=True)
class Additions:
    """All that a run was given.

    Attributes:
        rounds: in order.
        ids: of the A examples' videos, in order; a video that was given twice stands here twice.
        rows: the N further tags.
        embeddings: (N, E) of these.
        vectors: (A, W) summaries.
        tags, had: (A, K + N) 1 where the example has the tag, and where its video had it before.
        fresh: (A,) whether the video was not remembered before.
    """

    rounds: tuple[Round, ...]
    ids: tuple[str, ...]
    rows: tuple[TagRow, ...]
    embeddings: NDArray[np.float32]
    vectors: Floats
    tags: csr_array
    had: csr_array
    fresh: NDArray[np.bool_]

    @classmethod
    def none(cls, tags: int, width: int, text_width: int) -> Additions:
        """Nothing yet, of a run with K tags."""
        empty = csr_array(np.empty((0, tags), np.float32))
        return cls(
            rounds=(),
            ids=(),
            rows=(),
            embeddings=np.empty((0, text_width), np.float32),
            vectors=np.empty((0, width), np.float32),
            tags=empty,
            had=empty,
            fresh=np.empty(0, np.bool_),
        )

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def latest(self) -> NDArray[np.int64]:
        """The examples that count: the last of each video."""
        return np.array(sorted({name: place for place, name in enumerate(self.ids)}.values()), np.int64)

    def extended(self, table: TagTable) -> TagTable:
        """The run's tags and the further ones behind them, the counts those of all examples.

        Raises:
            ValueError: it is not the table that they were added to.
        """
        if self.tags.shape[1] != len(table) + len(self.rows):
            raise ValueError("they were added to a run of other tags")
        if not table.count_of.keys().isdisjoint(row.key for row in self.rows):
            raise ValueError("a tag that they add is there already")
        counts = np.pad(table.counts, (0, len(self.rows)))
        change = self.tags.sum(0) - self.had.sum(0)
        return table.with_tags(self.rows, np.maximum(counts + change.astype(np.int64), 0))

    def with_round(
        self,
        source: str,
        ids: Sequence[str],
        vectors: Floats,
        tags: Sequence[Sequence[int]],
        had: Sequence[Sequence[int] | None],
        rows: Sequence[TagRow],
        embeddings: NDArray[np.float32],
    ) -> Additions:
        """With one more round.

        Args:
            source: the store that it comes from.
            ids: of the videos.
            vectors: (videos, W) summaries.
            tags: the columns of every video's tags, ``rows`` behind all others.
            had: likewise of its tags before, ``None`` for a video that is not remembered.
            rows, embeddings: further tags.
        """
        width = self.tags.shape[1] + len(rows)
        return Additions(
            rounds=(*self.rounds, Round(videos=len(ids), tags=len(rows), source=source)),
            ids=(*self.ids, *ids),
            rows=(*self.rows, *rows),
            embeddings=np.concatenate([self.embeddings, _rounded(embeddings)]),
            vectors=np.concatenate([self.vectors, _rounded(vectors)]),
            tags=_joined(self.tags, tags, width),
            had=_joined(self.had, [columns or () for columns in had], width),
            fresh=np.concatenate([self.fresh, [columns is None for columns in had]]).astype(np.bool_),
        )

    def without_last_round(self) -> Additions:
        """As they were before the last round."""
        *rounds, last = self.rounds
        videos, rows = len(self) - last.videos, len(self.rows) - last.tags
        width = self.tags.shape[1] - last.tags
        return replace(
            self,
            rounds=tuple(rounds),
            ids=self.ids[:videos],
            rows=self.rows[:rows],
            embeddings=self.embeddings[:rows],
            vectors=self.vectors[:videos],
            tags=csr_array(self.tags[:videos, :width]),
            had=csr_array(self.had[:videos, :width]),
            fresh=self.fresh[:videos],
        )

    def save(self, run: Path) -> None:
        """Writes them into a run folder; where there are none, there is no file.

        Raises:
            RunError: they cannot be written; those that were there before are kept.
        """
        path = run / ADDITIONS
        if not self.rounds:
            path.unlink(missing_ok=True)
            return
        texts = {
            "columns": self.tags.shape[1],
            "rounds": [vars(each) for each in self.rounds],
            "ids": self.ids,
            "tags": [row._asdict() for row in self.rows],
        }
        save_tensors(path, self._tensors(), metadata={KEY: json_text(texts)})

    def _tensors(self) -> dict[str, Tensor]:
        tensors = {
            "vectors": torch.from_numpy(self.vectors).half(),
            "embeddings": torch.from_numpy(self.embeddings).half(),
            "fresh": torch.from_numpy(self.fresh),
        }
        for name, table in (("tags", self.tags), ("had", self.had)):
            tensors[f"{name}.ends"], tensors[f"{name}.columns"] = row_tensors(table)
        return tensors

    @classmethod
    def load(cls, run: Path) -> Additions | None:
        """Reads what :meth:`save` wrote; ``None`` where there is nothing.

        Raises:
            RunError: the file is damaged.
        """
        path = run / ADDITIONS
        if not path.exists():
            return None
        try:
            tensors, texts = load_tensors(path)
            return cls._parsed(parse_json(texts[KEY]), tensors)
        except (SafetensorError, RuntimeError, *JSON_DAMAGE) as error:
            raise RunError(
                f"{path} cannot be read ({reason_of(error)}); without that file the run is as it was trained"
            ) from error

    @classmethod
    def _parsed(cls, texts: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Additions:
        rounds = tuple(Round(**each) for each in texts["rounds"])
        rows, ids = tuple(TagRow.from_json(row) for row in texts["tags"]), tuple(texts["ids"])
        vectors, embeddings = (tensors[name].float().numpy() for name in ("vectors", "embeddings"))
        fresh = tensors["fresh"].numpy()
        if not all(type(name) is str for name in (*ids, *(each.source for each in rounds))):
            raise ValueError("a video's id is no text")
        if not all(type(count) is int and count >= 0 for each in rounds for count in (each.videos, each.tags)):
            raise ValueError("a round is of no number of videos")
        counts = [sum(each.videos for each in rounds), sum(each.tags for each in rounds)]
        if not rounds or counts != [len(ids), len(rows)] or len({row.key for row in rows}) < len(rows):
            raise ValueError("its rounds, videos and tags do not fit each other")
        if (len(vectors), len(embeddings)) != (len(ids), len(rows)) or vectors.ndim != 2 or embeddings.ndim != 2:
            raise ValueError("its numbers do not fit its videos and tags")
        finite = np.isfinite(vectors).all() and np.isfinite(embeddings).all()
        if fresh.shape != (len(ids),) or fresh.dtype != np.bool_ or not finite:
            raise ValueError("its numbers do not fit its videos and tags")
        tags, had = (
            rows_of_tensors(
                tensors[f"{name}.ends"], tensors[f"{name}.columns"], videos=len(ids), tags=int(texts["columns"])
            )
            for name in ("tags", "had")
        )
        return cls(
            rounds=rounds, ids=ids, rows=rows, embeddings=embeddings, vectors=vectors, tags=tags, had=had, fresh=fresh
        )


def read_tags(run: Path) -> TagTable:
    """The tags that a run knows: those that it was trained on, and those that were added.

    Raises:
        RunError: a file is damaged.
    """
    table, additions = TagTable.load(run / TAG_TABLE), Additions.load(run)
    try:
        return table if additions is None else additions.extended(table)
    except ValueError as error:
        raise RunError(f"{run / ADDITIONS} does not fit the run: {error}") from error


def _rounded(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """As they are kept, so that a run predicts the same before and after it is opened again."""
    return values.astype(np.float16).astype(np.float32)


def _joined(table: csr_array, more: Iterable[Sequence[int]], width: int) -> csr_array:
    """A table (rows, width) of ones, with further rows of these columns."""
    rows = [*np.split(table.indices, table.indptr[1:-1])] if table.shape[0] else []
    return tag_rows([*rows, *map(sorted, more)], width)
