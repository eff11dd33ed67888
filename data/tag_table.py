"""The tags of the training split: which are known, how often they occur, and how they are spelled.

One table maps a tag to its word pieces and back, so that a known tag always comes out in its own
spelling ("t-shirt", not "t - shirt"); only unknown piece sequences are put together from pieces, and those are novel.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .errors import RunError, reason_of
from .foreign.json_reader import JSON_DAMAGE, LARGE_FILE, read_json
from .store import FeatureStore
from .tags import current_keys
from .whole_files import write_text


class TagRow(NamedTuple):
    """One tag: its identity, how it is written for people, and its word pieces."""

    key: str
    spelling: str
    tokens: tuple[int, ...]

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> TagRow:
        """Raises one of :data:`optsg.data.foreign.json_reader.JSON_DAMAGE` for anything but what a table's row says."""
        _check_row({"count": 0, **row})
        return cls(row["key"], row["spelling"], tuple(row["tokens"]))


@dataclass(frozen=True, kw_only=True)
class TagTable:
    """Tags of a training split.

    Attributes:
        keys: tag identities, most frequent first, ties in order of the key.
        spellings: how each tag is written for people.
        counts: (K,) occurrences in the training split.
        tokens: word pieces of each tag, in the tokenizer's ids.
    """

    keys: tuple[str, ...]
    spellings: tuple[str, ...]
    counts: NDArray[np.int64]
    tokens: tuple[tuple[int, ...], ...]

    @classmethod
    def from_store(cls, store: FeatureStore) -> TagTable:
        """Counts the tags of the store's training split."""
        counts = store.tag_counts(store.indices("train"))
        order = sorted(np.flatnonzero(counts).tolist(), key=lambda tag: (-counts[tag], store.tag_keys[tag]))
        return cls(
            keys=tuple(store.tag_keys[tag] for tag in order),
            spellings=tuple(store.tag_spellings[tag] for tag in order),
            counts=counts[order],
            tokens=tuple(tuple(store.tag_tokens(tag).tolist()) for tag in order),
        )

    def with_tags(self, rows: Sequence[TagRow], counts: NDArray[np.int64]) -> TagTable:
        """A longer table: further tags behind these.

        Args:
            rows: the further tags.
            counts: occurrences of all tags, these first.
        """
        return TagTable(
            keys=(*self.keys, *(row.key for row in rows)),
            spellings=(*self.spellings, *(row.spelling for row in rows)),
            counts=counts,
            tokens=(*self.tokens, *(row.tokens for row in rows)),
        )

    def __len__(self) -> int:
        return len(self.keys)

    @cached_property
    def count_of(self) -> dict[str, int]:
        """Training occurrences by key."""
        return dict(zip(self.keys, self.counts.tolist(), strict=True))

    @cached_property
    def spelling_of(self) -> dict[str, str]:
        """How each tag is written for people, by key."""
        return dict(zip(self.keys, self.spellings, strict=True))

    @cached_property
    def column_of(self) -> dict[str, int]:
        """A tag's number in this table, by key."""
        return {key: column for column, key in enumerate(self.keys)}

    @cached_property
    def _by_tokens(self) -> dict[tuple[int, ...], int]:
        # Reversed, so that of tags with the same pieces ("café", "cafe") the most frequent one wins.
        return {pieces: number for number, pieces in reversed(list(enumerate(self.tokens)))}

    def is_known(self, key: str) -> bool:
        """Whether the tag occurs in the training split."""
        return key in self.count_of

    def find(self, pieces: Sequence[int]) -> int | None:
        """Number of the known tag with these word pieces, ``None`` if there is none."""
        return self._by_tokens.get(tuple(pieces))

    def embeddings_in(self, store: FeatureStore) -> NDArray[np.float32]:
        """(K, E) the store's embeddings of these tags, in their order."""
        row_of = {key: row for row, key in enumerate(store.tag_keys)}
        rows = np.array([row_of[key] for key in self.keys], np.int64)
        found: NDArray[np.float32] = np.array(store.tag_embeddings)[rows]
        return found

    def save(self, path: Path) -> None:
        """Writes ``tag_table.json``, one object for each tag."""
        rows = [
            {"key": key, "spelling": spelling, "count": count, "tokens": list(tokens)}
            for key, spelling, count, tokens in zip(
                self.keys, self.spellings, self.counts.tolist(), self.tokens, strict=True
            )
        ]
        write_text(path, [json.dumps({"tags": rows}, ensure_ascii=False), "\n"])

    @classmethod
    def load(cls, path: Path) -> TagTable:
        """Reads what :meth:`save` wrote; raises :class:`RunError` where it cannot."""
        try:
            rows = read_json(path, most_bytes=LARGE_FILE)["tags"]
            for row in rows:
                _check_row(row)
            return cls(
                keys=tuple(current_keys([row["key"] for row in rows])),
                spellings=tuple(row["spelling"] for row in rows),
                counts=np.array([row["count"] for row in rows], np.int64),
                tokens=tuple(tuple(row["tokens"]) for row in rows),
            )
        except JSON_DAMAGE as error:
            raise RunError(f"{path} is not a readable tag table ({reason_of(error)}); train the run again") from error


def _check_row(row: Mapping[str, Any]) -> None:
    """Raises one of :data:`optsg.data.foreign.json_reader.JSON_DAMAGE` for what :meth:`TagTable.save` does not write."""
    texts, numbers = (row["key"], row["spelling"]), (row["count"], *row["tokens"])
    if not all(isinstance(text, str) for text in texts) or not all(type(number) is int for number in numbers):
        raise ValueError("a tag is not of texts and numbers")
    if min(numbers) < 0:
        raise ValueError("a tag has a negative number")
