"""Whether a store's features are those of its sources: a sample of the inputs is read and encoded again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ...data.errors import ConfigError
from ...data.inputs import Inputs
from ...data.media import MediaItem, TarMember
from ...data.store import FeatureStore
from ...data.store.schema import VideoFeatures
from ...data.store.verification import Check
from ..decoding.sampling import Sampling
from ..encoders.image_encoder import ImageEncoder
from ..workers.preparation import Preparation, Prepared, Unreadable, prepare, source_digest

LEAST_COSINE = 0.999
"""Agreement of a feature with the one stored. Another number format, processor or batch gives 0.9999, another frame less
than 0.99."""


TIME_TOLERANCE = 1e-3
"""Seconds."""


ENCODED_AT_ONCE = 16


def check_usage(sources: Path | None, **reading: Any) -> None:
    """Refuses what says how sources are to be read where there are none; wrong options are refused as early."""
    names = ("metadata", "columns", "tag_separator", "group_rows")
    given = [f"--{name.replace('_', '-')}" for name in names if reading.get(name)]
    if sources is None and given:
        raise ConfigError(f"{' and '.join(given)}: this says how --sources are read; name them too")


def check_sources(store: FeatureStore, inputs: Inputs, encoder: ImageEncoder, *, sample: int, seed: int = 0) -> Check:
    """Compares a random sample of the store's videos and images with what their sources give now.

    Args:
        store: a finished store.
        inputs: where its sources are; those that are not in the sample are passed over.
        encoder: opened from the store's own description.
        sample: number of inputs.
        seed: of the choice.
    """
    chosen = np.random.default_rng(seed).choice(len(store), size=min(sample, len(store)), replace=False)
    rows: list[int] = chosen.tolist()
    wanted = {store.id(row): row for row in rows}
    plan = Preparation(plan=encoder.plan, sampling=Sampling.from_spec(store.header.sampling), thumbnails=False)
    problems = []
    for item in inputs:
        if isinstance(item, MediaItem) and item.id in wanted:
            stored = store.features(wanted.pop(item.id))
            problems += [f"{item.source}: {problem}" for problem in _problems(item, stored, encoder, plan)]
        if not wanted:
            break
    problems += [f"{name}: it is not among the sources" for name in sorted(wanted)]
    return Check(name="sources", looked_at=f"{len(rows):,} read and encoded again", problems=tuple(problems))


def _problems(item: MediaItem, stored: VideoFeatures, encoder: ImageEncoder, plan: Preparation) -> Iterator[str]:
    try:
        payload = item.payload.read() if isinstance(item.payload, TarMember) else item.payload
    except OSError as error:
        yield f"it cannot be read any more: {error.strerror or error}"
        return
    digest = source_digest(payload)
    if stored.digest and digest != stored.digest:
        yield f"its bytes are not those of the features ({digest[:19]}… ≠ {stored.digest[:19]}…)"
        return
    prepared = prepare(item.kind, payload, plan)
    if isinstance(prepared, Unreadable):
        yield f"it cannot be read any more: {prepared.error}"
        return
    if len(prepared.times) != len(stored.times) or not np.allclose(prepared.times, stored.times, atol=TIME_TOLERANCE):
        yield f"other frames: {_shown(prepared.times)} ≠ {_shown(stored.times)} s"
        return
    expected = stored.patches if prepared.kind == "image" else stored.frames
    cosine = _least_cosine(_encoded(prepared, encoder, prepared.kind == "image"), expected)
    if cosine < LEAST_COSINE:
        yield f"other features: least cosine {cosine:.4f}, expected {LEAST_COSINE} or more"


def _encoded(prepared: Prepared, encoder: ImageEncoder, is_image: bool) -> NDArray[np.float32]:
    pixels = torch.from_numpy(prepared.pixels)
    if is_image:
        patches: NDArray[np.float32] = encoder.encode_patches(pixels)[0].numpy()
        return patches
    return np.concatenate([encoder.encode_frames(part).numpy() for part in pixels.split(ENCODED_AT_ONCE)])


def _least_cosine(found: NDArray[np.float32], expected: NDArray[np.float16]) -> float:
    if found.shape != expected.shape:
        return -1.0
    a, b = found.astype(np.float64), expected.astype(np.float64)
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return float(((a * b).sum(axis=1) / np.maximum(lengths, 1e-12)).min(initial=1.0))


def _shown(times: NDArray[np.float32]) -> str:
    first = ", ".join(f"{time:.3f}" for time in times[:3])
    return f"{len(times)} at {first}{', …' if len(times) > 3 else ''}"
