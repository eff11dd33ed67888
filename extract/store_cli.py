"""``optsg-store``: what is in a feature store."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from ..data.command_line import one_sentence_errors
from ..data.media import SPLITS
from .summary import cause

if TYPE_CHECKING:
    from ..data.store import FeatureStore


@click.group()
def main() -> None:
    """Look into feature stores, for instance: optsg-store info feats.h5."""


@main.command()
@click.argument("path", type=click.Path(path_type=Path))
@click.option("-v", "--verbose", is_flag=True, help="List every failure, and show the traceback of an error.")
def info(path: Path, verbose: bool) -> None:
    """Print what PATH holds and how it was made."""
    with one_sentence_errors(verbose, on_interrupt="nothing was changed"):
        from ..data.store import open_store

        with open_store(path) as store:
            click.echo("\n".join(info_lines(store, failures=None if verbose else 5)))


def info_lines(store: FeatureStore, *, failures: int | None) -> list[str]:
    """A readable summary, with at most so many failures (``None``: all)."""
    header = store.header
    kinds = Counter(store.kind(row) for row in range(len(store)))
    size = store.path.stat().st_size / 2**20
    return [
        f"{store.path}: {size:.1f} MiB, made {header.created} by optsg {header.optsg_version}",
        f"  preset         {header.preset or 'none, encoders named one by one'}",
        f"  image encoder  {_encoder(header.image_encoder)}",
        f"  text encoder   {_encoder(header.text_encoder)}",
        f"  sampling       {header.sampling['fps']:g} frames a second, at most {header.sampling['max_frames']}",
        f"  widths         frame {header.frame_dim}, patch {header.patch_dim}, tag {header.tag_dim}",
        f"  inputs         {kinds['video']:,} videos, {kinds['image']:,} images, {len(store.failures):,} failed",
        f"  splits         {_splits(store)}",
        f"  tags           {len(store.tag_keys):,} different, {_mean_tags(store)} a video",
        f"  frames         {_frames(store)}",
        *_notes(store),
        *_failures(store, failures),
    ]


def _encoder(spec: Mapping[str, Any]) -> str:
    name = next((str(spec[key]) for key in ("folder", "package", "name") if spec.get(key)), "?")
    if spec.get("pretrained"):
        name += f"/{spec['pretrained']}"
    details = [str(spec["digest"])[:19], str(spec["dtype"])]
    details += ["QuickGELU"] if spec.get("quick_gelu") else []
    return f"{name} ({spec['library']} {spec['library_version']}; {', '.join(details)})"


def _splits(store: FeatureStore) -> str:
    counts = np.bincount(store.splits, minlength=len(SPLITS))
    return ", ".join(f"{split} {count:,}" for split, count in zip(SPLITS, counts, strict=True) if count)


def _mean_tags(store: FeatureStore) -> str:
    counts = [len(store.tags(row)) for row in range(len(store))]
    return f"{sum(counts) / max(1, len(counts)):.1f}"


def _frames(store: FeatureStore) -> str:
    frames = int(store.visual_lengths().sum() - store.patch_lengths().sum())
    durations = np.array([store.duration(row) for row in range(len(store))])
    return f"{frames:,} of {np.nansum(durations) / 3600:.2f} hours of video"


def _notes(store: FeatureStore) -> list[str]:
    """Sources that were odd though features could be had, by what was odd."""
    notes = Counter(note for row in range(len(store)) if (note := store.note(row)))
    return [f"  note           {count:,} × {note}" for note, count in notes.most_common(5)]


def _failures(store: FeatureStore, limit: int | None) -> list[str]:
    causes = Counter((failure.stage, cause(failure)) for failure in store.failures)
    lines = [f"  failed         {count:,} × {stage}: {what}" for (stage, what), count in causes.most_common()]
    shown = store.failures[:limit]
    lines += [f"    {failure.source}: {failure.error.removeprefix(failure.source + ': ')}" for failure in shown]
    hidden = len(store.failures) - len(shown)
    return lines + ([f"    … and {hidden:,} more (-v shows all)"] if hidden else [])
