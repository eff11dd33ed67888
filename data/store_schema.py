"""What a feature store holds: names, types and meaning of every array (``FORMAT.md`` describes the same for other readers).

Two shapes of column occur, and nothing else: *ragged* columns (``NAME/values`` with ``NAME/offsets``, row ``i`` being
``values[offsets[i]:offsets[i + 1]]``) and *fixed* columns (one value per video). Text is a ragged column of UTF-8 bytes.
Millions of videos are then a handful of flat arrays that open at once and are read at the speed of the disk.

Legend: V videos, F frames of all videos, U unique tags, E tag-embedding width.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import StoreError
from .media import FeatureStatus, MediaKind, Split

FORMAT = "optsg-features"
VERSION = 1
KINDS: tuple[MediaKind, ...] = ("video", "image")


@dataclass(frozen=True, kw_only=True)
class ColumnSpec:
    """One ragged column: ``dtype`` of a value and, for rows of vectors, which header field gives their width."""

    dtype: str
    width_field: str | None = None


TEXT = ColumnSpec(dtype="uint8")
VIDEO_COLUMNS: Mapping[str, ColumnSpec] = {
    "videos/id": TEXT,
    "videos/title": TEXT,
    "videos/source": TEXT,
    "videos/note": TEXT,
    "videos/thumbnail": ColumnSpec(dtype="uint8"),
    "videos/tags": ColumnSpec(dtype="int32"),
    "videos/frames": ColumnSpec(dtype="float16", width_field="frame_dim"),
    "videos/times": ColumnSpec(dtype="float32"),
    "videos/patches": ColumnSpec(dtype="float16", width_field="patch_dim"),
}
"""One row per video."""

FIXED_COLUMNS: Mapping[str, str] = {"videos/split": "uint8", "videos/kind": "uint8", "videos/duration": "float32"}
"""One value per video."""

FAILURE_COLUMNS: Mapping[str, ColumnSpec] = {f"failures/{name}": TEXT for name in ("id", "source", "stage", "error")}
"""One row per input that gave no features."""

TAG_COLUMNS: Mapping[str, ColumnSpec] = {"tags/key": TEXT, "tags/spelling": TEXT}
"""One row per unique tag."""

TOKEN_COLUMNS: Mapping[str, ColumnSpec] = {
    "videos/title_tokens": ColumnSpec(dtype="int32"),
    "tags/tokens": ColumnSpec(dtype="int32"),
}
"""Word-piece ids, present in a finished store only."""

TAG_EMBEDDING = "tags/embedding"
NIL_EMBEDDING = "text/nil_embedding"
TOKENIZER = "text/tokenizer"
TEXT_CONFIG = "text/config"
TEXT_WEIGHTS = "text/weights"


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

    def to_json(self) -> str:
        """The header as JSON text with sorted keys."""
        return json.dumps(asdict(self), sort_keys=True, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> StoreHeader:
        """Inverse of :meth:`to_json`; unknown or missing fields raise :class:`StoreError`."""
        try:
            values = json.loads(text)
            return cls(**values)
        except (TypeError, ValueError) as error:
            expected = ", ".join(field.name for field in fields(cls))
            raise StoreError(f"the store's header cannot be read ({error}); expected the fields {expected}") from error

    def differences(self, other: StoreHeader) -> list[str]:
        """Settings in which two extractions differ, one line each; versions, dates and preset names do not count."""
        lines: list[str] = []
        for name in ("frame_dim", "patch_dim", "tag_dim", "image_encoder", "text_encoder", "sampling"):
            ours, theirs = getattr(self, name), getattr(other, name)
            if isinstance(ours, Mapping):
                keys = sorted(set(ours) | set(theirs))
                lines += [
                    f"{name}.{k}: {ours.get(k)!r} ≠ {theirs.get(k)!r}" for k in keys if ours.get(k) != theirs.get(k)
                ]
            elif ours != theirs:
                lines.append(f"{name}: {ours!r} ≠ {theirs!r}")
        return lines


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
        config_json: Hugging Face configuration of the title encoder, already cut to its first layers.
        weights: state dict of that cut model, float32.
        title_tokens: titles to word-piece ids with special tokens, at most 40 each.
        tag_tokens: tag keys to word-piece ids without special tokens.
        tag_embeddings: n tag keys to (n, E) float32.
        nil_embedding: (E,) float32, the embedding of the text "[PAD]".
    """

    tokenizer_json: str
    config_json: str
    weights: Mapping[str, NDArray[Any]]
    title_tokens: Callable[[Sequence[str]], list[list[int]]]
    tag_tokens: Callable[[Sequence[str]], list[list[int]]]
    tag_embeddings: Callable[[Sequence[str]], NDArray[np.float32]]
    nil_embedding: NDArray[np.float32]
