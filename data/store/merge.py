"""Parts, and a store that was finished before, to one finished store; each id once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import StoreError
from ..media import Failure
from . import schema
from .columns import StorePlan, TextTables
from .feature_store import FeatureStore, open_part, open_store
from .files import recover_store
from .row_blocks import RaggedBlock, RowBlock, cut_rows
from .schema import StoreHeader, TextModelTables
from .tag_numbering import TagTableBuilder
from .writing import Progress, write_store

TEXT_BATCH = 1024


def merge_parts(
    parts: Sequence[Path],
    out: Path,
    header: StoreHeader,
    text: TextModelTables,
    *,
    base: Path | None = None,
    progress: Progress | None = None,
) -> None:
    """Writes the finished store ``out`` from parts, each id once.

    Where the text model is made from the store's own titles and tags, those of ``base`` are cut into pieces anew, so that
    adding to a store gives the one that would have been made at once.

    The first occurrence of an id counts. A failure is kept where its id has no features anywhere; of several failures
    with one id the last one counts.

    Args:
        parts: files that :class:`optsg.data.store.part_writer.Hdf5StoreWriter` wrote.
        out: a name that ends in ``.h5`` for one file, any other for a folder of shards.
        header: recorded in the store.
        text: the text model.
        base: a finished store of either form whose videos come first; it may be ``out`` itself, which is then replaced.
        progress: called with numbers of videos while they are written.

    Raises:
        StoreError: a part or the base is damaged or was made with other settings.
        StoreWriteError: ``out`` cannot be written; the parts and what was at ``out`` stay as they are.
    """
    if base is not None:
        recover_store(base)
    sources = ([] if base is None else [_Source(base, is_part=False)]) + [_Source(path, is_part=True) for path in parts]
    selections, plan = _plan(sources, header.before_corpus(), header.with_corpus(text.corpus_digest))
    earlier = selections[0] if base is not None else None
    write_store(out, plan, _blocks(selections, text), lambda: text_tables(text, plan, earlier), progress=progress)


@dataclass(frozen=True)
class _Source:
    path: Path
    is_part: bool

    def open(self) -> FeatureStore:
        return open_part(self.path) if self.is_part else open_store(self.path)


@dataclass(frozen=True, kw_only=True)
class _Selection:
    """What the merged store takes of one source: which rows, and the numbers that its tags get."""

    source: _Source
    keep: NDArray[np.bool_]
    tag_numbers: NDArray[np.int32]


def _plan(sources: Sequence[_Source], settings: StoreHeader, header: StoreHeader) -> tuple[list[_Selection], StorePlan]:
    """Which rows are taken, and the final size of every column, from ids, lengths and tags alone.

    All sources must have been made with ``settings``; the plan gets ``header``.
    """
    ids: set[str] = set()
    failures: dict[str, Failure] = {}
    values = dict.fromkeys(schema.VIDEO_COLUMNS, 0)
    tags = TagTableBuilder()
    selections = []
    for source in sources:
        with source.open() as store:
            if differences := settings.differences(store.header.before_corpus()):
                raise StoreError(f"{source.path} was made with other settings: " + "; ".join(differences))
            keep = np.zeros(len(store), np.bool_)
            for row, video_id in enumerate(store.ids()):
                if video_id not in ids:
                    ids.add(video_id)
                    keep[row] = True
            for name in values:
                values[name] += int(store.column(name).lengths()[keep].sum())
            tag_column = store.column("videos/tags")
            used = tag_column.block(0, len(store)).values[np.repeat(keep, tag_column.lengths())]
            numbers = tags.add_all(store.tag_keys, store.tag_spellings, used)
            selections.append(_Selection(source=source, keep=keep, tag_numbers=numbers))
            failures.update((failure.id, failure) for failure in store.failures)
    plan = StorePlan(
        header=header,
        videos=len(ids),
        values=values,
        tag_keys=tags.keys(),
        tag_spellings=tags.spellings(),
        failures=[failure for failure in failures.values() if failure.id not in ids],
    )
    return selections, plan


def _blocks(selections: Sequence[_Selection], text: TextModelTables) -> Iterator[RowBlock]:
    for selection in selections:
        if not selection.keep.any():
            continue
        with selection.source.open() as store:
            for start, stop in cut_rows(selection.keep, store.row_bytes()):
                block = store.block(start, stop)
                tags = block.ragged["videos/tags"]
                known = None if text.corpus_digest else block.ragged.get(schema.TITLE_TOKENS)
                tokens = known or title_tokens(block, text)
                changed = {
                    "videos/tags": replace(tags, values=selection.tag_numbers[tags.values]),
                    schema.TITLE_TOKENS: tokens,
                }
                yield replace(block, ragged={**block.ragged, **changed})
                store.release()


def title_tokens(block: RowBlock, text: TextModelTables) -> RaggedBlock:
    """Word pieces of the titles."""
    return RaggedBlock.of_rows(text.title_tokens(block.ragged["videos/title"].texts()))


def text_tables(text: TextModelTables, plan: StorePlan, earlier: _Selection | None) -> TextTables:
    """Everything of the text model for the tags of a plan; embeddings that an earlier store has are taken over."""
    keys = plan.tag_keys
    batches = [keys[start : start + TEXT_BATCH] for start in range(0, len(keys), TEXT_BATCH)]
    return TextTables(
        tag_tokens=RaggedBlock.of_rows([tokens for batch in batches for tokens in text.tag_tokens(batch)]),
        tag_embeddings=_embeddings(text, plan, earlier),
        nil_embedding=text.nil_embedding,
        tokenizer=text.tokenizer_json.encode(),
        config=text.config_json.encode(),
        weights=text.weights,
    )


def _embeddings(text: TextModelTables, plan: StorePlan, earlier: _Selection | None) -> Iterator[NDArray[np.float32]]:
    """Embeddings of all tags; those that the earlier store has are taken over, because encoding takes long."""
    keys = plan.tag_keys
    known = np.empty((0, plan.header.tag_dim), np.float32)
    rows = np.full(len(keys), -1)
    if earlier is not None:
        with earlier.source.open() as store:
            known = store.tag_embeddings
        used = np.flatnonzero(earlier.tag_numbers >= 0)
        rows[earlier.tag_numbers[used]] = used
    for start in range(0, len(keys), TEXT_BATCH):
        batch = rows[start : start + TEXT_BATCH]
        block = np.empty((len(batch), plan.header.tag_dim), np.float32)
        block[batch >= 0] = known[batch[batch >= 0]]
        new = np.flatnonzero(batch < 0)
        if len(new):
            block[new] = text.tag_embeddings([keys[start + tag] for tag in new.tolist()])
        yield block
