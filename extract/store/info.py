"""``optsg-store info``: a store for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from ...data.corpus_part import described_part
from ...data.media import FAILURE_STATUSES, FEATURE_STATUSES, SPLITS
from ...data.store import FeatureStore
from ...data.store.hdf5.columns import all_texts
from ...data.store.schema import FIRST_DECODING, IMPORTED_FROM, KINDS
from ..summary import cause, general_part

SHOWN = 5


def info_lines(store: FeatureStore, *, failures: int | None) -> list[str]:
    """A readable summary, with at most so many failures (``None``: all)."""
    header = store.header
    return [
        f"{store.path}: {size_bytes(store) / 2**20:.1f} MiB, made {header.created} by optsg {header.optsg_version}",
        f"  form           {_form(store)}",
        *([] if header.part is None else [f"  inputs of      {described_part(header.part)}"]),
        f"  preset         {header.preset or 'none, encoders named one by one'}",
        f"  image encoder  {_encoder(header.image_encoder)}",
        *_preprocessing(header.image_encoder),
        f"  text encoder   {_encoder(header.text_encoder)}",
        f"  sampling       {_sampling(header.sampling)}",
        *([] if header.decoding == FIRST_DECODING else [f"  pictures       made by decoding {header.decoding}"]),
        f"  widths         frame {header.frame_dim}, patch {header.patch_dim}, tag {header.tag_dim}",
        f"  inputs         {_inputs(store)}",
        f"  statuses       {_statuses(store)}",
        f"  splits         {_counts(zip(SPLITS, np.bincount(store.splits, minlength=len(SPLITS)), strict=True))}",
        f"  tags           {len(store.tag_keys):,} different, {_mean_tags(store)} a video",
        f"  frames         {_frames(store)}",
        *_decoding(store),
        *_notes(store),
        *_failures(store, failures),
    ]


def size_bytes(store: FeatureStore) -> int:
    """What the store takes on the disk."""
    files = [store.path] if store.index is None else list(store.path.iterdir())
    return sum(file.stat().st_size for file in files)


def _form(store: FeatureStore) -> str:
    if store.index is None:
        return f"one HDF5 file, version {store.version}"
    return f"tables and WebDataset shards: {len(store.index.shards):,}, version {store.version}"


def _encoder(spec: Mapping[str, Any]) -> str:
    name = next((str(spec[key]) for key in ("folder", "package", "name") if spec.get(key)), "?")
    if spec.get("pretrained"):
        name += f"/{spec['pretrained']}"
    library = " ".join(str(spec[key]) for key in ("library", "library_version") if spec.get(key))
    details = [str(spec[key])[:19] for key in ("digest", "dtype") if spec.get(key)]
    if spec.get(IMPORTED_FROM):
        details.append(f"features imported from {spec[IMPORTED_FROM]}")
    if "quick_gelu" in spec:
        details.append("QuickGELU" if spec["quick_gelu"] else "no QuickGELU")
    known = "; ".join(part for part in (library, ", ".join(details)) if part)
    return f"{name} ({known})" if known else name


def _preprocessing(spec: Mapping[str, Any]) -> list[str]:
    settings = spec.get("preprocessing")
    if not isinstance(settings, Mapping) or not settings:
        return []
    return ["  preprocessing  " + ", ".join(f"{name} {_setting(value)}" for name, value in settings.items())]


def _setting(value: object) -> str:
    if isinstance(value, list | tuple):
        return "[" + " ".join(map(_setting, value)) + "]"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _sampling(sampling: Mapping[str, Any]) -> str:
    fps, most = sampling.get("fps"), sampling.get("max_frames")
    text = f"{fps:g} frames a second, at most {most}" if isinstance(fps, int | float) else "not recorded"
    return text + (", shrunk by the decoder (--fast-resize)" if sampling.get("fast_resize") else "")


def _inputs(store: FeatureStore) -> str:
    kinds = np.bincount(store.numbers("videos/kind"), minlength=len(KINDS))
    return f"{kinds[KINDS.index('video')]:,} videos, {kinds[KINDS.index('image')]:,} images, {len(store.failures):,} failed"


def _statuses(store: FeatureStore) -> str:
    found = np.bincount(store.numbers("videos/status"), minlength=len(FEATURE_STATUSES))
    failed = Counter(failure.status for failure in store.failures)
    return _counts([*zip(FEATURE_STATUSES, found, strict=True), *((name, failed[name]) for name in FAILURE_STATUSES)])


def _counts(counts: Iterable[tuple[str, int]]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts if count) or "none"


def _mean_tags(store: FeatureStore) -> str:
    return f"{store.column('videos/tags').lengths().sum() / max(1, len(store)):.1f}"


def _frames(store: FeatureStore) -> str:
    frames = int(store.column("videos/frames").lengths().sum())
    return f"{frames:,} of {np.nansum(store.fixed('videos/duration'), dtype=np.float64) / 3600:.2f} hours of video"


def _decoding(store: FeatureStore) -> list[str]:
    """Backends, and seconds where they were recorded."""
    backends = Counter(backend for backend in all_texts(store.column("videos/backend")) if backend)
    lines = [f"  backend        {count:,} × {backend}" for backend, count in backends.most_common()]
    seconds = float(np.nansum(store.fixed("videos/decode_seconds"), dtype=np.float64))
    lost = sum(failure.seconds for failure in store.failures)
    if seconds or lost:
        lines.append(f"  decoding       {seconds:,.1f} s for features, {lost:,.1f} s for failures")
    digests = int(np.count_nonzero(store.column("videos/digest").lengths()))
    return [*lines, f"  digests        {digests:,} of {len(store):,} sources"] if digests else lines


def _notes(store: FeatureStore) -> list[str]:
    """Sources that were odd though features could be had, by what was odd."""
    notes = Counter(general_part(note) for note in all_texts(store.column("videos/note")) if note)
    return [f"  note           {count:,} × {note}" for note, count in notes.most_common(SHOWN)]


def _failures(store: FeatureStore, limit: int | None) -> list[str]:
    causes = Counter((failure.status, failure.stage, cause(failure)) for failure in store.failures)
    lines = [f"  {status:<14} {count:,} × {stage}: {what}" for (status, stage, what), count in causes.most_common()]
    shown = store.failures[:limit]
    lines += [f"    {failure.source}: {failure.error.removeprefix(failure.source + ': ')}" for failure in shown]
    hidden = len(store.failures) - len(shown)
    return lines + ([f"    … and {hidden:,} more (-v shows all)"] if hidden else [])
