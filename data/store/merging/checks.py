"""Whether finished stores can become one: the same encoders and text model, no input twice, and which parts are there."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ...corpus_part import CorpusPart, describe_parts
from ...errors import StoreError
from .. import schema
from ..digests import text_digest
from ..feature_store import FeatureStore

EMBEDDING_TOLERANCE = 1e-4
"""Of a text's embedding, relative to the largest number in it: who shares its batch, the processor and its threads change the
last digits. Measured: 2 · 10⁻⁶ at most (all-MiniLM-L6-v2; batches of 1, 7 and 65 texts; SSE4.1, AVX2, AVX-512, AMX)."""


def check_settings(stores: Sequence[FeatureStore]) -> None:
    """Raises :class:`StoreError` with every difference where encoders, preprocessing or sampling are not the same."""
    first = stores[0]
    for store in stores[1:]:
        if store.header.decoding != first.header.decoding:
            older = min(store, first, key=lambda one: one.header.decoding)
            raise StoreError(
                f"{store.path} and {first.path} were made by versions of optsg that make other pictures of some files "
                f"(decoding {store.header.decoding} and {first.header.decoding}); extract {older.path} again with this "
                "version"
            )
        if differences := store.header.before_corpus().differences(first.header.before_corpus()):
            raise StoreError(
                f"{store.path} was made with other settings than {first.path} (its own ≠ those of {first.path}): "
                + "; ".join(differences)
            )


def check_text_models(stores: Sequence[FeatureStore]) -> None:
    """Raises :class:`StoreError` where tokenizer or title encoder are not the same."""
    first = stores[0]
    for store in stores[1:]:
        names = (schema.TOKENIZER, schema.TEXT_CONFIG, schema.TEXT_WEIGHTS)
        different = [name for name in names if text_digest(store, name) != text_digest(first, name)]
        if not is_same_embedding(store.nil_embedding, first.nil_embedding):
            different.append(schema.NIL_EMBEDDING)
        if different:
            raise StoreError(
                f"{store.path} and {first.path} hold different text models ({', '.join(different)}); extract both with "
                "the same versions of optsg and transformers"
            )


def is_same_embedding(one: NDArray[np.float32], other: NDArray[np.float32]) -> bool:
    """Whether embeddings, (E,) or (n, E), are equal but for rounding."""
    largest = float(np.abs(other).max(initial=0.0))
    return bool(np.allclose(one, other, rtol=0.0, atol=EMBEDDING_TOLERANCE * largest))


def check_overlap(stores: Sequence[FeatureStore]) -> None:
    """Raises :class:`StoreError` where an id is in two stores, with features or as a failure."""
    holder: dict[str, int] = {}
    twice: list[tuple[str, int, int]] = []
    for number, store in enumerate(stores):
        names = {*store.ids(), *(failure.id for failure in store.failures)}
        twice += [(name, holder[name], number) for name in names if holder.setdefault(name, number) != number]
    if twice:
        name, one, other = min(twice)
        others = f" ({len(twice):,} ids are in two stores)" if len(twice) > 1 else ""
        raise StoreError(
            f"{stores[one].path} and {stores[other].path} overlap: the id {name!r} is in both{others}; merge stores of "
            "different inputs"
        )


def joint_part(stores: Sequence[FeatureStore]) -> CorpusPart | None:
    """All parts that stores with a part hold; ``None`` where no store has one.

    Raises:
        StoreError: they are parts of different divisions, or one part is there twice.
    """
    parts = [(store, CorpusPart.parse(store.header.part)) for store in stores if store.header.part is not None]
    for (one, part), (other, next_part) in pairwise(parts):
        if part.of != next_part.of:
            raise StoreError(
                f"{one.path} is {part.described()} and {other.path} is {next_part.described()}; merge each set of parts "
                "by itself first"
            )
    holder: dict[int, FeatureStore] = {}
    for store, part in parts:
        for number in part.numbers:
            if holder.setdefault(number, store) is not store:
                raise StoreError(
                    f"{holder[number].path} and {store.path} are both {describe_parts([number], part.of)}; merge each "
                    "part once, and each set of parts by itself first"
                )
    return CorpusPart(numbers=tuple(sorted(holder)), of=parts[0][1].of) if parts else None
