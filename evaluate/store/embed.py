"""``optsg-store embed``: what a trained run makes of every video of a store, as vectors for search, clustering and other models.

They are those of ``Tagger.embed`` (:class:`optsg.evaluate.tag.group_tagger.Embedder`), of features that are at hand already. Legend:
V videos.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...data.errors import ConfigError, RunError, StoreError
from ...data.media import Split
from ...data.store import FeatureStore
from ...data.whole_files import lock_out, whole_file
from ...train.run.run import Run, load_run
from ...train.run_files import write_errors
from ...train.systems.source_systems import NoNetwork
from ..scores.run_store import open_run_store
from ..tag.group_tagger import Embedder, Embedding, GroupTagger, TaggerInput
from .kinds import FRAMES, FUSED, KINDS, PATCHES, TITLE
from .vector_files import VectorColumns, Vectors, Writer, write_npy, writer_of

BATCHES_AT_A_TIME = 64
"""So many batches' videos are sorted by their lengths, so that few batches are filled up."""

Progress = Callable[[str, int], AbstractContextManager[Callable[[int], None]]]
"""As in :mod:`optsg.evaluate.evaluate_run`."""


@dataclass(frozen=True, kw_only=True)
class Embedded:
    """What was written.

    Attributes:
        videos: V.
        widths: of every kind of vector, by name.
    """

    videos: int
    widths: Mapping[str, int]


def embed_store(
    feats: Path,
    run_folder: Path,
    out: Path,
    *,
    split: Split | None = None,
    kinds: Sequence[str] = (),
    batch_size: int,
    device: str = "auto",
    overwrite: bool = False,
    allow_systems: Collection[str] = (),
    progress: Progress,
) -> Embedded:
    """Writes the vectors of a store's videos, in its order; a reader sees the whole file or none.

    Args:
        feats: the store, of the encoders that the run was trained with.
        split: whose videos alone.
        kinds: of :data:`KINDS`; all that there are by default, in an ``.npy`` the fused ones.
        batch_size: videos at a time.
        device, allow_systems: as in :func:`optsg.train.run.run.load_run`.

    Raises:
        ConfigError: the file's suffix says no known form, or a kind of vector is not there.
        StoreError: the store cannot be used, does not fit the run, or has no such videos.
        RunError: the run cannot be used, or the file is there already, or cannot be written.
        EncoderError: the run's text encoder, which embeds titles, cannot be had.
    """
    write = _writer(out, kinds, overwrite=overwrite)
    run = load_run(run_folder, device=device, allow_systems=allow_systems)
    validated = run.config.training.validation_videos
    with (
        open_run_store(run_folder, run.config.store, feats, validation_videos=validated) as store,
        lock_out(out, RunError),
        write_errors(out),
        tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent) as scratch,
    ):
        rows = _rows(store, split)
        widths = _widths(run, store, rows, kinds or ((FUSED,) if write is write_npy else ()))
        columns = VectorColumns(Path(scratch), widths)
        with progress("embedding", len(rows)) as advance:
            for group in _embedded(run, store, rows, batch_size):
                for kind in widths:
                    columns.append(kind, [_vector(kind, one) for one in group])
                advance(len(group))
        with whole_file(out) as temporary:
            write(temporary, [store.id(int(row)) for row in rows], columns.arrays())
    return Embedded(videos=len(rows), widths=widths)


def _writer(out: Path, kinds: Sequence[str], *, overwrite: bool) -> Writer:
    """What writes the file; refuses what can be seen before anything is read."""
    write = writer_of(out)
    if write is write_npy and len(kinds) > 1:
        raise ConfigError(
            f"--out {out}: an .npy holds one array; name one kind with --vectors, or write .npz or .parquet"
        )
    if out.exists() and not overwrite:
        raise RunError(f"{out} is there already; choose another --out, or replace it with --overwrite")
    return write


def _rows(store: FeatureStore, split: Split | None) -> NDArray[np.int64]:
    rows = np.arange(len(store), dtype=np.int64) if split is None else store.indices(split)
    if not len(rows):
        raise StoreError(f"{store.path} holds no videos, so that there is nothing to embed")
    return rows


def _widths(run: Run, store: FeatureStore, rows: NDArray[np.int64], kinds: Sequence[str]) -> dict[str, int]:
    """The width of every kind that is wanted, or of all that these videos have."""
    patches = store.patch_lengths()[rows]
    there = {TITLE: run.config.inputs.tag_dim}
    if not isinstance(run.model, NoNetwork):
        there[FUSED] = run.config.model.width
    if (store.visual_lengths()[rows] > patches).any():
        there[FRAMES] = store.header.frame_dim
    if patches.any():
        there[PATCHES] = store.header.patch_dim
    for kind in kinds:
        if kind not in there:
            why = f"{run.config.system} has no network" if kind == FUSED else f"no video of {store.path} has {kind}"
            raise ConfigError(f"there are no {kind} vectors, for {why}; choose --vectors from {', '.join(there)}")
    return {kind: there[kind] for kind in KINDS if kind in (kinds or there)}


def _embedded(run: Run, store: FeatureStore, rows: NDArray[np.int64], batch_size: int) -> Iterator[list[_Vectors]]:
    """The vectors of groups of these videos, in order."""
    embedder = Embedder(run, GroupTagger(run, batch_size), device=str(run.device))
    for start in range(0, len(rows), BATCHES_AT_A_TIME * batch_size):
        some = rows[start : start + BATCHES_AT_A_TIME * batch_size]
        frames, patches, _, _ = store.model_inputs(some)
        titles = [store.title(int(row)) for row in some]
        inputs = [
            TaggerInput(frames=one, patches=other, title=title)
            for one, other, title in zip(frames, patches, titles, strict=True)
        ]
        yield [_Vectors(one, bool(len(of.frames))) for one, of in zip(embedder.embed(inputs), inputs, strict=True)]


class _Vectors(NamedTuple):
    embedding: Embedding
    has_frames: bool


def _vector(kind: str, one: _Vectors) -> Vectors | None:
    """One kind of vector; ``None`` where the video has none of it."""
    if kind in (FRAMES, PATCHES):
        return one.embedding.frames if one.has_frames == (kind == FRAMES) else None
    return one.embedding.fused if kind == FUSED else one.embedding.title
