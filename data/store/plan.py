"""Everything of a finished store that goes into an HDF5 file, and what must be known before it is written.

While a store is written its tags are numbered by key, in order of first use.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..media import Failure
from ..tags import clean_tag, tag_key
from . import schema
from .feature_store import FeatureStore
from .hdf5.file import ColumnFileWriter
from .row_blocks import RaggedBlock, RowBlock
from .schema import StoreHeader, TextModelTables, digest_to_bytes


@dataclass(frozen=True, kw_only=True)
class StorePlan:
    """What is known of a store before it is written.

    Attributes:
        header: how it was made.
        videos: number of videos.
        values: number of values of every ragged column of the videos; without ``videos/title_tokens`` where unknown.
        tag_keys, tag_spellings: the tag table.
        failures: inputs that gave no features.
    """

    header: StoreHeader
    videos: int
    values: Mapping[str, int]
    tag_keys: list[str]
    tag_spellings: list[str]
    failures: list[Failure]


TEXT_BATCH = 1024
"""Texts that are cut into pieces, or embedded, at a time."""


@dataclass(frozen=True, kw_only=True)
class TextTables:
    """The text model's part of a store, ready to be written.

    Attributes:
        tag_tokens: word pieces of the tags.
        tag_embeddings: blocks of (n, E) float32, together one row per tag.
        nil_embedding: (E,) float32.
        tokenizer, config: UTF-8 bytes.
        weights: state dict of the title encoder.
    """

    tag_tokens: RaggedBlock
    tag_embeddings: Iterable[NDArray[np.float32]]
    nil_embedding: NDArray[np.float32]
    tokenizer: bytes
    config: bytes
    weights: Mapping[str, NDArray[Any]]

    @classmethod
    def of_store(
        cls, store: FeatureStore, tag_tokens: RaggedBlock, tag_embeddings: Iterable[NDArray[np.float32]]
    ) -> TextTables:
        """The text model of a store, with these tags."""
        return cls(
            tag_tokens=tag_tokens,
            tag_embeddings=tag_embeddings,
            nil_embedding=store.nil_embedding,
            tokenizer=store.array(schema.TOKENIZER).tobytes(),
            config=store.array(schema.TEXT_CONFIG).tobytes(),
            weights=store.title_encoder_weights(),
        )

    @classmethod
    def of_model(
        cls, text: TextModelTables, tag_tokens: RaggedBlock, tag_embeddings: Iterable[NDArray[np.float32]]
    ) -> TextTables:
        """That of a text encoder, with these tags."""
        return cls(
            tag_tokens=tag_tokens,
            tag_embeddings=tag_embeddings,
            nil_embedding=text.nil_embedding,
            tokenizer=text.tokenizer_json.encode(),
            config=text.config_json.encode(),
            weights=text.weights,
        )


class StoreColumns:
    """The HDF5 file of either form: the whole store, or what does not lie in shards."""

    def __init__(self, plan: StorePlan, *, without: tuple[str, ...], fixed: Mapping[str, str] | None = None):
        """``without``: columns whose values go elsewhere; ``fixed``: more fixed columns."""
        self._plan = plan
        self._without = without
        self._fixed = {**schema.FIXED_COLUMNS, **(fixed or {})}
        self._file: ColumnFileWriter | None = None
        self._rows = 0
        self._title_tokens: list[
            RaggedBlock
        ] = []  # numbers only; their count is known at the end, if not from the plan

    @property
    def file(self) -> ColumnFileWriter:
        """The file being written, after :meth:`create`."""
        assert self._file is not None
        return self._file

    def create(self, path: Path) -> None:
        """Begins the file; raises :class:`optsg.data.errors.StoreWriteError` where it cannot."""
        self._file = ColumnFileWriter(path, self._plan.header)
        columns = {**schema.VIDEO_COLUMNS, schema.TITLE_TOKENS: schema.TOKEN_COLUMNS[schema.TITLE_TOKENS]}
        for name, spec in columns.items():
            if name in self._plan.values:
                size = (self._plan.videos, self._plan.values[name])
                self.file.add_ragged(name, spec, size=size, with_values=name not in self._without)
        for name, dtype in self._fixed.items():
            self.file.add_fixed(name, dtype, rows=self._plan.videos)

    def abandon(self) -> None:
        """Closes the file, which stays unfinished."""
        if self._file is not None:
            self._file.abandon()

    def add(self, block: RowBlock) -> None:
        """Adds the videos of a block to all columns."""
        self._rows += len(block)
        self.file.extend(block)
        if schema.TITLE_TOKENS not in self._plan.values:
            self._title_tokens.append(block.ragged[schema.TITLE_TOKENS])

    def finish(self, text: TextTables, *, kind: str) -> None:
        """Writes everything that is not one row per video, and closes the file."""
        assert self._rows == self._plan.videos, (self._rows, self._plan.videos)
        tokens = schema.TOKEN_COLUMNS
        if schema.TITLE_TOKENS not in self._plan.values:
            self.file.write_ragged(schema.TITLE_TOKENS, tokens[schema.TITLE_TOKENS], _joined(self._title_tokens))
        for name, texts in (("tags/key", self._plan.tag_keys), ("tags/spelling", self._plan.tag_spellings)):
            self.file.write_ragged(name, schema.TEXT, RaggedBlock.of_texts(texts))
        self.file.write_ragged(schema.TAG_TOKENS, tokens[schema.TAG_TOKENS], text.tag_tokens)
        width = self._plan.header.tag_dim
        tags = len(self._plan.tag_keys)
        self.file.write_array(schema.TAG_EMBEDDING, text.tag_embeddings, dtype="float32", rows=tags, width=width)
        for name, array, dtype in (
            (schema.NIL_EMBEDDING, text.nil_embedding, "float32"),
            (schema.TOKENIZER, np.frombuffer(text.tokenizer, np.uint8), "uint8"),
            (schema.TEXT_CONFIG, np.frombuffer(text.config, np.uint8), "uint8"),
        ):
            self.file.write_array(name, [array], dtype=dtype, rows=len(array))
        self.file.write_weights(text.weights)
        for name, rows in _failure_columns(self._plan.failures).items():
            self.file.write_ragged(name, schema.FAILURE_COLUMNS[name], rows)
        seconds = np.array([failure.seconds for failure in self._plan.failures], np.float32)
        self.file.write_array("failures/seconds", [seconds], dtype="float32", rows=len(seconds))
        self.file.finish(kind)


def _joined(blocks: list[RaggedBlock]) -> RaggedBlock:
    nothing = RaggedBlock.of_rows([])
    blocks = [nothing, *blocks]
    return RaggedBlock(
        values=np.concatenate([block.values for block in blocks]),
        lengths=np.concatenate([block.lengths for block in blocks]),
    )


def _failure_columns(failures: list[Failure]) -> dict[str, RaggedBlock]:
    names = ("id", "source", "stage", "error", "status")
    columns = {
        f"failures/{name}": RaggedBlock.of_texts([getattr(failure, name) for failure in failures]) for name in names
    }
    columns["failures/digest"] = RaggedBlock.of_bytes([digest_to_bytes(failure.digest) for failure in failures])
    return columns


class TagTableBuilder:
    """Numbers tags by key in order of first use and remembers each key's most frequent spelling."""

    def __init__(self) -> None:
        self._index: dict[str, int] = {}
        self._spellings: list[Counter[str]] = []

    def add(self, tag: str) -> int:
        """Counts a use of the tag; its number."""
        index = self._index.setdefault(tag_key(tag), len(self._index))
        if index == len(self._spellings):
            self._spellings.append(Counter())
        self._spellings[index][clean_tag(tag)] += 1
        return index

    def keys(self) -> list[str]:
        """The tags' keys in the order of their numbers."""
        return list(self._index)

    def spellings(self) -> list[str]:
        """The most frequent spelling of every tag, the first used one among equals."""
        return [max(counts, key=counts.__getitem__) for counts in self._spellings]


