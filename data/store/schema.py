"""What a feature store holds: names, types and meaning of every array (``FORMAT.md`` describes the same for other readers).

Two shapes of column occur, and nothing else: *ragged* columns (``NAME/values`` with ``NAME/offsets``, row ``i`` being
``values[offsets[i]:offsets[i + 1]]``) and *fixed* columns (one value per video). Text is a ragged column of UTF-8 bytes.
Millions of videos are then a handful of flat arrays that open at once and are read at the speed of the disk.

Legend: V videos, F frames of all videos, U unique tags, E tag-embedding width.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import StoreError, reason_of
from ..foreign.json_reader import parse_json
from ..media import FeatureStatus, MediaKind, Split

FORMAT = "optsg-features"

LIBRARY_VERSION = "library_version"
"""What an encoder's description calls the version of its library: recorded, but with the same weights and
preprocessing no reason to refuse to add to a store."""

MADE_FROM = "made_from"
"""Key of an encoder's description; ``CORPUS`` where its vocabulary is made from the titles and tags of the store itself.
The encoder's ``digest`` is then known, and recorded, only with the finished store, and changes when videos with new
characters are added."""

CORPUS = "corpus"

TITLE_ENCODER = "title_encoder"
"""Key of a text encoder's description; ``UNTRAINED`` where the store's title encoder is random and learns in stage two."""

UNTRAINED = "untrained"

IMPORTED_FROM = "imported_from"
"""Key of an image encoder's description where features were not made by optsg: the name of the folder or file that they
came in; recorded, but several such folders may go into one store."""

FIRST_DECODING = 1
"""How files became pictures before there was a number for it: black behind transparent videos, stored instead of shown
shapes, turned instead of mirrored, the first of several video streams."""

DECODING = 3
"""How files become pictures: raised with every change after which some files give other features."""

VERSION = 2
KINDS: tuple[MediaKind, ...] = ("video", "image")


@dataclass(frozen=True, kw_only=True)
class ColumnSpec:
    """One ragged column: ``dtype`` of a value and, for rows of vectors, which header field gives their width."""

    dtype: str
    width_field: str | None = None


TEXT = ColumnSpec(dtype="uint8")
BYTES = ColumnSpec(dtype="uint8")
VIDEO_COLUMNS: Mapping[str, ColumnSpec] = {
    "videos/id": TEXT,
    "videos/title": TEXT,
    "videos/source": TEXT,
    "videos/note": TEXT,
    "videos/backend": TEXT,
    "videos/digest": BYTES,
    "videos/thumbnail": BYTES,
    "videos/tags": ColumnSpec(dtype="int32"),
    "videos/frames": ColumnSpec(dtype="float16", width_field="frame_dim"),
    "videos/times": ColumnSpec(dtype="float32"),
    "videos/patches": ColumnSpec(dtype="float16", width_field="patch_dim"),
}
"""One row per video."""

FIXED_COLUMNS: Mapping[str, str] = {
    "videos/split": "uint8",
    "videos/kind": "uint8",
    "videos/duration": "float32",
    "videos/status": "uint8",
    "videos/decode_seconds": "float32",
}
"""One value per video."""

FAILURE_COLUMNS: Mapping[str, ColumnSpec] = {
    **{f"failures/{name}": TEXT for name in ("id", "source", "stage", "error", "status")},
    "failures/digest": BYTES,
}
"""One row per input that gave no features."""

FAILURE_FIXED_COLUMNS: Mapping[str, str] = {"failures/seconds": "float32"}
"""One value per input that gave no features."""

SINCE_VERSION_2 = frozenset(
    f"{group}/{name}"
    for group, names in {
        "videos": ("status", "backend", "digest", "decode_seconds"),
        "failures": ("status", "digest", "seconds"),
    }.items()
    for name in names
)
"""Columns that stores of version 1 lack: status ok or failed, texts and digests empty, 0 seconds."""

TAG_COLUMNS: Mapping[str, ColumnSpec] = {"tags/key": TEXT, "tags/spelling": TEXT}
"""One row per unique tag."""

TITLE_TOKENS = "videos/title_tokens"
TAG_TOKENS = "tags/tokens"
TOKEN_COLUMNS: Mapping[str, ColumnSpec] = {
    TITLE_TOKENS: ColumnSpec(dtype="int32"),
    TAG_TOKENS: ColumnSpec(dtype="int32"),
}
"""Word-piece ids, present in a finished store only."""

RAGGED_COLUMNS: Mapping[str, ColumnSpec] = {**VIDEO_COLUMNS, **TOKEN_COLUMNS, **FAILURE_COLUMNS, **TAG_COLUMNS}

MEMBERS: Mapping[str, str] = {
    "videos/frames": "frames.npy",
    "videos/patches": "patches.npy",
    "videos/times": "times.npy",
    "videos/thumbnail": "thumbnail.jpg",
}
"""Columns whose values lie in the tar shards where the store is a folder, and the suffix of their members."""

SHARD_NUMBER = "shards/number"
"""Per video: which shard holds it; uint32."""


def shard_offset(column: str) -> str:
    """Name of the fixed int64 column with the place of a video's values in its shard, bytes; −1 where it has none."""
    return column.replace("videos/", "shards/")


