"""Stores made of stores: the parts of one extraction, or finished stores of different inputs.

One algorithm: sources, an order of their rows, numbers for their tags, and a text model that is given or taken over.

* :func:`merge_parts`: parts, and a store that was finished before, become one finished store with each id once; the text
  encoder makes tokens and embeddings.
* :func:`merge_stores`: of finished stores, for instance of parts of a corpus, nothing may be there twice and no text encoder is
  needed: tokens, embeddings and the title encoder are taken over. Only where the text model is made from the store's own
  titles and tags is it made anew, from all of them.

Videos are copied a block at a time. Parts are open one at a time, finished stores all at once: an order of inputs may go back
and forth between them.

Legend: V videos, U tags of all sources, E width of a tag embedding.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from ...corpus_part import CorpusPart, describe_parts
from ...errors import StoreError, StoreWriteError
from .. import schema
from ..corpus import StoredTexts
from ..feature_store import FeatureStore, open_store
from ..files import recover_store
from ..plan import TEXT_BATCH, TextTables
from ..row_blocks import RaggedBlock, RowBlock, cut_rows
from ..schema import StoreHeader, TextModelTables
from ..writing import Progress, write_store
from .checks import check_overlap, check_settings, check_text_models, is_same_embedding, joint_part
from .plan import Merge, Source, breaks_between, plan_merge

TextMaker = Callable[[StoreHeader, Iterable[str]], TextModelTables]
"""Makes the text model of a header from all titles and tags, where it is made from them."""


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
    sources = ([] if base is None else [Source(base)]) + [Source(path, is_part=True) for path in parts]
    merge = plan_merge(sources, header.with_corpus(text.corpus_digest))
    _write(merge, out, _GivenText(merge, text, embeddings_of=() if base is None else (0,)), progress)


def merge_stores(
    paths: Sequence[Path],
    out: Path,
    *,
    make_text: TextMaker,
    input_order: Iterable[str] | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> list[str]:
    """Writes one finished store with everything that finished stores hold, failures included.

    Videos, failures and first uses of tags come in the order of the inputs where it is given, else by part and row, else in
    the order of ``paths``. The store records which parts it holds if some are missing, and none if all are there.

    Args:
        paths: stores of either form.
        out: a name that ends in ``.h5`` for one file, any other for a folder of WebDataset shards.
        make_text: asked only where the text model is made from the store's own titles and tags.
        input_order: ids of all inputs in order; those that it lacks come last.
        overwrite: replace a store at ``out``.
        progress: called with numbers of videos while they are written.

    Returns:
        What people should know: a sentence where parts are missing.

    Raises:
        StoreError: a store is damaged, has other encoders, sampling or text model, an input is in two of them, or there is no video.
        StoreWriteError: ``out`` exists, is one of the stores, or cannot be written.
    """
    _check_out(paths, out, overwrite)
    with ExitStack() as stack:
        stores = [stack.enter_context(open_store(path)) for path in paths]
        check_settings(stores)
        part = joint_part(stores)
        check_overlap(stores)
        if not sum(map(len, stores)):
            raise StoreError(f"there is no video in {_named(paths)}; nothing was merged")
        stores = _by_part(stores)
        header = _joint_header(stores, part)
        merge, text = _plan_and_text(stores, header, make_text, input_order)
        _write(merge, out, text, progress)
    missing = part.missing if part is not None else ()
    verb = "is" if len(missing) == 1 else "are"
    return [f"{describe_parts(missing, part.of)} {verb} missing"] if part is not None and missing else []


def _plan_and_text(
    stores: Sequence[FeatureStore], header: StoreHeader, make_text: TextMaker, input_order: Iterable[str] | None
) -> tuple[Merge, _Text]:
    """The plan, and the text model: made anew where it is made from the corpus, else taken over.

    Raises:
        StoreError: text models differ.
    """
    sources = [Source(store.path, opened=store) for store in stores]
    if header.text_encoder.get(schema.MADE_FROM) == schema.CORPUS:
        texts = itertools.chain.from_iterable(StoredTexts([], base=store.path) for store in stores)
        tables = make_text(header, texts)
        merge = plan_merge(sources, header.with_corpus(tables.corpus_digest), input_order)
        return merge, _GivenText(merge, tables)
    check_text_models(stores)
    merge = plan_merge(sources, header, input_order, with_title_tokens=True)
    taken = _TakenText(merge, stores)
    taken.check()
    return merge, taken


def _check_out(paths: Sequence[Path], out: Path, overwrite: bool) -> None:
    recover_store(out)
    for path in paths:
        if out.exists() and path.exists() and out.samefile(path):
            raise StoreWriteError(f"{out} is one of the stores to merge; choose another name")
    if out.exists() and not overwrite:
        raise StoreWriteError(f"{out} exists already; choose another name, or add --overwrite to replace it")


def _named(paths: Sequence[Path]) -> str:
    return ", ".join(map(str, paths[:3])) + (f" and {len(paths) - 3:,} more" if len(paths) > 3 else "")


def _by_part(stores: Sequence[FeatureStore]) -> list[FeatureStore]:
    """By number of their part where all have one, else as they were given."""
    parts = [None if store.header.part is None else CorpusPart.parse(store.header.part).numbers for store in stores]
    if None in parts:
        return list(stores)
    return [stores[place] for place in sorted(range(len(stores)), key=lambda place: parts[place] or ())]


def _joint_header(stores: Sequence[FeatureStore], part: CorpusPart | None) -> StoreHeader:
    """The first store's, with the latest date, and a preset where all have the same."""
    headers = [store.header for store in stores]
    is_incomplete = part is not None and bool(part.missing) and all(header.part is not None for header in headers)
    return replace(
        headers[0].before_corpus(),
        created=max(header.created for header in headers),
        preset=headers[0].preset if len({header.preset for header in headers}) == 1 else None,
        part=str(part) if is_incomplete else None,
    )


