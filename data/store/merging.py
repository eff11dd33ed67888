"""Stores made of stores: the parts of one extraction, or finished stores of different inputs.

Parts, and a store that was finished before, become one finished store with each id once; the text encoder makes tokens and
embeddings (:func:`merge_parts`). Of finished stores, for instance of parts of a corpus, nothing may be there twice and no text
encoder is needed: tokens, embeddings and the title encoder are taken over (:func:`merge_stores`). Only where the text model is
made from the store's own titles and tags is it made anew, from all of them. Videos are copied a block at a time.

Legend: V videos, U tags of all stores, E width of a tag embedding.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..corpus_part import CorpusPart, describe_parts
from ..errors import StoreError, StoreWriteError
from ..media import Failure
from . import schema
from .corpus import StoredTexts
from .feature_store import FeatureStore, open_part, open_store
from .files import recover_store
from .merge_checks import check_overlap, check_settings, check_text_models, is_same_embedding, joint_part
from .plan import StorePlan, TagTableBuilder, TextTables
from .row_blocks import RaggedBlock, RowBlock, cut_rows
from .schema import StoreHeader, TextModelTables
from .writing import Progress, write_store

TextMaker = Callable[[StoreHeader, Iterable[str]], TextModelTables]
"""Makes the text model of a header from all titles and tags, where it is made from them."""


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
    recover_store(out)
    for path in paths:
        if out.exists() and path.exists() and out.samefile(path):
            raise StoreWriteError(f"{out} is one of the stores to merge; choose another name")
    if out.exists() and not overwrite:
        raise StoreWriteError(f"{out} exists already; choose another name, or add --overwrite to replace it")
    with ExitStack() as stack:
        stores = [stack.enter_context(open_store(path)) for path in paths]
        check_settings(stores)
        part = joint_part(stores)
        check_overlap(stores)
        if not sum(map(len, stores)):
            raise StoreError(f"there is no video in {_named(paths)}; nothing was merged")
        stores = _by_part(stores)
        if stores[0].header.text_encoder.get(schema.MADE_FROM) == schema.CORPUS:
            _write_with_new_text(stores, out, part, make_text, input_order, progress)
        else:
            check_text_models(stores)
            _write(stores, out, part, input_order, progress)
    missing = part.missing if part is not None else ()
    verb = "is" if len(missing) == 1 else "are"
    return [f"{describe_parts(missing, part.of)} {verb} missing"] if part is not None and missing else []


def _named(paths: Sequence[Path]) -> str:
    return ", ".join(map(str, paths[:3])) + (f" and {len(paths) - 3:,} more" if len(paths) > 3 else "")


def _by_part(stores: Sequence[FeatureStore]) -> list[FeatureStore]:
    """By number of their part where all have one, else as they were given."""
    parts = [None if store.header.part is None else CorpusPart.parse(store.header.part).numbers for store in stores]
    if None in parts:
        return list(stores)
    return [stores[place] for place in sorted(range(len(stores)), key=lambda place: parts[place] or ())]


@dataclass(frozen=True, kw_only=True)
class _Join:
    """What the merged store takes from where.

    Attributes:
        stores: in order of parts.
        order: of the videos.
        tag_numbers: per store (its tags,) the number of each of its tags in the merged store; −1 where no video uses it.
        plan: of the merged store.
    """

    stores: Sequence[FeatureStore]
    order: RowOrder
    tag_numbers: Sequence[NDArray[np.int32]]
    plan: StorePlan


def _write(
    stores: Sequence[FeatureStore],
    out: Path,
    part: CorpusPart | None,
    input_order: Iterable[str] | None,
    progress: Progress | None,
) -> None:
    """All of the text model is taken over."""
    columns = (*schema.VIDEO_COLUMNS, schema.TITLE_TOKENS)
    join = _join(stores, _joint_header(stores, part), input_order, columns)
    for _ in _embeddings(join):  # all are compared before anything is written
        pass
    blocks = gather(stores, join.order, lambda number, block: _renumbered(block, join.tag_numbers[number]))
    write_store(out, join.plan, blocks, lambda: _text_of(join), progress=progress)


def _write_with_new_text(
    stores: Sequence[FeatureStore],
    out: Path,
    part: CorpusPart | None,
    make_text: TextMaker,
    input_order: Iterable[str] | None,
    progress: Progress | None,
) -> None:
    """Text model, tokens and embeddings are made from the titles and tags of all stores."""
    header = _joint_header(stores, part)
    texts = itertools.chain.from_iterable(StoredTexts([], base=store.path) for store in stores)
    text = make_text(header, texts)
    join = _join(stores, header.with_corpus(text.corpus_digest), input_order, tuple(schema.VIDEO_COLUMNS))

    def changed(number: int, block: RowBlock) -> RowBlock:
        block = _renumbered(block, join.tag_numbers[number])
        return replace(block, ragged={**block.ragged, schema.TITLE_TOKENS: title_tokens(block, text)})

    blocks = gather(stores, join.order, changed)
    write_store(out, join.plan, blocks, lambda: text_tables(text, join.plan, None), progress=progress)


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


def _join(
    stores: Sequence[FeatureStore], header: StoreHeader, input_order: Iterable[str] | None, columns: Sequence[str]
) -> _Join:
    places = {} if input_order is None else {name: place for place, name in enumerate(input_order)}
    order = _row_order(stores, places)
    tags = TagTableBuilder()
    tag_numbers = _number_tags(stores, order, tags)
    plan = StorePlan(
        header=header,
        videos=len(order),
        values={name: sum(int(store.column(name).lengths().sum()) for store in stores) for name in columns},
        tag_keys=tags.keys(),
        tag_spellings=tags.spellings(),
        failures=_failures(stores, places),
    )
    return _Join(stores=stores, order=order, tag_numbers=tag_numbers, plan=plan)


def _row_order(stores: Sequence[FeatureStore], places: dict[str, int]) -> RowOrder:
    sources = np.repeat(np.arange(len(stores)), [len(store) for store in stores])
    rows = np.concatenate([np.arange(len(store)) for store in stores])
    if places:
        last = len(places)
        place = np.array([places.get(name, last) for store in stores for name in store.ids()], np.int64)
        by_place = np.argsort(place, kind="stable")
        sources, rows = sources[by_place], rows[by_place]
    return RowOrder(sources=sources, rows=rows)


def _failures(stores: Sequence[FeatureStore], places: dict[str, int]) -> list[Failure]:
    failures = [failure for store in stores for failure in store.failures]
    return sorted(failures, key=lambda failure: places.get(failure.id, len(places)))


def _number_tags(stores: Sequence[FeatureStore], order: RowOrder, tags: TagTableBuilder) -> list[NDArray[np.int32]]:
    """Fills the joint tag table in order of first use; the number of each store's tags in it."""
    uses: list[tuple[int, int, int, int]] = []
    most = 1 + max(int(store.column("videos/tags").lengths().max(initial=0)) for store in stores)
    for number, store in enumerate(stores):
        column = store.column("videos/tags")
        lengths = column.lengths()
        within = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        place = np.repeat(order.places(number), lengths) * most + within
        found, inverse, counts = np.unique(column.block(0, len(store)).values, return_inverse=True, return_counts=True)
        first = np.full(len(found), np.iinfo(np.int64).max)
        np.minimum.at(first, inverse, place)
        uses += [
            (at, number, tag, count)
            for at, tag, count in zip(first.tolist(), found.tolist(), counts.tolist(), strict=True)
        ]
    numbers = [np.full(len(store.tag_keys), -1, np.int32) for store in stores]
    for _, number, tag, count in sorted(uses):
        store = stores[number]
        numbers[number][tag] = tags.count(store.tag_keys[tag], store.tag_spellings[tag], count)
    return numbers


