"""A multipart form as it arrives: files go to a private folder under names of our own, fields into memory, within limits.

What a caller calls a file is shown in answers and decides which decoders may read it, as its suffix would; it is never the
name of anything on this machine.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path, PurePosixPath
from typing import BinaryIO

import python_multipart
from fastapi import Request
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect

from ...data.inputs.relative_paths import printable
from ...data.media import IMAGE_SUFFIXES, VIDEO_SUFFIXES
from .refusals import RefusedError, unusable

MOST_FIELD_BYTES = 1 << 20
"""Of all fields of a request together."""

MOST_PARTS = 1000

MOST_NAME = 200
"""Characters of a file's name that are shown."""


@dataclass(frozen=True, kw_only=True)
class Upload:
    """A file that was sent.

    Attributes:
        name: what the caller calls it, for people.
        path: where it is until the request is answered.
    """

    name: str
    path: Path


@dataclass(kw_only=True)
class Form:
    """What was sent: ``fields`` by name, ``media`` the files and the named paths in their order."""

    fields: dict[str, list[str]] = field(default_factory=dict)
    media: list[Upload | str] = field(default_factory=list)


class UploadFolder:
    """A folder of this service alone.

    Args:
        path: it exists, and nobody else may read it.
    """

    def __init__(self, path: Path):
        self._path = path
        self._numbers = itertools.count()

    def new_path(self, name: str) -> Path:
        """A name that was not used before, with the suffix of ``name`` where that is one of videos or images."""
        suffix = PurePosixPath(name).suffix.lower()
        return self._path / f"{next(self._numbers):08}{suffix if suffix in VIDEO_SUFFIXES | IMAGE_SUFFIXES else ''}"


FILE_FIELD, PATH_FIELD = "file", "path"


@contextlib.contextmanager
def removed_at_the_end() -> Iterator[list[Path]]:
    """Paths that are put into the list are removed, whatever happens."""
    paths: list[Path] = []
    try:
        yield paths
    finally:
        for path in paths:
            path.unlink(missing_ok=True)


async def receive_form(request: Request, folder: UploadFolder, made: list[Path], *, most: int) -> Form:
    """Reads the body of a request.

    Args:
        folder: for its files.
        made: takes the path of every file at once, for its removal.
        most: bytes of the body.

    Raises:
        RefusedError: it is no form, or too large.
    """
    kind, options = parse_options_header(request.headers.get("Content-Type"))
    if kind != b"multipart/form-data" or not options.get(b"boundary"):
        raise RefusedError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "expected a form: Content-Type: multipart/form-data")
    check_length(request, most)
    reader, got = _FormReader(folder, made), 0
    with contextlib.closing(reader):
        try:
            parser = MultipartParser(options[b"boundary"], reader.callbacks())
            async for chunk in request.stream():
                got += len(chunk)
                if got > most:
                    raise too_large(most)
                parser.write(chunk)
            parser.finalize()
        except (python_multipart.exceptions.FormParserError, ValueError) as error:
            raise RefusedError(HTTPStatus.BAD_REQUEST, "the form is not one: it is cut short or malformed") from error
        except ClientDisconnect as error:
            raise RefusedError(HTTPStatus.BAD_REQUEST, "the request ended early") from error
    if not reader.is_whole:
        raise RefusedError(HTTPStatus.BAD_REQUEST, "the form is not one: it is cut short or malformed")
    return reader.form


def check_length(request: Request, most: int) -> None:
    """Refuses a body by the length that it announces.

    Raises:
        RefusedError: it is too long.
    """
    length = request.headers.get("Content-Length", "")
    if length.isdecimal() and int(length) > most:
        raise too_large(most)


def too_large(most: int) -> RefusedError:
    """A body of more bytes than are taken."""
    return RefusedError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the request has more than {most:,} bytes")


class _FormReader:
    """Takes the parts as the parser finds them."""

    def __init__(self, folder: UploadFolder, made: list[Path]):
        self.form = Form()
        self.is_whole = False
        self._folder, self._made = folder, made
        self._header, self._value = bytearray(), bytearray()
        self._headers: dict[bytes, bytes] = {}
        self._name, self._text = "", bytearray()
        self._file: BinaryIO | None = None
        self._parts = self._field_bytes = 0

    def callbacks(self) -> python_multipart.multipart.MultipartCallbacks:
        """What the multipart parser calls, by the names that it knows."""
        return {
            "on_part_begin": self._begin,
            "on_header_field": lambda data, start, end: self._header.extend(data[start:end]),
            "on_header_value": lambda data, start, end: self._value.extend(data[start:end]),
            "on_header_end": self._end_header,
            "on_headers_finished": self._open,
            "on_part_data": self._take,
            "on_part_end": self._end,
            "on_end": self._finish,
        }

    def _begin(self) -> None:
        self._parts += 1
        if self._parts > MOST_PARTS:
            raise unusable(f"the form has more than {MOST_PARTS:,} parts")
        self._headers, self._text = {}, bytearray()

    def _end_header(self) -> None:
        self._headers[bytes(self._header).lower()] = bytes(self._value)
        self._header.clear()
        self._value.clear()

    def _open(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition", b""))
        self._name = _text(options.get(b"name", b""))
        if self._name == FILE_FIELD:
            name = printable(_text(options.get(b"filename", b"")))[-MOST_NAME:] or f"file {len(self.form.media) + 1}"
            path = self._folder.new_path(name)
            self._file = path.open("xb")
            self._made.append(path)
            self.form.media.append(Upload(name=name, path=path))

    def _take(self, data: bytes, start: int, end: int) -> None:
        if self._file is not None:
            self._file.write(data[start:end])
            return
        self._field_bytes += end - start
        if self._field_bytes > MOST_FIELD_BYTES:
            raise unusable(f"the fields of the form have more than {MOST_FIELD_BYTES:,} bytes")
        self._text.extend(data[start:end])

    def _end(self) -> None:
        if self._file is not None:
            self.close()
            return
        try:
            text = self._text.decode("utf-8")
        except UnicodeDecodeError as error:
            raise unusable(f"the field {printable(self._name)[:MOST_NAME]!r} is not UTF-8 text") from error
        if self._name == PATH_FIELD:
            self.form.media.append(text)
        else:
            self.form.fields.setdefault(self._name, []).append(text)

    def _finish(self) -> None:
        self.is_whole = True

    def close(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            file.close()


def _text(value: bytes) -> str:
    return value.decode("utf-8", "replace")
