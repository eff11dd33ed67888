"""When two stores of the same inputs count as the same.

What a row is made of decides it. What the encoders compute (frames, patches, tag embeddings, the NIL embedding) depends
in its last digits on what else was in the batch, on every processor in another way; it is compared within the rounding
that :mod:`optsg.extract.pipeline` promises. All else is compared to the bit, and so is everything where batches were the
same or rows were copied.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optsg.data.store import FeatureStore, open_store
from optsg.data.store.merging.checks import is_same_embedding
from optsg.data.store.schema import VideoFeatures
from optsg.extract.encoders.tower import FEATURE_ROUNDING

COMPUTED = frozenset({"frames", "patches"})
"""Fields of a video that the image encoder computes, (n, dim) float16."""


def assert_same_store(found: Path, expected: Path, *, same_batches: bool = False, other_failures: bool = False) -> None:
    """The same but for dates, seconds and, unless ``same_batches``, the rounding of what encoders compute.

    Args:
        found, expected: finished stores in either form.
        same_batches: everything was computed in batches of the same composition, or copied: equal to the bit.
        other_failures: failures are not compared.
    """
    with open_store(found) as ours, open_store(expected) as theirs:
        assert ours.ids() == theirs.ids()
        rounding = 0.0 if same_batches else FEATURE_ROUNDING[str(theirs.header.image_encoder["dtype"])]
        for row in range(len(theirs)):
            assert_same_video(ours.features(row), theirs.features(row), rounding=rounding)
            assert ours.title_tokens(row).tolist() == theirs.title_tokens(row).tolist()
        _assert_same_text(ours, theirs, to_the_bit=same_batches)
        assert replace(ours.header, created=theirs.header.created) == theirs.header
        if not other_failures:
            assert _failures(ours) == _failures(theirs)


def assert_rows_kept(found: Path, earlier: Path) -> None:
    """To the bit, ``found`` has every video of ``earlier``."""
    with open_store(found) as ours, open_store(earlier) as theirs:
        rows = {name: row for row, name in enumerate(ours.ids())}
        for row in range(len(theirs)):
            assert_same_video(ours.features(rows[theirs.id(row)]), theirs.features(row))


def assert_same_video(found: VideoFeatures, expected: VideoFeatures, *, rounding: float = 0.0) -> None:
    """Equal to the bit but for the seconds that decoding took, and features within ``rounding`` of their length."""
    for name in vars(expected).keys() - {"decode_seconds"}:
        ours, theirs = getattr(found, name), getattr(expected, name)
        if isinstance(theirs, np.ndarray):
            assert (ours.dtype, ours.shape) == (theirs.dtype, theirs.shape), (expected.id, name)
            if name in COMPUTED and rounding:
                assert_same_vectors(ours, theirs, rounding, where=(expected.id, name))
            else:
                assert ours.tobytes() == theirs.tobytes(), (expected.id, name)
        else:
            assert ours == theirs, (expected.id, name)


def assert_same_vectors(found: NDArray[Any], expected: NDArray[Any], rounding: float, where: object = "") -> None:
    """(n, dim) vectors of which none is further from its own than ``rounding`` times its length."""
    assert relative_distance(found, expected) <= rounding, where


def relative_distance(found: NDArray[Any], expected: NDArray[Any]) -> float:
    """Greatest ‖a − b‖ / ‖b‖ over pairs of (n, dim) vectors; 0 where there are none."""
    a, b = found.astype(np.float64), expected.astype(np.float64)
    lengths = np.maximum(np.linalg.norm(b, axis=-1), np.finfo(np.float32).tiny)
    return float((np.linalg.norm(a - b, axis=-1) / lengths).max(initial=0.0))


def _assert_same_text(ours: FeatureStore, theirs: FeatureStore, *, to_the_bit: bool) -> None:
    assert (ours.tag_keys, ours.tag_spellings) == (theirs.tag_keys, theirs.tag_spellings)
    for row in range(len(theirs)):
        assert list(ours.tags(row)) == list(theirs.tags(row))
    for tag in range(len(theirs.tag_keys)):
        assert ours.tag_tokens(tag).tolist() == theirs.tag_tokens(tag).tolist()
    assert (ours.tokenizer_json, ours.title_encoder_config) == (theirs.tokenizer_json, theirs.title_encoder_config)
    weights, expected = ours.title_encoder_weights(), theirs.title_encoder_weights()
    assert {name: w.tobytes() for name, w in weights.items()} == {name: w.tobytes() for name, w in expected.items()}
    for name in ("tag_embeddings", "nil_embedding"):
        one, other = getattr(ours, name), getattr(theirs, name)
        assert one.shape == other.shape, name
        if to_the_bit:
            assert one.tobytes() == other.tobytes(), name
        else:
            assert all(
                is_same_embedding(a, b) for a, b in zip(np.atleast_2d(one), np.atleast_2d(other), strict=True)
            ), name


def _failures(store: FeatureStore) -> list[object]:
    return [replace(failure, seconds=0.0) for failure in store.failures]
