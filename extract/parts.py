"""The parts of a store in the making: what an interrupted run leaves, and where the same command goes on.

``OUT.parts/part-000000.h5`` and so on, each whole from the moment it has its name.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from ..data.corpus_part import described_part
from ..data.errors import StoreError
from ..data.media import Failure, MediaItem
from ..data.store import FeatureStore, open_part
from ..data.store.files import place_of, replace_durably, write_errors
from ..data.store.part_writer import Hdf5StoreWriter
from ..data.store.schema import StoreHeader
from .corrections import KnownLabels, as_stored


@dataclass
class DoneInputs:
    """Inputs that complete parts hold already.

    Attributes:
        videos: ids with features.
        failed: ids and sources of inputs that could be found but not decoded or encoded.
        unread: ids of inputs that the reader itself refused.
        recorded: the same, also where they are to be tried again.
        known: what those with features are called and tagged.
    """

    videos: set[str] = field(default_factory=set)
    failed: set[tuple[str, str]] = field(default_factory=set)
    unread: set[str] = field(default_factory=set)
    recorded: set[str] = field(default_factory=set)
    known: KnownLabels = field(default_factory=KnownLabels)

    def __contains__(self, item: MediaItem | Failure) -> bool:
        if isinstance(item, Failure):
            return item.id in self.unread
        # Another file under the id of one that failed, such as its copy in another format, is new.
        return item.id in self.videos or (item.id, as_stored(item.source)) in self.failed

    def __len__(self) -> int:
        return len(self.videos) + len(self.failed) + len(self.unread)

    def add(self, store: FeatureStore) -> None:
        """Takes note of all that a part or a finished store holds."""
        ids = store.ids()
        self.known.add(store, ids)
        self.videos.update(ids)
        for failure in store.failures:
            if failure.stage == "read":
                self.unread.add(failure.id)
                self.recorded.add(failure.id)
            else:
                self.failed.add((failure.id, failure.source))

    def settle(self, *, retry_failed: bool) -> None:
        """Forgets failures of inputs that have features by now, and all failures where they are to be tried again."""
        self.failed = set() if retry_failed else {one for one in self.failed if one[0] not in self.videos}
        self.unread = set() if retry_failed else self.unread - self.videos


def check_settings(path: Path, what: str, there: StoreHeader, now: StoreHeader) -> None:
    """Raises :class:`StoreError` with every difference where an extraction would go on with other settings or another part."""
    if there.decoding != now.decoding:
        raise StoreError(
            f"{path} {what} by a version of optsg that makes other pictures of some files (its decoding is "
            f"{there.decoding}, that of this version {now.decoding}); choose another --out, or extract everything again "
            "with --overwrite"
        )
    if differences := there.before_corpus().differences(now.before_corpus()):
        raise StoreError(
            f"{path} {what} with other settings (there ≠ now): {'; '.join(differences)}. Repeat the command with the "
            "old settings, choose another --out, or add --overwrite to begin anew"
        )
    if there.part != now.part:
        raise StoreError(
            f"{path} {what} of {described_part(there.part)}, and this command extracts {described_part(now.part)}; "
            f"repeat it {_part_option(there.part)}, choose another --out, or add --overwrite to begin anew"
        )


def _part_option(part: str | None) -> str:
    return "without --part" if part is None else f"with --part {part}"


class PartFolder:
    """``OUT.parts`` beside the store ``out``."""

    def __init__(self, out: Path):
        place = place_of(out)
        self.path = place.with_name(place.name + ".parts")

    def complete(self) -> list[Path]:
        """Complete parts in the order in which they were made."""
        return sorted(self.path.glob("part-*.h5"))

    def open(self, header: StoreHeader, done: DoneInputs) -> StoreHeader:
        """Makes the folder, or goes on with what is in it and adds that to ``done``.

        Returns:
            The header of the parts, the given one if there are none.

        Raises:
            StoreError: the parts were made with other settings.
        """
        with write_errors(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
            for unfinished in self.path.glob("*.tmp"):
                unfinished.unlink()
        for number, path in enumerate(self.complete()):
            with open_part(path) as part:
                check_settings(self.path, "holds an unfinished extraction", part.header, header)
                header = part.header if number == 0 else header
                done.add(part)
        return header

    @contextmanager
    def new_part(self, header: StoreHeader) -> Iterator[Hdf5StoreWriter]:
        """A writer whose part becomes complete when the block ends well, and vanishes when it does not.

        Raises:
            StoreWriteError: it cannot be written.
        """
        parts = self.complete()
        number = int(parts[-1].stem.removeprefix("part-")) + 1 if parts else 0
        final = self.path / f"part-{number:06d}.h5"
        temporary = final.with_name(final.name + ".tmp")
        try:
            with Hdf5StoreWriter(temporary, header) as writer:
                yield writer
                writer.finish()
            with write_errors(final):
                replace_durably(temporary, final)
        finally:
            temporary.unlink(missing_ok=True)

    def remove(self) -> None:
        """Deletes the folder with everything in it."""
        shutil.rmtree(self.path, ignore_errors=True)
