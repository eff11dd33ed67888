"""``NAME.json``: what img2dataset and video2dataset write beside a file, to which ``tags`` are added; and ``metadata.jsonl`` of Hugging Face."""

from __future__ import annotations

import json
import posixpath
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..errors import InputError, reason_of
from ..foreign.json_reader import parse_json
from ..tags import tag_key, unique_tags
from .text import text_of

FORMS: tuple[Mapping[str, Any], ...] = tuple(
    {"indent": indent, "ensure_ascii": ensure_ascii} for indent in (4, None, 2) for ensure_ascii in (True, False)
)
"""How programs write JSON: the one that gives what is there is used again."""


def read_json_tags(data: bytes) -> dict[str, object]:
    """``tags`` and ``title`` or ``caption``, where it has them; nothing of what is no object.

    Raises:
        InputError: it is not JSON.
    """
    values = _parsed(data)
    if not isinstance(values, dict):
        return {}
    titles = _titles(values)
    return {**({"tags": values["tags"]} if "tags" in values else {}), **({"title": titles[0]} if titles else {})}


def is_title_in_json(data: bytes, text: str) -> bool:
    """Whether a text is the title or the caption; errors as :func:`read_json_tags`."""
    values = _parsed(data)
    titles = _titles(values) if isinstance(values, dict) else []
    return text.strip() in [title.strip() for title in titles]


def _titles(values: Mapping[str, object]) -> list[str]:
    return [text for name in ("title", "caption") if isinstance(text := values.get(name), str) and text.strip()]


def merged_json_tags(old: bytes | None, tags: Sequence[str], *, replace: bool = False, title: str = "") -> bytes:
    """The file with these tags under ``tags``, behind those that it has; the same bytes where it has them all.

    Args:
        old: what is there; ``None`` where nothing is.
        tags: to be in it.
        replace: these tags alone; all other keys stay.
        title: ``caption`` of a new file.

    Raises:
        InputError: it is no JSON object, or its ``tags`` are no list of texts.
    """
    values = {"caption": title} if old is None else _parsed(old)
    if not isinstance(values, dict):
        raise InputError("it is not a JSON object")
    merged = merged_list(values.get("tags"), tags, replace=replace)
    if old is not None and merged == values.get("tags"):
        return old
    return _written(old, {**values, "tags": merged})


def merged_list(there: object, tags: Sequence[str], *, replace: bool) -> list[Any]:
    """A list of tags with new ones behind its own, or these alone.

    Raises:
        InputError: what is there is no list of texts.
    """
    if there is None or replace:
        return list(unique_tags(tags))
    if not isinstance(there, list) or not all(isinstance(tag, str) for tag in there):
        raise InputError("its tags are no list of texts")
    known = {tag_key(tag) for tag in there}
    return [*there, *(tag for tag in unique_tags(tags) if tag_key(tag) not in known)]


FILE_NAME = "file_name"


def merged_metadata(old: bytes | None, rows: Iterable[Mapping[str, Any]], *, replace: bool = False) -> bytes:
    """``metadata.jsonl`` with the tags of these rows; other rows, columns and their order stay as they are.

    Of a file that has several rows each gets its tags.

    Args:
        old: what is there; ``None`` where nothing is.
        rows: ``file_name``, ``tags`` and of a file that has no row yet also what else it is to have.
        replace: these tags alone.

    Raises:
        InputError: a line is no JSON object, or the tags of a row are no list of texts.
    """
    new = {_normal(row[FILE_NAME]): row for row in rows}
    there = set[str]()
    # Not splitlines(): texts in JSON may hold what that takes for the end of a line, such as U+2028.
    lines = text_of(old, "utf-8").removesuffix("\n").split("\n") if old else []
    made = []
    for number, line in enumerate((line.removesuffix("\r") for line in lines), start=1):
        row = _row(line, number) if line.strip() else None
        given = None if row is None else new.get(_normal(row.get(FILE_NAME)))
        if row is None or given is None:
            made.append(line)
            continue
        there.add(_normal(row[FILE_NAME]))
        tags = merged_list(row.get("tags"), given["tags"], replace=replace)
        made.append(line if tags == row.get("tags") else _text({**row, "tags": tags}, ensure_ascii=False))
    made += [_text(dict(row), ensure_ascii=False) for name, row in new.items() if name not in there]
    return "".join(f"{line}\n" for line in made).encode("utf-8")


def _normal(name: object) -> str:
    """A file's name as it is compared: ``./a.jpg`` is ``a.jpg``."""
    return posixpath.normpath(name) if isinstance(name, str) else ""


def _row(line: str, number: int) -> dict[str, Any]:
    try:
        row = parse_json(line, finite=False)
    except ValueError as error:
        raise InputError(f"line {number} is not JSON ({reason_of(error)})") from error
    if not isinstance(row, dict):
        raise InputError(f"line {number} is not a JSON object")
    return row


def _parsed(data: bytes) -> Any:
    try:
        return parse_json(data, finite=False)
    except ValueError as error:
        raise InputError(f"it is not JSON ({reason_of(error)})") from error


def _written(old: bytes | None, values: Mapping[str, Any]) -> bytes:
    end = "\n" if old is not None and old.endswith(b"\n") else ""
    for form in FORMS:
        if old is not None and (_text(_parsed(old), **form) + end).encode("utf-8") == old:
            return (_text(values, **form) + end).encode("utf-8")
    return (_text(values, **FORMS[1]) + end).encode("utf-8")


def _text(values: object, **form: Any) -> str:
    """JSON in one of the forms; in ASCII where a text holds half of a surrogate pair, which UTF-8 cannot."""
    text = json.dumps(values, **form)
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return json.dumps(values, **{**form, "ensure_ascii": True})
    return text
