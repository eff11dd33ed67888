"""From requests to an output: what is done already is skipped, the rest tagged, written group by group.

Tags can be written into ``NAME.info.json`` beside ``NAME.mp4`` too, under a key of their own: ``"optsg_tags": {"run": "small-1",
"system": "op-tsg", "tags": [{"tag", "score", "novel", "prompt"}, …]}``. All other keys, also yt-dlp's own ``tags``, stay as they
are. A file that says the same already is not touched.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any, Protocol

from ...data.errors import InputError, RunError
from ...data.inputs.folder_input import read_info
from ...data.inputs.media_folder import SIDECAR_SUFFIX, media_kind
from ...data.json_log import JsonLog
from ...data.media import IMAGE_SUFFIXES, VIDEO_SUFFIXES
from ...data.whole_files import whole_file
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
    """How many files were tagged, could not be, and had been done before; and ``.info.json`` that could not be updated."""

    tagged: int = 0
    failed: int = 0
    skipped: int = 0
    not_updated: int = 0

    def sentence(self, out: Path) -> str:
        """The counts in one line, for people."""
        skipped = f", {self.skipped:,} done before" if self.skipped else ""
        failed = f", {self.failed:,} could not be read" if self.failed else ""
        not_updated = f"; {self.not_updated:,} .info.json not updated" if self.not_updated else ""
        return f"{out}: {self.tagged:,} tagged{failed}{skipped}{not_updated}"


NO_LOG = JsonLog()


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
    log: JsonLog = NO_LOG,
) -> Counts:
    """Tags what is not done yet.

    Args:
        wishes: tags that all files have or have not.
        sidecars: whether the ``.info.json`` beside each file is updated; before the output says that the file is done.
        stop: once set, what is complete is written and the rest left.
        advance: told the number of files done.
        warn: told one sentence for each ``.info.json`` that could not be updated.
        log: gets a line for each file once it is written.

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
        counts.not_updated += _update_sidecars(tagger, group if sidecars else (), warn)
        output.write(group)
        _log_group(log, group)
        failed = sum(tagged.error is not None for tagged in group)
        counts.failed += failed
        counts.tagged += len(group) - failed
        advance(len(group))
    if not stop.is_set():
        output.finish()
    log.write("interrupted" if stop.is_set() else "finished", **vars(counts))
    return counts


def _update_sidecars(tagger: Tagging, group: Sequence[TaggedFile], warn: Callable[[str], None]) -> int:
    """How many could not be updated."""
    failed = 0
    for tagged in group:
        try:
            update_info_json(tagged, run=tagger.name, system=tagger.system)
        except InputError as error:
            failed += 1
            warn(str(error))
    return failed


def _log_group(log: JsonLog, group: Sequence[TaggedFile]) -> None:
    for tagged in group:
        log.write("file", path=tagged.path, tags=len(tagged.tags), error=tagged.error)


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
                _keep_owner_and_mode(path, temporary)
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


def _keep_owner_and_mode(path: Path, temporary: Path) -> None:
    now = path.stat()
    with contextlib.suppress(PermissionError):  # only root gives files away
        os.chown(temporary, now.st_uid, now.st_gid)
    temporary.chmod(now.st_mode & 0o7777)
