"""Other titles, tags and splits for videos of a finished store; features are copied, and nothing is decoded.

The result is the store that the corrected metadata would have made: tags in order of first use, only new ones embedded, only
changed titles cut into pieces. Where the text model is made from the store's own titles and tags it is made anew.

Legend: V videos, U tags, E width of a tag embedding.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..media import SPLITS, Split
from ..tags import clean_tag, tag_key
from . import schema
from .conversion import store_blocks
from .feature_store import FeatureStore, open_store
from .files import check_target, recover_store
from .merging.merge import TextMaker
from .plan import TEXT_BATCH, StorePlan, TextTables
from .row_blocks import RaggedBlock, RowBlock, encode_text
from .schema import TextModelTables
from .writing import Progress, write_store


@dataclass(frozen=True, kw_only=True)
class Labels:
    """What people say of one video."""

    title: str
    tags: tuple[str, ...]
    split: Split


def relabel_store(
    path: Path,
    changes: Mapping[str, Labels],
    *,
    make_text: TextMaker,
    spellings: Mapping[str, str] | None = None,
    without_failures: Collection[str] = (),
    progress: Progress | None = None,
) -> int:
    """Replaces a store of either form by one with other labels, in the last moment.

    Args:
        path: of the store; nobody else may be writing it.
        changes: labels by id, of videos that the store has.
        make_text: opens the store's text model, where there is a new tag or title.
        spellings: other spellings of tags, by key.
        without_failures: ids of failures that are left out.
        progress: called with numbers of videos while they are written.

    Returns:
        How many tags were embedded.

    Raises:
        StoreError: it is no store, or damaged.
        StoreWriteError: it cannot be written; it stays as it was.
    """
    recover_store(path)
    check_target(path)
    with open_store(path) as store:
        relabelling = _Relabelling(store, changes, spellings or {})
        text = relabelling.text(make_text)
        plan = relabelling.plan(text, without_failures)
        write_store(path, plan, relabelling.blocks(text), lambda: relabelling.tables(text), progress=progress)
        return int(np.count_nonzero(relabelling.order >= relabelling.known))


class _Relabelling:
    """A store with changed labels.

    Attributes:
        known: number of tags of the store; numbers from there on are new tags.
        order: (U,) number of each tag of the result, in the numbers of the store and the new tags.
    """

    def __init__(self, store: FeatureStore, changes: Mapping[str, Labels], spellings: Mapping[str, str]):
        self._store = store
        self._labels = {row: changes[name] for row, name in enumerate(store.ids()) if name in changes}
        self._keys = list(store.tag_keys)
        self._spellings = [spellings.get(*pair) for pair in zip(store.tag_keys, store.tag_spellings, strict=True)]
        self.known = len(self._keys)
        self._lengths, self._tags = self._changed_tags()
        found, first = np.unique(self._tags, return_index=True)
        self.order = found[np.argsort(first)]
        self._ends = np.concatenate([[0], np.cumsum(self._lengths)])

    def _changed_tags(self) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """Number of tags of every video, and their numbers; takes note of new tags."""
        column = self._store.column("videos/tags")
        lengths = column.lengths().copy()
        numbers = {key: number for number, key in enumerate(self._keys)}
        counts: dict[int, Counter[str]] = {}
        changed: list[int] = []
        is_changed = np.zeros(len(lengths), np.bool_)
        for row, labels in self._labels.items():
            for tag in labels.tags:
                number = numbers.setdefault(tag_key(tag), len(numbers))
                changed.append(number)
                if number >= self.known:
                    counts.setdefault(number, Counter())[clean_tag(tag)] += 1
            is_changed[row] = True
        kept = column.block(0, len(lengths)).values[np.repeat(~is_changed, lengths)]
        lengths[is_changed] = [len(labels.tags) for labels in self._labels.values()]
        tags = np.empty(int(lengths.sum()), np.int32)
        is_new = np.repeat(is_changed, lengths)
        tags[~is_new], tags[is_new] = kept, changed
        self._keys = list(numbers)
        self._spellings += [max(one, key=one.__getitem__) for one in counts.values()]
        return lengths, tags

    @cached_property
    def _is_of_corpus(self) -> bool:
        return self._store.header.text_encoder.get(schema.MADE_FROM) == schema.CORPUS

    def text(self, make_text: TextMaker) -> TextModelTables | None:
        """The text model, ``None`` where there is no new text."""
        titles = (labels.title != self._store.title(row) for row, labels in self._labels.items())
        if not (self._is_of_corpus or np.any(self.order >= self.known) or any(titles)):
            return None
        return make_text(self._store.header, _Corpus(self))

    def titles(self, start: int, titles: Sequence[str]) -> list[str]:
        """Titles of rows from ``start`` on, with the changed ones in their places."""
        return [
            self._labels[row].title if row in self._labels else title for row, title in enumerate(titles, start=start)
        ]

    def keys(self) -> list[str]:
        """Identities of the tags of the result."""
        return [self._keys[tag] for tag in self.order.tolist()]

    def all_titles(self) -> Iterator[str]:
        """Titles of all videos of the result."""
        column = self._store.column("videos/title")
        for start in range(0, len(self._store), TEXT_BATCH):
            yield from self.titles(start, column.block(start, min(start + TEXT_BATCH, len(self._store))).texts())

    def plan(self, text: TextModelTables | None, without_failures: Collection[str]) -> StorePlan:
        """What the result holds."""
        store = self._store
        lengths = {name: store.column(name).lengths() for name in schema.VIDEO_COLUMNS}
        titles = lengths["videos/title"].copy()
        for row, labels in self._labels.items():
            titles[row] = len(encode_text(labels.title))
        lengths |= {"videos/tags": self._lengths, "videos/title": titles}
        header = store.header
        if text is not None and self._is_of_corpus:
            header = header.before_corpus().with_corpus(text.corpus_digest)
        return StorePlan(
            header=header,
            videos=len(store),
            values={name: int(each.sum()) for name, each in lengths.items()},
            tag_keys=self.keys(),
            tag_spellings=[self._spellings[tag] for tag in self.order.tolist()],
            failures=[failure for failure in store.failures if failure.id not in without_failures],
        )

    def blocks(self, text: TextModelTables | None) -> Iterator[RowBlock]:
        """All videos with their labels."""
        numbers = np.full(len(self._keys), -1, np.int32)
        numbers[self.order] = np.arange(len(self.order), dtype=np.int32)
        start = 0
        for block in store_blocks(self._store):
            stop = start + len(block)
            tags = self._tags[self._ends[start] : self._ends[stop]]
            ragged = {
                **block.ragged,
                "videos/tags": RaggedBlock(values=numbers[tags], lengths=self._lengths[start:stop]),
            }
            fixed = dict(block.fixed)
            here = [row for row in range(start, stop) if row in self._labels]
            titles = self.titles(start, block.ragged["videos/title"].texts()) if here or self._is_of_corpus else []
            if here:
                ragged["videos/title"] = RaggedBlock.of_texts(titles)
                splits = fixed["videos/split"].copy()
                splits[np.array(here) - start] = [SPLITS.index(self._labels[row].split) for row in here]
                fixed["videos/split"] = splits
            if text is not None and titles:
                ragged[schema.TITLE_TOKENS] = self._title_tokens(text, start, block, titles, here)
            yield RowBlock(ragged=ragged, fixed=fixed)
            start = stop

    def _title_tokens(
        self, text: TextModelTables, start: int, block: RowBlock, titles: list[str], here: list[int]
    ) -> RaggedBlock:
        if self._is_of_corpus:
            return RaggedBlock.of_rows(text.title_tokens(titles))
        rows = [row.tolist() for row in block.ragged[schema.TITLE_TOKENS].rows()]
        places = [row - start for row in here]
        for place, tokens in zip(places, text.title_tokens([titles[place] for place in places]), strict=True):
            rows[place] = tokens
        return RaggedBlock.of_rows(rows)

    def tables(self, text: TextModelTables | None) -> TextTables:
        """The text model's part of the result."""
        tokens, embeddings = RaggedBlock.of_rows(list(self._tag_tokens(text))), self._embeddings(text)
        if text is not None and self._is_of_corpus:
            return TextTables.of_model(text, tokens, embeddings)
        return TextTables.of_store(self._store, tokens, embeddings)

    def _tag_tokens(self, text: TextModelTables | None) -> Iterator[list[int]]:
        for start in range(0, len(self.order), TEXT_BATCH):
            tags = self.order[start : start + TEXT_BATCH].tolist()
            new = [tag for tag in tags if tag >= self.known or self._is_of_corpus]
            cut = iter(text.tag_tokens([self._keys[tag] for tag in new]) if text is not None and new else ())
            made = set(new) if text is not None else set()
            for tag in tags:
                yield next(cut) if tag in made else self._store.tag_tokens(tag).tolist()

    def _embeddings(self, text: TextModelTables | None) -> Iterator[NDArray[np.float32]]:
        """Blocks of (n, E), together (U, E)."""
        known = self._store.tag_embeddings
        for start in range(0, len(self.order), TEXT_BATCH):
            tags = self.order[start : start + TEXT_BATCH]
            block = np.empty((len(tags), self._store.header.tag_dim), np.float32)
            is_known = tags < self.known
            block[is_known] = known[tags[is_known]]
            if not is_known.all():
                assert text is not None  # a new tag is a new text
                block[~is_known] = text.tag_embeddings([self._keys[tag] for tag in tags[~is_known].tolist()])
            yield block


class _Corpus:
    """Every title and tag key of the result; may be read several times."""

    def __init__(self, relabelling: _Relabelling):
        self._relabelling = relabelling

    def __iter__(self) -> Iterator[str]:
        yield from self._relabelling.all_titles()
        yield from self._relabelling.keys()