def _renumbered(block: RowBlock, numbers: NDArray[np.int32]) -> RowBlock:
    tags = block.ragged["videos/tags"]
    return replace(block, ragged={**block.ragged, "videos/tags": replace(tags, values=numbers[tags.values])})


def _text_of(join: _Join) -> TextTables:
    first = join.stores[0]
    tokens: list[list[int]] = [[] for _ in join.plan.tag_keys]
    for store, numbers in zip(join.stores, join.tag_numbers, strict=True):
        for tag in np.flatnonzero(numbers >= 0).tolist():
            tokens[numbers[tag]] = store.tag_tokens(tag).tolist()
    return TextTables(
        tag_tokens=RaggedBlock.of_rows(tokens),
        tag_embeddings=_embeddings(join),
        nil_embedding=first.nil_embedding,
        tokenizer=first.array(schema.TOKENIZER).tobytes(),
        config=first.array(schema.TEXT_CONFIG).tobytes(),
        weights=first.title_encoder_weights(),
    )


def _embeddings(join: _Join) -> Iterator[NDArray[np.float32]]:
    """Blocks of (n, E), together (U, E): each tag's embedding from the first store that has it.

    Raises:
        StoreError: another store has another embedding for the same text.
    """
    embeddings = [store.tag_embeddings for store in join.stores]
    by_number = [np.argsort(numbers, kind="stable") for numbers in join.tag_numbers]
    for start in range(0, len(join.plan.tag_keys), TEXT_BATCH):
        rows = min(TEXT_BATCH, len(join.plan.tag_keys) - start)
        block = np.empty((rows, join.plan.header.tag_dim), np.float32)
        source = np.full(rows, -1)
        for number, (numbers, tags) in enumerate(zip(join.tag_numbers, by_number, strict=True)):
            low, high = np.searchsorted(numbers[tags], [start, start + rows])
            here = tags[low:high]
            places, values = numbers[here] - start, embeddings[number][here]
            for place in places[source[places] >= 0].tolist():
                if not is_same_embedding(values[places == place][0], block[place]):
                    one, other = join.stores[source[place]].path, join.stores[number].path
                    raise StoreError(
                        f"{one} and {other} have different embeddings of the tag {join.plan.tag_keys[start + place]!r}; "
                        "their text models differ"
                    )
            new = source[places] < 0
            block[places[new]], source[places[new]] = values[new], number
        yield block


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
        tag_embeddings=_part_embeddings(text, plan, earlier),
        nil_embedding=text.nil_embedding,
        tokenizer=text.tokenizer_json.encode(),
        config=text.config_json.encode(),
        weights=text.weights,
    )


