"""``--format hf``: ``metadata.jsonl`` of a folder as Hugging Face's ``imagefolder`` and ``videofolder`` read it, merged into what is there."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Self

from ....data.errors import InputError, RunError
from ....data.foreign.json_reader import LARGE_FILE
from ....data.sidecars.files import update_file
from ....data.sidecars.json_file import FILE_NAME, merged_metadata
from ..tagged_file import TaggedFile
from .journal import Journal
from .made_with import MadeWith


class HuggingFaceOutput:
    """One row a file with ``file_name``, relative to the table, ``title``, ``tags`` and ``scores``. Use as a context manager.

    The table is changed once all is done; until then the work is kept in a journal beside it. Rows and columns that are there stay,
    and their tags come first. A file that could not be tagged gets no row.

    Args:
        path: of the table.
        made_with: the run and options that are to go on with an unfinished one.
        overwrite: begin an unfinished one anew.
        retry_failed: files that could not be tagged are not done.
        replace: the tags of a row are replaced, in place of being added to.

    Raises:
        RunError: the journal cannot be used, or nothing can be merged into the table.
    """

    def __init__(
        self,
        path: Path,
        made_with: MadeWith,
        *,
        overwrite: bool = False,
        retry_failed: bool = False,
        replace: bool = False,
    ):
        self.path = path
        self._replace = replace
        self._change(self._check)  # before anything is tagged
        unfinished = path.with_name(f"{path.name}.unfinished.jsonl")
        self._journal = Journal(unfinished, made_with, overwrite=overwrite, retry_failed=retry_failed)

    def is_done(self, path: str) -> bool:
        """See :class:`Journal`."""
        return self._journal.is_done(path)

    def claim(self, path: str) -> bool:
        """See :class:`Journal`.

        Raises:
            RunError: the file lies outside of the table's folder.
        """
        self._name(path)
        return self._journal.claim(path)

    def write(self, group: Sequence[TaggedFile]) -> None:
        """Adds a group to the journal; errors as :meth:`Journal.write`."""
        self._journal.write(group)

    def finish(self) -> None:
        """Changes the table.

        Raises:
            RunError: it cannot be changed; the journal is kept.
        """
        self._journal.finish()
        rows = list(self._rows())
        self._change(lambda old: merged_metadata(old, rows, replace=self._replace))
        self._journal.remove()

    def _change(self, change: Callable[[bytes | None], bytes | None]) -> None:
        try:
            update_file(self.path, change, most_bytes=LARGE_FILE)
        except InputError as error:
            raise RunError(str(error)) from error

    @staticmethod
    def _check(old: bytes | None) -> None:
        """That rows can be merged into what is there."""
        merged_metadata(old, ())

    def _name(self, path: str) -> str:
        name = Path(os.path.relpath(path, self.path.parent)).as_posix()
        if name.startswith("../"):
            raise RunError(f"{path} lies outside of {self.path.parent}, the folder of {self.path.name}")
        return name

    def _rows(self) -> Iterator[dict[str, Any]]:
        for line in self._journal.rows():
            if "error" in line:
                continue
            titled = {"title": line["title"]} if line.get("title") else {}
            tags = line.get("tags", [])
            names, scores = [tag["tag"] for tag in tags], [tag["score"] for tag in tags]
            yield {FILE_NAME: self._name(line["path"]), **titled, "tags": names, "scores": scores}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._journal.__exit__()
