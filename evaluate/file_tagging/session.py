"""From requests to an output: what is done already is skipped, the rest tagged, written group by group."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ...data.errors import InputError
from ...train.writing.tag_control import VideoTags
from .info_json import update_info_json
from .requests import TagRequest
from .tagged_file import TaggedFile


class Tagging(Protocol):
    """What is needed of :class:`optsg.evaluate.tagging.FileTagger`."""

    @property
    def system(self) -> str:
        """The system that writes the tags."""
        ...

    @property
    def name(self) -> str:
        """The run's name."""
        ...

    def tag_many(
        self, requests: Iterable[TagRequest], *, wishes: VideoTags | None, stop: threading.Event | None
    ) -> Iterator[list[TaggedFile]]:
        """Groups of outcomes in the order of the requests."""
        ...


class Output(Protocol):
    """Where outcomes go."""

    def is_done(self, path: str) -> bool:
        """Whether a file is done, or claimed."""
        ...

    def claim(self, path: str) -> bool:
        """Whether a file is to be tagged: it is not done, and was not claimed before."""
        ...

    def write(self, group: Sequence[TaggedFile]) -> None:
        """Takes a group."""
        ...

    def finish(self) -> None:
        """All is done."""
        ...


@dataclass(kw_only=True)
class Counts:
    """How many files were tagged, could not be, and had been done before; and ``.info.json`` that could not be updated."""

    tagged: int = 0
    failed: int = 0
    skipped: int = 0
    not_updated: int = 0

    def sentence(self, out: Path) -> str:
        """For people."""
        skipped = f", {self.skipped:,} done before" if self.skipped else ""
        failed = f", {self.failed:,} could not be read" if self.failed else ""
        not_updated = f"; {self.not_updated:,} .info.json not updated" if self.not_updated else ""
        return f"{out}: {self.tagged:,} tagged{failed}{skipped}{not_updated}"


def tag_files(
    tagger: Tagging,
    requests: Iterable[TagRequest],
    output: Output,
    *,
    wishes: VideoTags,
    sidecars: bool,
    stop: threading.Event,
    advance: Callable[[int], None],
    warn: Callable[[str], None],
) -> Counts:
    """Tags what is not done yet.

    Args:
        wishes: tags that all files have or have not.
        sidecars: whether the ``.info.json`` beside each file is updated; before the output says that the file is done.
        stop: once set, what is complete is written and the rest left.
        advance: told the number of files done.
        warn: told one sentence for each ``.info.json`` that could not be updated.

    Raises:
        OptsgError: the output cannot be written, or a tag is both pinned and forbidden.
    """
    counts = Counts()

    def remaining() -> Iterator[TagRequest]:
        for request in requests:
            if output.claim(request.path):
                yield request
            else:
                counts.skipped += 1
                advance(1)

    for group in tagger.tag_many(remaining(), wishes=wishes, stop=stop):
        for tagged in group if sidecars else ():
            try:
                update_info_json(tagged, run=tagger.name, system=tagger.system)
            except InputError as error:
                counts.not_updated += 1
                warn(str(error))
        output.write(group)
        failed = sum(tagged.error is not None for tagged in group)
        counts.failed += failed
        counts.tagged += len(group) - failed
        advance(len(group))
    if not stop.is_set():
        output.finish()
    return counts