def _part_embeddings(
    text: TextModelTables, plan: StorePlan, earlier: _Selection | None
) -> Iterator[NDArray[np.float32]]:
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


Change = Callable[[int, RowBlock], RowBlock]
"""Makes rows of the store with that number into rows of the new one."""


@dataclass(frozen=True, kw_only=True)
class RowOrder:
    """Which row comes where.

    Attributes:
        sources: (V,) number of the store that each video comes from.
        rows: (V,) its row there.
    """

    sources: NDArray[np.int64]
    rows: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.rows)

    def places(self, source: int) -> NDArray[np.int64]:
        """Where every row of a store comes, all of them being in the order."""
        chosen = np.flatnonzero(self.sources == source)
        places = np.empty(len(chosen), np.int64)
        places[self.rows[chosen]] = chosen
        return places


def gather(stores: Sequence[FeatureStore], order: RowOrder, change: Change) -> Iterator[RowBlock]:
    """All videos in that order; memory stays flat, and rows that follow each other in a store are read at once."""
    sizes = np.empty(len(order), np.int64)
    for number, store in enumerate(stores):
        sizes[order.places(number)] = store.row_bytes()
    for start, stop in cut_rows(np.ones(len(order), np.bool_), sizes):
        sources, rows = order.sources[start:stop], order.rows[start:stop]
        by_store = np.lexsort((rows, sources))
        blocks = [
            change(number, stores[number].block(first, last)) for number, first, last in _runs(sources, rows, by_store)
        ]
        yield blocks[0] if len(blocks) == 1 else _arranged(blocks, np.argsort(by_store))
        for number in np.unique(sources).tolist():
            stores[number].release()


def _runs(
    sources: NDArray[np.int64], rows: NDArray[np.int64], by_store: NDArray[np.int64]
) -> Iterator[tuple[int, int, int]]:
    """Store, first row and end of all runs of consecutive rows."""
    numbers, sorted_rows = sources[by_store], rows[by_store]
    breaks = np.flatnonzero((np.diff(numbers) != 0) | (np.diff(sorted_rows) != 1)) + 1
    for begin, end in zip([0, *breaks.tolist()], [*breaks.tolist(), len(rows)], strict=True):
        yield int(numbers[begin]), int(sorted_rows[begin]), int(sorted_rows[end - 1]) + 1


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
