"""Reading feature stores: ``open_store`` for a finished one, ``open_part`` for a part of one being made."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..errors import StoreError, reason_of
from ..foreign.json_reader import JSON_DAMAGE, parse_json
from ..media import FEATURE_STATUSES, SPLITS, FeatureStatus, MediaKind, Split
from ..tags import current_keys
from . import schema
from .arrays import StoreArrays, StoreRole
from .hdf5.columns import all_texts, checked_dataset, group_names, hdf5_damage, row_bytes, row_text
from .row_blocks import RaggedBlock, RowBlock
from .schema import VideoFeatures

Name = TypeVar("Name")

NAMES_OF: Mapping[str, Sequence[str]] = {
    "videos/split": SPLITS,
    "videos/kind": schema.KINDS,
    "videos/status": FEATURE_STATUSES,
}
"""What the numbers of fixed columns stand for."""

ROWS_AT_ONCE = 1 << 16
"""Videos whose tags or titles are counted together: fast, and a few megabytes."""


def open_store(path: str | Path) -> FeatureStore:
    """Opens a finished feature store: an HDF5 file or a folder of WebDataset shards.

    Raises:
        StoreVersionError: a newer optsg wrote it.
        StoreError: it is missing, not a store, unfinished or damaged.
    """
    return FeatureStore(Path(path), role="store")


def open_part(path: Path) -> FeatureStore:
    """Opens one part of a store that is being made; errors as :func:`open_store`."""
    return FeatureStore(path, role="part")


class FeatureStore(StoreArrays):
    """A feature store opened for reading; arrays are mapped into memory, so opening is instant at any size.

    Both forms are read the same way: one HDF5 file, or a folder of shards whose tables are such a file without the large
    arrays. A store can be pickled (it is opened again) and used after a fork.

    Attributes:
        path: the file or the folder.
        header: how it was made.
        splits: (V,) uint8, index into :data:`optsg.data.media.SPLITS`.
        tag_keys, tag_spellings: U strings.
        failures: inputs that gave no features.
    """

    _other_splits: NDArray[np.uint8] | None = None

    @cached_property
    def tag_keys(self) -> list[str]:
        """Identities of the U tags, in the order of the tag table."""
        return current_keys(all_texts(self._others["tags/key"]))

    @cached_property
    def tag_spellings(self) -> list[str]:
        """Spellings of the U tags, in the order of the tag table."""
        return all_texts(self._others["tags/spelling"])

    def id(self, row: int) -> str:
        """Id of video ``row``, unique in the store."""
        return row_text(self._columns["videos/id"], row)

    def ids(self) -> list[str]:
        """Ids of all videos in the order of the store."""
        return all_texts(self._columns["videos/id"])

    def title(self, row: int) -> str:
        """Title of video ``row``; empty if it has none."""
        return row_text(self._columns["videos/title"], row)

    def source(self, row: int) -> str:
        """Where video ``row`` came from."""
        return row_text(self._columns["videos/source"], row)

    def note(self, row: int) -> str:
        """What was odd about the source of video ``row``; mostly empty."""
        return row_text(self._columns["videos/note"], row)

    def status(self, row: int) -> FeatureStatus:
        """Whether all frames that should be there are, for video ``row``."""
        return self._name_of("videos/status", row, FEATURE_STATUSES)

    def backend(self, row: int) -> str:
        """The decoder of video ``row`` with its version; empty if unknown."""
        return row_text(self._columns["videos/backend"], row)

    def digest(self, row: int) -> str:
        """``sha256:…`` of the source of video ``row``; empty if unknown."""
        return schema.digest_from_bytes(row_bytes(self._columns["videos/digest"], row))

    def decode_seconds(self, row: int) -> float:
        """Processor time of decoding video ``row``; 0 if unknown."""
        return float(self._fixed["videos/decode_seconds"][row])

    def thumbnail(self, row: int) -> bytes:
        """A small JPEG of video ``row``; empty if the store has none."""
        return row_bytes(self._columns["videos/thumbnail"], row)

    def duration(self, row: int) -> float:
        """Length of video ``row`` in seconds; NaN if unknown, 0 for an image."""
        return float(self._fixed["videos/duration"][row])

    def kind(self, row: int) -> MediaKind:
        """Whether ``row`` is a ``video`` with frames or an ``image`` with patches."""
        return self._name_of("videos/kind", row, schema.KINDS)

    def _name_of(self, column: str, row: int, names: Sequence[Name]) -> Name:
        number = int(self._fixed[column][row])
        if number >= len(names):
            raise self.damage(f"{column} holds the number {number}, expected less than {len(names)}")
        return names[number]

    def numbers(self, column: str) -> NDArray[np.uint8]:
        """(V,) a fixed column of numbers that stand for names, such as ``videos/kind``.

        Raises:
            StoreError: a number stands for nothing.
        """
        names, values = NAMES_OF[column], self._fixed[column]
        if len(values) and int(values.max()) >= len(names):
            raise self.damage(f"{column} holds the number {int(values.max())}, expected less than {len(names)}")
        return values

    def block(self, start: int, stop: int) -> RowBlock:
        """As of :class:`StoreArrays`, to be written into another store.

        Raises:
            StoreError: a number stands for nothing.
        """
        block = super().block(start, stop)
        for column, names in NAMES_OF.items():
            self._check_numbers(column, [block.fixed[column]], len(names))
        self._check_numbers("videos/tags", [block.ragged["videos/tags"].values], len(self._others["tags/key"]))
        return block

    def _check_numbers(self, column: str, numbers: Iterable[NDArray[np.int32]], below: int) -> None:
        """Raises StoreError where an array has a number outside ``range(below)``."""
        for values in numbers:
            if values.size and (int(values.min()) < 0 or int(values.max()) >= below):
                raise self.damage(f"{column} holds numbers outside 0 to {below - 1:,}")

    def damage(self, what: str) -> StoreError:
        """The error for something in the file that no writer of stores leaves behind."""
        return StoreError(f"{self.path} is damaged: {what}; optsg-store verify says which videos")

    @cached_property
    def _word_pieces(self) -> int:
        """Rows of the title encoder's word embeddings, which every token of a title is one of."""
        try:
            return int(parse_json(self.title_encoder_config)["vocab_size"])
        except JSON_DAMAGE as error:
            raise self.damage(f"text/config does not say the number of word pieces ({reason_of(error)})") from error

    def frames(self, row: int) -> NDArray[np.float16]:
        """Frame features of video ``row``, (M, frame_dim) float16; M is 0 for an image."""
        return self._columns["videos/frames"][row]

    def times(self, row: int) -> NDArray[np.float32]:
        """Presentation times of the frames of video ``row``, (M,) seconds."""
        return self._columns["videos/times"][row]

    def patches(self, row: int) -> NDArray[np.float16]:
        """Patch features of image ``row``, (P, patch_dim) float16; P is 0 for a video."""
        return self._columns["videos/patches"][row]

    def model_inputs(
        self, rows: NDArray[np.int64]
    ) -> tuple[list[NDArray[np.float16]], list[NDArray[np.float16]], list[NDArray[np.int32]], list[NDArray[np.int32]]]:
        """Frames, patches, title tokens and tags of some videos, as the methods of those names give them one by one."""
        names = ("videos/frames", "videos/patches", schema.TITLE_TOKENS, "videos/tags")
        frames, patches, title_tokens, tags = (self._columns[name].take(rows) for name in names)
        if len(rows):
            self._check_numbers(schema.TITLE_TOKENS, [np.concatenate(title_tokens)], self._word_pieces)
            self._check_numbers("videos/tags", [np.concatenate(tags)], len(self._others["tags/key"]))
        return frames, patches, title_tokens, tags

    def read_ahead(self, rows: NDArray[np.int64]) -> None:
        """Lets the operating system read frames and patches of some videos from the disk in the background."""
        for name in ("videos/frames", "videos/patches"):
            self._columns[name].read_ahead(rows)

    def visual_lengths(self) -> NDArray[np.int64]:
        """(V,) frames plus patches of every video."""
        return self._columns["videos/frames"].lengths() + self._columns["videos/patches"].lengths()

    def patch_lengths(self) -> NDArray[np.int64]:
        """(V,) patches of every video; 0 for those that are no image."""
        return self._columns["videos/patches"].lengths()

    def tags(self, row: int) -> NDArray[np.int32]:
        """Tags of video ``row`` as indices into the tag table."""
        tags = self._columns["videos/tags"][row]
        self._check_numbers("videos/tags", [tags], len(self._others["tags/key"]))
        return tags

    def tags_of(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.int32], ...]:
        """:meth:`tags` of some videos, at least one."""
        tags = self._columns["videos/tags"].take(rows)
        self._check_numbers("videos/tags", [np.concatenate(tags)], len(self._others["tags/key"]))
        return tuple(tags)

    def tag_lengths(self) -> NDArray[np.int64]:
        """(V,) number of tags of every video."""
        return self._columns["videos/tags"].lengths()

    def title_lengths(self) -> NDArray[np.int64]:
        """(V,) word pieces of every title, special tokens among them."""
        return self._columns[schema.TITLE_TOKENS].lengths()

    def tag_piece_counts(self) -> NDArray[np.int64]:
        """(V,) word pieces of all tags of every video."""
        counts = np.zeros(len(self), np.int64)
        of_tag = self._others[schema.TAG_TOKENS].lengths()
        for start, block in self._blocks_of("videos/tags"):
            self._check_numbers("videos/tags", [block.values], len(of_tag))
            videos = np.repeat(np.arange(len(block)), block.lengths)
            counts[start : start + len(block)] = np.bincount(videos, of_tag[block.values], len(block))
        return counts

    def tag_counts(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """(U,) how many of the videos ``rows`` have each tag."""
        is_counted = np.zeros(len(self), np.bool_)
        is_counted[rows] = True
        counts = np.zeros(len(self._others["tags/key"]), np.int64)
        for start, block in self._blocks_of("videos/tags"):
            self._check_numbers("videos/tags", [block.values], len(counts))
            used = block.values[np.repeat(is_counted[start : start + len(block)], block.lengths)]
            counts += np.bincount(used, minlength=len(counts))
        return counts

    def title_pieces(self) -> NDArray[np.int32]:
        """The word pieces that occur in titles, rising, special tokens among them."""
        found = np.empty(0, np.int32)
        for _, block in self._blocks_of(schema.TITLE_TOKENS):
            self._check_numbers(schema.TITLE_TOKENS, [block.values], self._word_pieces)
            found = np.union1d(found, block.values)
        return found

    def _blocks_of(self, name: str) -> Iterator[tuple[int, RaggedBlock]]:
        """A ragged column in pieces, each with its first row."""
        column = self._columns[name]
        for start in range(0, len(self), ROWS_AT_ONCE):
            yield start, column.block(start, min(start + ROWS_AT_ONCE, len(self)))

    def title_tokens(self, row: int) -> NDArray[np.int32]:
        """Word-piece ids of the title with special tokens, at most 40."""
        return self._columns[schema.TITLE_TOKENS][row]

    def tag_tokens(self, tag: int) -> NDArray[np.int32]:
        """Word-piece ids of tag number ``tag`` without special tokens."""
        return self._others[schema.TAG_TOKENS][tag]

    @cached_property
    def splits(self) -> NDArray[np.uint8]:
        """Split of every video, (V,) index into ``SPLITS``."""
        return self.numbers("videos/split") if self._other_splits is None else self._other_splits

    def with_splits(self, splits: NDArray[np.uint8]) -> FeatureStore:
        """The same opened store with its videos in other sets (V,). The file stays as it is, and is closed with either."""
        other = object.__new__(FeatureStore)
        other.__dict__.update({name: value for name, value in vars(self).items() if name != "splits"})
        other._other_splits = splits
        return other

    def indices(self, split: Split) -> NDArray[np.int64]:
        """Rows of a split.

        Raises:
            StoreError: the split is empty; the message names those that are there.
        """
        rows = np.flatnonzero(self.splits == SPLITS.index(split)) if split in SPLITS else np.empty(0, np.int64)
        if not len(rows):
            counts = {name: int(np.sum(self.splits == number)) for number, name in enumerate(SPLITS)}
            present = ", ".join(f"{name} ({count})" for name, count in counts.items() if count) or "no videos"
            raise StoreError(f"{self.path} has no videos in split {split!r}; it has {present}")
        return rows

    @property
    def tag_embeddings(self) -> NDArray[np.float32]:
        """Embeddings of the tags by the frozen text model, (U, E) float32."""
        return self.array(schema.TAG_EMBEDDING)

    @property
    def nil_embedding(self) -> NDArray[np.float32]:
        """Embedding of the text "[PAD]", (E,) float32."""
        return self.array(schema.NIL_EMBEDDING)

    @property
    def tokenizer_json(self) -> str:
        """The text model's tokenizer as the JSON of a ``tokenizers.Tokenizer``."""
        return self._text(schema.TOKENIZER)

    def _text(self, name: str) -> str:
        try:
            return self.array(name).tobytes().decode()
        except UnicodeDecodeError as error:
            raise self.damage(f"{name} is not UTF-8") from error

    @property
    def title_encoder_config(self) -> str:
        """Hugging Face configuration of the title encoder as JSON."""
        return self._text(schema.TEXT_CONFIG)

    def finite_embeddings(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Copies of :attr:`tag_embeddings` and :attr:`nil_embedding`, to learn from.

        Raises:
            StoreError: some are infinite or no numbers.
        """
        tags, nil = np.array(self.tag_embeddings), np.array(self.nil_embedding)
        for name, values in ((schema.TAG_EMBEDDING, tags), (schema.NIL_EMBEDDING, nil)):
            if not np.isfinite(values).all():
                raise self.damage(f"{name} has values that are not finite")
        return tags, nil

    def title_encoder_weights(self, *, finite: bool = True) -> dict[str, NDArray[Any]]:
        """State dict of the title encoder, float32.

        Raises:
            StoreError: it is damaged, or, where they have to be ``finite``, some weights are infinite or no numbers.
        """
        weights: dict[str, NDArray[Any]] = {}
        left = self._file_path.stat().st_size
        for name in group_names(self._file, schema.TEXT_WEIGHTS, self._file_path):
            full_name = f"{schema.TEXT_WEIGHTS}/{name}"
            form = schema.array_form(full_name, self.header)
            dataset = checked_dataset(self._file, full_name, self._file_path, form)
            left -= dataset.nbytes
            if left < 0:
                raise StoreError(f"{self._file_path}: weights of the title encoder share their bytes; it is damaged")
            with hdf5_damage(self._file_path):
                weights[name] = dataset[()]
            if finite and not np.isfinite(weights[name]).all():
                raise self.damage(f"{full_name} has values that are not finite")
        return weights

    def features(self, row: int) -> VideoFeatures:
        """Everything about video ``row`` as it was appended."""
        return VideoFeatures(
            id=self.id(row),
            title=self.title(row),
            tags=tuple(self.tag_spellings[tag] for tag in self.tags(row)),
            split=SPLITS[int(self.splits[row])],
            source=self.source(row),
            kind=self.kind(row),
            duration=self.duration(row),
            frames=self.frames(row),
            times=self.times(row),
            patches=self.patches(row),
            thumbnail=self.thumbnail(row),
            status=self.status(row),
            note=self.note(row),
            backend=self.backend(row),
            digest=self.digest(row),
            decode_seconds=self.decode_seconds(row),
        )

    def __reduce__(self) -> tuple[Callable[..., FeatureStore], tuple[Any, ...]]:
        return _opened_again, (self.path, self.role, self._other_splits)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _opened_again(path: Path, role: StoreRole, splits: NDArray[np.uint8] | None) -> FeatureStore:
    store = FeatureStore(path, role=role)
    return store if splits is None else store.with_splits(splits)