MOST_TAGS = 2**24
"""Of a video: place · MOST_TAGS + n orders the n-th tag of the video at that place among all uses of tags."""


class JointTags:
    """The tag table of a store made of others, filled source by source.

    Tags are numbered in order of first use, as if the new store's videos were added one by one. The order of those need not be
    the order of the sources, so that a later source may hold an earlier use. A tag therefore gets a number in order of arrival,
    with its earliest use so far beside it; the numbers of the table come from sorting these uses when all sources are known.
    """

    def __init__(self) -> None:
        self._arrived: dict[str, int] = {}
        self._first: list[int] = []
        self._spellings: list[dict[str, tuple[int, int]]] = []  # spelling to how often, and where first
        self._of_sources: list[NDArray[np.int32]] = []

    def add(self, keys: Sequence[str], spellings: Sequence[str], uses: Iterable[tuple[int, int, int]]) -> None:
        """Adds the next source.

        Args:
            keys, spellings: its tag table.
            uses: of each of its tags that is used: its number there, where it is used first (:data:`MOST_TAGS`), and how often.
        """
        arrived = np.full(len(keys), -1, np.int32)
        for tag, first, count in uses:
            number = arrived[tag] = self._arrived.setdefault(keys[tag], len(self._arrived))
            if number == len(self._first):
                self._first.append(first)
                self._spellings.append({})
            self._first[number] = min(self._first[number], first)
            spelled = self._spellings[number]
            times, earliest = spelled.get(spellings[tag], (0, first))
            spelled[spellings[tag]] = (times + count, min(earliest, first))
        self._of_sources.append(arrived)

    def _by_first_use(self) -> list[int]:
        return sorted(range(len(self._first)), key=self._first.__getitem__)

    def keys(self) -> list[str]:
        """Keys in order of first use."""
        keys = list(self._arrived)
        return [keys[number] for number in self._by_first_use()]

    def spellings(self) -> list[str]:
        """The most frequent spelling of every tag, the first used one among equals."""
        spellings = (self._spellings[number] for number in self._by_first_use())
        return [max(spelled, key=lambda name: (spelled[name][0], -spelled[name][1])) for spelled in spellings]

    def numbers(self) -> list[NDArray[np.int32]]:
        """Per source (its tags,) the number of each in the table; −1 where it is not used."""
        final = np.full(len(self._first) + 1, -1, np.int32)  # the last one is for tags that are not used: theirs is −1
        final[self._by_first_use()] = np.arange(len(self._first), dtype=np.int32)
        return [final[arrived] for arrived in self._of_sources]
