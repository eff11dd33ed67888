"""The feature store that a run is evaluated on: found again, and checked to fit the run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ...data.errors import RunError, StoreError
from ...data.store import FeatureStore, open_store
from ...data.store.schema import CORPUS, MADE_FROM, StoreHeader, encoder_identity
from ...train.run.validation_share import AS_STORED, with_validation
from ...train.run_files import find_store, is_own_store, is_there

WIDTHS = {"frame_dim": "frame", "patch_dim": "patch"}
"""Header fields that the model's input layers are built for."""


def open_run_store(
    run: Path,
    trained_on: Mapping[str, Any],
    feats: Path | None,
    *,
    validation_videos: int = AS_STORED,
    warn: Callable[[str], None] = lambda _: None,
) -> FeatureStore:
    """Opens ``feats``, or the store that a run was trained on.

    Args:
        run: the run folder.
        trained_on: ``store`` of the run's configuration: ``path`` and ``header``.
        feats: another store, or the same one at a new place.
        validation_videos: of the run's settings: the store that it was trained on has the sets that it was trained with.
        warn: told where nobody named a store and the one that is there is not the run's.

    Raises:
        StoreError: the store is not there, damaged, or its features come from other encoders than the run's.
        RunError: as :func:`trained_header`.
    """
    expected = trained_header(trained_on)
    path = find_store(run, trained_on) if feats is None else feats
    if feats is None and not is_there(path):
        raise StoreError(
            f"the feature store that the run was trained on is not at {path} any more; say where it is with --feats PATH"
        )
    store = open_store(path)
    try:
        _check_fit(path, store.header, expected)
    except StoreError:
        store.close()
        raise
    is_its_own = is_own_store(store, trained_on)
    if feats is None and not is_its_own:
        warn(
            f"{path} is not the store that the run was trained on, which lay there; where its splits are others, "
            "videos that the run has learned from are scored too"
        )
    return with_validation(store, validation_videos) if is_its_own else store


def trained_header(trained_on: Mapping[str, Any]) -> StoreHeader:
    """Header of the store that a run was trained on.

    Raises:
        RunError: the run's configuration does not hold it.
    """
    try:
        return StoreHeader(**trained_on["header"])
    except (KeyError, TypeError) as error:
        raise RunError(
            f"the run's config.json does not say how its features were made ({error}); train it again"
        ) from error


def _check_fit(path: Path, found: StoreHeader, expected: StoreHeader) -> None:
    for field, name in WIDTHS.items():
        have, want = getattr(found, field), getattr(expected, field)
        if have != want:
            raise StoreError(
                f"{path} does not fit the run: its {name} features are {have} wide, the run's are {want}; {_remedy(expected)}"
            )
    for kind in ("image_encoder", "text_encoder"):
        have, want = getattr(found, kind), getattr(expected, kind)
        if encoder_identity(have) != encoder_identity(want):
            if have.get(MADE_FROM) == want.get(MADE_FROM) == CORPUS:
                raise StoreError(
                    f"{path} does not fit the run: its vocabulary was made from other titles and tags than the run's; "
                    "train a run on it, or choose another run with --run DIR"
                )
            raise StoreError(
                f"{path} does not fit the run: its {kind.replace('_', ' ')} is {encoder_name(have)}, "
                f"the run's is {encoder_name(want)}; {_remedy(expected)}"
            )


def _remedy(expected: StoreHeader) -> str:
    preset = f"--preset {expected.preset}" if expected.preset else "the run's encoders"
    return f"extract it with {preset}, or choose another run with --run DIR"


def encoder_name(spec: Mapping[str, Any]) -> str:
    """An encoder for people: "open_clip ViT-B-32 openai", "timm folder my-tower"."""
    model = spec.get("name") or spec.get("package") or f"folder {Path(str(spec.get('folder', '?'))).name}"
    return " ".join(str(part) for part in (spec.get("library"), model, spec.get("pretrained")) if part)