TAG_EMBEDDING = "tags/embedding"
NIL_EMBEDDING = "text/nil_embedding"
TOKENIZER = "text/tokenizer"
TEXT_CONFIG = "text/config"
TEXT_WEIGHTS = "text/weights"


@dataclass(frozen=True, kw_only=True)
class ArrayForm:
    """Type and shape that an array must have: its values' ``dtype``, and all lengths but the first, or ``None`` for any shape."""

    dtype: str
    tail: tuple[int, ...] | None


def array_form(name: str, header: StoreHeader) -> ArrayForm:
    """What the array ``name`` of a store with this header must be.

    Raises:
        KeyError: a store has no such array.
    """
    if name.startswith(f"{TEXT_WEIGHTS}/"):
        return ArrayForm(dtype="float32", tail=None)
    column, _, part = name.rpartition("/")
    if column in RAGGED_COLUMNS and part == "offsets":
        return ArrayForm(dtype="int64", tail=())
    if column in RAGGED_COLUMNS and part == "values":
        spec = RAGGED_COLUMNS[column]
        tail = () if spec.width_field is None else (int(getattr(header, spec.width_field)),)
        return ArrayForm(dtype=spec.dtype, tail=tail)
    if name == TAG_EMBEDDING:
        return ArrayForm(dtype="float32", tail=(header.tag_dim,))
    return ArrayForm(dtype=_FLAT_ARRAYS[name], tail=())


_FLAT_ARRAYS: Mapping[str, str] = {
    **FIXED_COLUMNS,
    **FAILURE_FIXED_COLUMNS,
    NIL_EMBEDDING: "float32",
    TOKENIZER: "uint8",
    TEXT_CONFIG: "uint8",
    SHARD_NUMBER: "uint32",
    **{shard_offset(name): "int64" for name in MEMBERS},
}

WIDEST = 1 << 20
"""Values of a feature or an embedding."""


