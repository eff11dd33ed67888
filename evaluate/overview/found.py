"""What lies in a folder that the commands work on, and what a person would do with it next."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import h5py

from ...data.errors import OptsgError
from ...data.inputs.media_folder import media_kind
from ...data.store import open_store
from ...data.store.files import INDEX_NAME, is_file_name
from ...train.run.validation_share import held_out, with_validation
from ...train.run_files import CONFIG, RUNS, find_store, is_trained, read_config, stopped_run
from ...train.system_names import allowing
from ..options import LATEST_RUN

MOST = 1_000
"""Files of a folder that are looked at: a folder of millions should not keep anybody waiting."""

SHOWN = 3
"""Stores that are named."""


@dataclass(frozen=True, kw_only=True)
class FoundStore:
    """A feature store: where, and how many videos and tags it has."""

    path: Path
    videos: int
    tags: int

    def __str__(self) -> str:
        return f"{self.path}: a feature store of {self.videos:,} videos and {self.tags:,} tags"


@dataclass(frozen=True, kw_only=True)
class Found:
    """What there is.

    Attributes:
        media: videos and images in the folder itself.
        stores: feature stores.
        run: what ``runs/latest`` stands for, ``None`` where there is no such run.
        is_trained: whether its training came to an end.
        stopped: a run that was begun after that one and is not trained to the end.
        resume: the command that goes on with the newest training that was stopped; empty where none was.
        allow: what commands that open the run are told at their end (:func:`optsg.train.system_names.allowing`).
        splits: of its store, those with videos that it did not learn from; test where the store is not there.
        evaluations: of that run, by name.
    """

    media: int = 0
    stores: tuple[FoundStore, ...] = ()
    run: Path | None = None
    is_trained: bool = False
    stopped: Path | None = None
    resume: str = ""
    allow: str = ""
    splits: tuple[str, ...] = ("test",)
    evaluations: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        """What was found, for people, a line for each kind."""
        found = []
        if self.media:
            many = f"{self.media:,} or more" if self.media >= MOST else f"{self.media:,}"
            found.append(f"{many} videos and images")
        found += [str(store) for store in self.stores[:SHOWN]]
        if len(self.stores) > SHOWN:
            found.append(f"{len(self.stores) - SHOWN:,} more feature stores")
        if self.run is not None:
            done = "trained" if self.is_trained else "not trained to the end"
            scored = f", evaluated on {', '.join(self.evaluations)}" if self.evaluations else ""
            found.append(f"{LATEST_RUN} → {self.run.name}: {done}{scored}")
        if self.stopped is not None:
            found.append(f"{self.stopped}: begun after it, not trained to the end")
        return found

    def next_steps(self) -> list[tuple[str, str]]:
        """Commands, and what each is for; the first is the next one."""
        resume = [(self.resume, "goes on with the training that was stopped")] if self.resume else []
        if self.run is not None and self.is_trained:
            return [*self._scoring(), (f"optsg-serve runs/latest{self.allow}", "tags over HTTP"), *resume]
        if self.run is not None:
            return resume
        if self.stores:
            return [(f"optsg-train --feats {self.stores[0].path}", "learn from its titles and tags")]
        folder = "." if self.media else "VIDEOS"
        return [
            (f"optsg-tag {folder} --untrained", "first tags, without any training"),
            (f"optsg-extract {folder} --out feats.h5 --dry-run", "what would be read as titles and tags"),
            (f"optsg-extract {folder} --out feats.h5", "to learn from your own tags: decode and encode once"),
        ]

    def _scoring(self) -> list[tuple[str, str]]:
        """Of a trained run: how good it is, where there are videos to ask it of, and its tags."""
        tag = (f"optsg-tag VIDEOS --out tags.csv{self.allow}", "tags for other videos and images")
        names = sorted(self.evaluations, key=lambda name: name != "test") or self.splits
        if not names:
            return [tag]
        evaluate = (f"optsg-eval --split {names[0]}{self.allow}", "how good is it?")
        named = "" if names[0] == "test" else f" --split {names[0]}"
        report = (f"optsg-report{named}", "a page that shows where the run is right and where it errs")
        return [tag, report] if self.evaluations else [evaluate, tag, report]


def look_around(folder: Path) -> Found:
    """What lies in a folder; what cannot be read is not there."""
    paths = sorted(_first(folder))
    run = folder / LATEST_RUN
    has_run = (run / CONFIG).is_file()
    trained = is_trained(run)
    newer = stopped_run(folder / RUNS)
    stopped = newer or (run if has_run and not trained else None)
    return Found(
        media=sum(media_kind(path.name) is not None for path in paths),
        stores=tuple(store for path in paths if (store := _store_at(path)) is not None),
        run=run.resolve() if has_run else None,
        is_trained=trained,
        stopped=newer.relative_to(folder) if newer else None,
        resume=f"optsg-train --run {stopped.relative_to(folder)} --resume{_allow(stopped)}" if stopped else "",
        allow=_allow(run) if has_run else "",
        splits=_splits(run) if has_run else (),
        evaluations=tuple(sorted(path.name for path in (run / "eval").iterdir())) if (run / "eval").is_dir() else (),
    )


def _first(folder: Path) -> Iterable[Path]:
    found: list[Path] = []
    for path in folder.iterdir():
        if len(found) >= MOST:
            break
        if not path.name.startswith("."):
            found.append(path)
    return found


def _allow(run: Path) -> str:
    try:
        return allowing(read_config(run).system)
    except OptsgError:
        return ""


def _splits(run: Path) -> tuple[str, ...]:
    try:
        config = read_config(run)
        with open_store(find_store(run, config.store)) as store:
            return tuple(held_out(with_validation(store, config.training.validation_videos)))
    except OptsgError:
        return Found.splits


def _store_at(path: Path) -> FoundStore | None:
    is_store = path.is_file() and h5py.is_hdf5(path) if is_file_name(path) else (path / INDEX_NAME).is_file()
    if not is_store:
        return None
    try:
        with open_store(path) as store:
            return FoundStore(path=Path(path.name), videos=len(store), tags=len(store.tag_keys))
    except OptsgError:
        return None
