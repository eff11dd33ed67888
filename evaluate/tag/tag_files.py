"""From requests to an output: what is done already is skipped, the rest tagged, written group by group.

Tags can be written into ``NAME.info.json`` beside ``NAME.mp4`` too, under a key of their own: ``"optsg_tags": {"run": "small-1",
"system": "op-tsg", "tags": [{"tag", "score", "novel", "prompt"}, …]}``. All other keys, also yt-dlp's own ``tags``, stay as they
are. A file that says the same already is not touched.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path, PurePath
from typing import Any, Protocol

from ...data.errors import InputError, RunError
from ...data.inputs.folder_input import read_info
from ...data.inputs.media_folder import SIDECAR_SUFFIX, media_kind
from ...data.json_log import JsonLog
from ...data.media import IMAGE_SUFFIXES, VIDEO_SUFFIXES
from ...data.whole_files import keep_owner_and_mode, whole_file
from ...train.writing.tag_control import VideoTags
from ..scores.predictions import json_line
from .requests import TagRequest
from .tagged_file import TaggedFile


class Tagging(Protocol):
    """What is needed of :class:`optsg.evaluate.tag.file_tagger.FileTagger`."""

    @property
    def system(self) -> str:
        """The system that writes the tags."""
        ...

    @property
    def name(self) -> str:
        """The run's name, as outputs record it."""
        ...

    def tag_many(
        self, requests: Iterable[TagRequest], *, wishes: VideoTags | None, stop: threading.Event | None
    ) -> Iterator[list[TaggedFile]]:
        """Groups of outcomes in the order of the requests."""
        ...


class Output(Protocol):
    """Where the outcomes of tagging go: a file that grows, or the terminal."""

    def is_done(self, path: str) -> bool:
        """Whether a file is done, or claimed."""
        ...

    def claim(self, path: str) -> bool:
        """Whether a file is to be tagged: it is not done, and was not claimed before."""
        ...

    def write(self, group: Sequence[TaggedFile]) -> None:
        """Takes the outcomes of a group of files."""
        ...

    def finish(self) -> None:
        """Called once all files are done."""
        ...


@dataclass(kw_only=True)
class Counts:
    """How many files were tagged, could not be, and had been done before; and files beside others that could not be updated."""

    tagged: int = 0
    failed: int = 0
    skipped: int = 0
    not_updated: int = 0

    def sentence(self, out: Path) -> str:
        """The counts in one line, for people."""
        skipped = f", {self.skipped:,} done before" if self.skipped else ""
        failed = f", {self.failed:,} could not be read" if self.failed else ""
        not_updated = f"; {self.not_updated:,} files beside others not updated" if self.not_updated else ""
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
    log: JsonLog | None = None,
    writers: Sequence[Callable[[TaggedFile], bool]] = (),
) -> Counts:
    """Tags what is not done yet.

    Args:
        wishes: tags that all files have or have not.
        sidecars: whether the ``.info.json`` beside each file is updated; before the output says that the file is done.
        stop: once set, what is complete is written and the rest left.
        advance: told the number of files done.
        warn: told one sentence for each file beside another that could not be updated.
        log: gets a line for each file once it is written.
        writers: of further files beside each (:mod:`optsg.evaluate.tag.beside.sidecars`), called as early.

    Raises:
        OptsgError: the output cannot be written, or a tag is both pinned and forbidden.
    """
    counts = Counts()
    info = partial(update_info_json, run=tagger.name, system=tagger.system)
    everything: list[Callable[[TaggedFile], bool]] = [*([info] if sidecars else []), *writers]

    def remaining() -> Iterator[TagRequest]:
        for request in requests:
            if output.claim(request.path):
                yield request
            else:
                counts.skipped += 1
                advance(1)

    for group in tagger.tag_many(remaining(), wishes=wishes, stop=stop):
        counts.not_updated += _not_written(group, everything, warn)
        output.write(group)
        _count(group, counts, log)
        advance(len(group))
    if not stop.is_set():
        output.finish()
    if log is not None:
        log.write("interrupted" if stop.is_set() else "finished", **vars(counts))
    return counts


def _count(group: Sequence[TaggedFile], counts: Counts, log: JsonLog | None) -> None:
    for tagged in group:
        if log is not None:
            log.write("file", path=tagged.path, tags=len(tagged.tags), error=tagged.error)
        counts.failed += tagged.error is not None
        counts.tagged += tagged.error is None


def _not_written(
    group: Iterable[TaggedFile], writers: Sequence[Callable[[TaggedFile], bool]], warn: Callable[[str], None]
) -> int:
    """Writes beside files; how many could not be written."""
    failed = 0
    for tagged, write in product(group, writers):
        try:
            write(tagged)
        except InputError as error:
            failed += 1
            warn(str(error))
    return failed


KEY = "optsg_tags"


def update_info_json(tagged: TaggedFile, *, run: str, system: str) -> bool:
    """Updates or makes the ``.info.json`` of a file, its own where another has the same stem; whether anything changed.

    It is replaced as a whole, and keeps owner and mode. A file that could not be tagged, one without a place of its own,
    and a picture beside a video of the same name, its thumbnail, change nothing.

    Raises:
        InputError: what is there is not a JSON object, or cannot be read or replaced; it is left as it is.
    """
    if tagged.error is not None or tagged.sidecar is None or _is_thumbnail(tagged.path, tagged.sidecar):
        return False
    sidecar = _own_sidecar(tagged.path, tagged.sidecar)
    path = sidecar.resolve()  # a link stays one
    info = _read(path, sidecar)
    value = json.loads(json_line({"run": run, "system": system, "tags": tagged.rows()}))
    if info.get(KEY) == value:
        return False
    text = json.dumps({**info, KEY: value}) + "\n"
    try:
        with whole_file(path) as temporary:
            temporary.write_text(text, encoding="utf-8", newline="\n")
            if path.exists():
                keep_owner_and_mode(path, temporary)
    except RunError as error:
        raise InputError(str(error)) from error
    return True


def _read(path: Path, name: Path) -> dict[str, Any]:
    try:
        return read_info(path, name)
    except InputError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            return {}
        raise InputError(f"{error}; it was left as it is") from error


def _is_thumbnail(path: str, sidecar: Path) -> bool:
    return media_kind(path) == "image" and any(_twins(path, sidecar, VIDEO_SUFFIXES))


def _own_sidecar(path: str, sidecar: Path) -> Path:
    """``NAME.jpg.info.json`` in place of ``NAME.info.json`` where another input has the same stem."""
    rivals = VIDEO_SUFFIXES if media_kind(path) == "video" else IMAGE_SUFFIXES
    if not any(_twins(path, sidecar, rivals)):
        return sidecar
    return sidecar.with_name(sidecar.name.removesuffix(SIDECAR_SUFFIX) + PurePath(path).suffix + SIDECAR_SUFFIX)


def _twins(path: str, sidecar: Path, suffixes: Iterable[str]) -> Iterator[bool]:
    """For every other suffix whether there is a file of the same stem."""
    stem, own = sidecar.name.removesuffix(SIDECAR_SUFFIX), PurePath(path).suffix
    for suffix in suffixes:
        yield from (sidecar.with_name(stem + one).exists() for one in (suffix, suffix.upper()) if one != own)