@dataclass(frozen=True, kw_only=True)
class StoreHeader:
    """How a store was made; JSON in the file's ``header`` attribute.

    Attributes:
        frame_dim: width of a video frame's feature.
        patch_dim: width of an image patch's feature.
        tag_dim: width E of a tag embedding.
        image_encoder, text_encoder: the encoders' own descriptions, enough to open the very same ones again.
        sampling: which frames were taken.
        optsg_version, created: of the extraction; ``created`` is ISO 8601, UTC.
        preset: name of the preset, or ``None`` where the encoders were named one by one.
        part: which part of the corpus it holds, as :class:`optsg.data.corpus_part.CorpusPart` writes it; ``None`` for all of
            it.
        decoding: how files became pictures (:data:`DECODING`). Features of different numbers go into no store together; a
            run may be trained on one and used on another, since few files differ.
    """

    frame_dim: int
    patch_dim: int
    tag_dim: int
    image_encoder: Mapping[str, Any]
    text_encoder: Mapping[str, Any]
    sampling: Mapping[str, Any]
    optsg_version: str
    created: str
    preset: str | None = None
    part: str | None = None
    decoding: int = FIRST_DECODING

    def to_json(self) -> str:
        """The header as JSON text with sorted keys; what is as it was before there was a field for it is left out."""
        unsaid = {"part": None, "decoding": FIRST_DECODING}
        values = {name: value for name, value in asdict(self).items() if name not in unsaid or value != unsaid[name]}
        return json.dumps(values, sort_keys=True, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> StoreHeader:
        """Inverse of :meth:`to_json`; unknown or missing fields raise :class:`StoreError`."""
        try:
            header = cls(**parse_json(text))
            header._check_types()
        except (TypeError, ValueError) as error:
            expected = ", ".join(field.name for field in fields(cls))
            reason = reason_of(error)
            raise StoreError(f"the store's header cannot be read ({reason}); expected the fields {expected}") from error
        return header

    def _check_types(self) -> None:
        for name in ("frame_dim", "patch_dim", "tag_dim"):
            width = getattr(self, name)
            if type(width) is not int or not 0 <= width <= WIDEST:
                raise ValueError(f"{name} is no number from 0 to {WIDEST:,}")
        for name in ("image_encoder", "text_encoder", "sampling"):
            if not isinstance(getattr(self, name), dict):
                raise ValueError(f"{name} is no object")
        for name in ("optsg_version", "created", "preset", "part"):
            if not isinstance(getattr(self, name), str | None):
                raise ValueError(f"{name} is no text")

    def differences(self, other: StoreHeader) -> list[str]:
        """Settings in which two extractions differ, one line each.

        Versions, dates, preset names, parts and folders of imported features do not count.
        """
        lines: list[str] = []
        for name in ("frame_dim", "patch_dim", "tag_dim", "image_encoder", "text_encoder", "sampling", "decoding"):
            ours, theirs = getattr(self, name), getattr(other, name)
            if isinstance(ours, Mapping):
                keys = sorted((set(ours) | set(theirs)) - {LIBRARY_VERSION, IMPORTED_FROM})
                lines += [
                    f"{name}.{k}: {ours.get(k)!r} ≠ {theirs.get(k)!r}" for k in keys if ours.get(k) != theirs.get(k)
                ]
            elif ours != theirs:
                lines.append(f"{name}: {ours!r} ≠ {theirs!r}")
        return lines

    @property
    def title_encoder_is_untrained(self) -> bool:
        """Whether stage two has to train the title encoder from nothing."""
        return self.text_encoder.get(TITLE_ENCODER) == UNTRAINED

    def before_corpus(self) -> StoreHeader:
        """The header as it was before the store's own titles and tags were known."""
        if self.text_encoder.get(MADE_FROM) != CORPUS:
            return self
        return replace(self, text_encoder={key: v for key, v in self.text_encoder.items() if key != "digest"})

    def with_corpus(self, digest: str) -> StoreHeader:
        """The header of the finished store; ``digest`` is empty where the text encoder does not depend on the store."""
        return replace(self, text_encoder={**self.text_encoder, "digest": digest}) if digest else self


def encoder_identity(spec: Mapping[str, Any]) -> Any:
    """What must be equal for two encoders to give the same features: the weights' digest, else the description."""
    return spec.get("digest") or {key: value for key, value in spec.items() if key != IMPORTED_FROM}


@dataclass(frozen=True, kw_only=True)
class VideoFeatures:
    """What stage one keeps of one video or image.

    Attributes:
        duration: seconds; NaN if unknown, 0 for an image.
        frames: (M, frame_dim) float16; M = 0 for an image.
        times: (M,) float32, seconds from the start of the video.
        patches: (P, patch_dim) float16; P = 0 for a video.
        thumbnail: a small JPEG for reports, ``b""`` if there is none.
        status: whether all frames that should be there are.
        note: what was odd about the source though features could be had ("truncated: …"), else ``""``.
        backend: the decoder with its version and that of its FFmpeg; empty if unknown.
        digest: of the source's bytes (``sha256:…``); empty if unknown.
        decode_seconds: processor time of decoding and preprocessing.
    """

    id: str
    title: str
    tags: tuple[str, ...]
    split: Split
    source: str
    kind: MediaKind
    duration: float
    frames: NDArray[np.float16]
    times: NDArray[np.float32]
    patches: NDArray[np.float16]
    thumbnail: bytes = b""
    status: FeatureStatus = "ok"
    note: str = ""
    backend: str = ""
    digest: str = ""
    decode_seconds: float = 0.0


@dataclass(frozen=True, kw_only=True)
class TextModelTables:
    """What stage two needs of the text encoder, so that it never asks a model hub.

    Attributes:
        tokenizer_json: a ``tokenizers.Tokenizer`` as JSON.
        config_json: Hugging Face configuration of the text model, whose first layers start the title encoder.
        weights: state dict of that model, float32.
        title_tokens: titles to word-piece ids with special tokens, at most 40 each.
        tag_tokens: tag keys to word-piece ids without special tokens.
        tag_embeddings: n tag keys to (n, E) float32.
        nil_embedding: (E,) float32, the embedding of the text "[PAD]".
        corpus_digest: of an encoder that is made from the store's own titles and tags; empty for all others.
    """

    tokenizer_json: str
    config_json: str
    weights: Mapping[str, NDArray[Any]]
    title_tokens: Callable[[Sequence[str]], list[list[int]]]
    tag_tokens: Callable[[Sequence[str]], list[list[int]]]
    tag_embeddings: Callable[[Sequence[str]], NDArray[np.float32]]
    nil_embedding: NDArray[np.float32]
    corpus_digest: str = ""


DIGEST_PREFIX = "sha256:"
_DIGEST_BYTES = 32


def digest_to_bytes(digest: str) -> bytes:
    """``sha256:…`` as its 32 bytes; empty stays empty.

    Raises:
        ValueError: it is something else.
    """
    if not digest:
        return b""
    raw = bytes.fromhex(digest.removeprefix(DIGEST_PREFIX)) if digest.startswith(DIGEST_PREFIX) else b""
    if len(raw) != _DIGEST_BYTES:
        raise ValueError(f"{digest!r} is no digest; expected sha256: and 64 hexadecimal digits")
    return raw


def digest_from_bytes(raw: bytes) -> str:
    """Inverse of :func:`digest_to_bytes`."""
    return DIGEST_PREFIX + raw.hex() if raw else ""