def _write(merge: Merge, out: Path, text: _Text, progress: Progress | None) -> None:
    write_store(out, merge.plan, _blocks(merge, text), text.tables, progress=progress)


def _blocks(merge: Merge, text: _Text) -> Iterator[RowBlock]:
    """All videos in order; memory stays flat, and rows that follow each other in a source are read at once.

    Where sources are not open all the time, blocks do not reach across them.
    """
    order = merge.order
    stays_open = all(source.opened is not None for source in merge.sources)
    breaks = [] if stays_open else breaks_between(order.sources, order.rows)
    with _Opened(merge.sources) as opened:
        for start, stop in cut_rows(order.sizes, breaks):
            sources, rows = order.sources[start:stop], order.rows[start:stop]
            by_source = np.lexsort((rows, sources))
            blocks = []
            for number, first, last in _runs(sources[by_source], rows[by_source]):
                block = opened[number].block(first, last)
                tags = block.ragged["videos/tags"]
                changed = {
                    "videos/tags": replace(tags, values=merge.tag_numbers[number][tags.values]),
                    schema.TITLE_TOKENS: text.title_tokens(block),
                }
                blocks.append(replace(block, ragged={**block.ragged, **changed}))
            yield blocks[0] if len(blocks) == 1 else _arranged(blocks, np.argsort(by_source))
            for number in np.unique(sources).tolist():
                opened[number].release()


class _Opened:
    """Sources by number; of those that are not open all the time, the last one that was asked for stays open."""

    def __init__(self, sources: Sequence[Source]):
        self._sources = sources
        self._number: int | None = None
        self._stack = ExitStack()

    def __getitem__(self, number: int) -> FeatureStore:
        if (store := self._sources[number].opened) is not None:
            return store
        if number != self._number:
            self._stack.close()
            self._store, self._number = self._stack.enter_context(self._sources[number].open()), number
        return self._store

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()


def _runs(sources: NDArray[np.int32], rows: NDArray[np.int64]) -> Iterator[tuple[int, int, int]]:
    """Source, first row and end of all runs of consecutive rows."""
    breaks = breaks_between(sources, rows)
    for begin, end in zip([0, *breaks], [*breaks, len(rows)], strict=True):
        yield int(sources[begin]), int(rows[begin]), int(rows[end - 1]) + 1


def _arranged(blocks: Sequence[RowBlock], places: NDArray[np.int64]) -> RowBlock:
    """The rows of all blocks; row i of the result is row ``places[i]`` of them one after the other."""
    ragged = {}
    for name in blocks[0].ragged:
        rows = [row for block in blocks for row in block.ragged[name].rows()]
        arranged = [rows[place] for place in places.tolist()]
        lengths = np.array([len(row) for row in arranged], np.int64)
        ragged[name] = RaggedBlock(values=np.concatenate(arranged), lengths=lengths)
    fixed = {name: np.concatenate([block.fixed[name] for block in blocks])[places] for name in blocks[0].fixed}
    return RowBlock(ragged=ragged, fixed=fixed)


