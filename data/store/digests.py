"""Digests of a store's arrays and files, computed anew and compared with those recorded when it was written."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import schema
from .feature_store import ROWS_AT_ONCE, FeatureStore
from .hdf5.columns import BUFFER_BYTES
from .hdf5.file import HEADER_DIGEST, update_weights_digest
from .mapped_pages import release_pages


def file_digest(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while chunk := file.read(BUFFER_BYTES):
            digest.update(chunk)
        return digest.hexdigest()


def digest_problems(store: FeatureStore, recorded: dict[str, str]) -> Iterator[str]:
    """Arrays that are not what was recorded of them."""
    found = {name for name in store.array_names() if not name.startswith(f"{schema.TEXT_WEIGHTS}/")}
    for name in sorted(found - recorded.keys()):
        yield f"{name} has no recorded digest"
    for name in sorted(recorded):
        if name == HEADER_DIGEST:
            digest = hashlib.sha256(store.header_text.encode()).hexdigest()
        elif name == schema.TEXT_WEIGHTS:
            digest = _weights_digest(store)
        elif name in found:
            digest = _array_digest(store.array(name))
        else:
            yield f"{name} is missing though its digest is recorded"
            continue
        if digest != recorded[name]:
            yield f"{name} is not what was written: its digest differs from the recorded one"


def text_digest(store: FeatureStore, name: str) -> str:
    """Digest of an array of the text model, or of the title encoder's weights: as recorded, else computed."""
    recorded = store.digests().get(name)
    if recorded is not None:
        return recorded
    return _weights_digest(store) if name == schema.TEXT_WEIGHTS else _array_digest(store.array(name))


def label_digest(store: FeatureStore, rows: NDArray[np.int64]) -> str:
    """``sha256:…`` of what is learned of videos beside their features: where they stand, their sets, titles in word pieces, tags.

    It is the same where other videos are added behind them, and whatever other tags there are: numbers of tags do not count.
    """
    tags = b"".join(hashlib.sha256(key.encode("utf-8", "backslashreplace")).digest()[:8] for key in store.tag_keys)
    of_tag = np.frombuffer(tags, np.int64)
    digest = hashlib.sha256(rows.tobytes() + store.splits[rows].tobytes())
    for name in (schema.TITLE_TOKENS, "videos/tags"):
        digest.update(store.column(name).lengths()[rows].tobytes())
        for start in range(0, len(rows), ROWS_AT_ONCE):
            some = rows[start : start + ROWS_AT_ONCE]
            if name == "videos/tags":
                values = of_tag[np.concatenate(store.tags_of(some))]
            else:
                values = np.concatenate(store.column(name).take(some))
            digest.update(values.tobytes())
    return f"sha256:{digest.hexdigest()}"


def _array_digest(array: NDArray[Any]) -> str:
    digest = hashlib.sha256()
    for chunk in chunks(array):
        digest.update(chunk.tobytes())
    return digest.hexdigest()


def _weights_digest(store: FeatureStore) -> str:
    digest = hashlib.sha256()
    for name, weight in sorted(store.title_encoder_weights(finite=False).items()):
        update_weights_digest(digest, name, weight)
    return digest.hexdigest()


def chunks(array: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """Slices of an array, of which one is in memory at a time."""
    rows = max(1, BUFFER_BYTES // max(1, array[:1].nbytes))
    for start in range(0, len(array), rows):
        yield np.array(array[start : start + rows])
        release_pages(array)