class _Text(Protocol):
    """Where the merged store's text model comes from."""

    def title_tokens(self, block: RowBlock) -> RaggedBlock:
        """Word pieces of the titles of rows of a source."""
        ...

    def tables(self) -> TextTables:
        """The text model, with tokens and embeddings of all tags."""
        ...


@dataclass(frozen=True)
class _GivenText:
    """A text encoder's; ``embeddings_of`` are sources whose embeddings are taken over, because encoding takes long."""

    merge: Merge
    text: TextModelTables
    embeddings_of: Sequence[int] = ()

    def title_tokens(self, block: RowBlock) -> RaggedBlock:
        known = None if self.text.corpus_digest else block.ragged.get(schema.TITLE_TOKENS)
        return known or RaggedBlock.of_rows(self.text.title_tokens(block.ragged["videos/title"].texts()))

    def tables(self) -> TextTables:
        keys = self.merge.plan.tag_keys
        batches = [keys[start : start + TEXT_BATCH] for start in range(0, len(keys), TEXT_BATCH)]
        tokens = [pieces for batch in batches for pieces in self.text.tag_tokens(batch)]
        embeddings = _embeddings(self.merge, self.embeddings_of, self.text)
        return TextTables.of_model(self.text, RaggedBlock.of_rows(tokens), embeddings)


@dataclass(frozen=True)
class _TakenText:
    """That of the sources, which is the same in all of them."""

    merge: Merge
    stores: Sequence[FeatureStore]

    def check(self) -> None:
        """Raises :class:`StoreError` where two sources have different embeddings of a tag."""
        for _ in _embeddings(self.merge, range(len(self.stores))):
            pass

    def title_tokens(self, block: RowBlock) -> RaggedBlock:
        return block.ragged[schema.TITLE_TOKENS]

    def tables(self) -> TextTables:
        tokens: list[list[int]] = [[] for _ in self.merge.plan.tag_keys]
        for store, numbers in zip(self.stores, self.merge.tag_numbers, strict=True):
            for tag in np.flatnonzero(numbers >= 0).tolist():
                tokens[numbers[tag]] = store.tag_tokens(tag).tolist()
        embeddings = _embeddings(self.merge, range(len(self.stores)))
        return TextTables.of_store(self.stores[0], RaggedBlock.of_rows(tokens), embeddings)


def _embeddings(
    merge: Merge, known: Sequence[int], text: TextModelTables | None = None
) -> Iterator[NDArray[np.float32]]:
    """Blocks of (n, E), together (U, E): each tag's embedding from the first known source that has it, else from ``text``.

    Raises:
        StoreError: another source has another embedding for the same text.
    """
    keys = merge.plan.tag_keys
    with ExitStack() as stack:
        embeddings = [stack.enter_context(merge.sources[number].open()).tag_embeddings for number in known]
        tags = [np.argsort(merge.tag_numbers[number], kind="stable") for number in known]
        numbers = [merge.tag_numbers[number][some] for number, some in zip(known, tags, strict=True)]
        for start in range(0, len(keys), TEXT_BATCH):
            rows = min(TEXT_BATCH, len(keys) - start)
            block = np.empty((rows, merge.plan.header.tag_dim), np.float32)
            source = np.full(rows, -1)
            for place, number in enumerate(known):
                low, high = np.searchsorted(numbers[place], [start, start + rows])
                rows_here, found = numbers[place][low:high] - start, embeddings[place][tags[place][low:high]]
                for row in np.flatnonzero(source[rows_here] >= 0).tolist():
                    at = rows_here[row]
                    if not is_same_embedding(found[row], block[at]):
                        raise _different(merge, source[at], number, keys[start + at])
                new = source[rows_here] < 0
                block[rows_here[new]], source[rows_here[new]] = found[new], number
            unknown = np.flatnonzero(source < 0)
            if text is not None and len(unknown):
                block[unknown] = text.tag_embeddings([keys[start + row] for row in unknown.tolist()])
            yield block


def _different(merge: Merge, one: int, other: int, key: str) -> StoreError:
    return StoreError(
        f"{merge.sources[one].path} and {merge.sources[other].path} have different embeddings of the tag {key!r}; their "
        "text models differ"
    )
