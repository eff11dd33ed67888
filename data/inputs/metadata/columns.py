"""Which column of a table is what: exact names first, then what the person says, then names that others use for the same."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import TypedDict, Unpack

from ...errors import ConfigError, InputError
from .records import FORBIDDEN, PINNED

FILE_NAME = "file_name"


MEDIA = "media"
"""What a data set that holds pictures and videos itself has in place of the names of files; for ``--columns`` alone."""


COLUMNS = (FILE_NAME, "id", "title", "tags", "split", PINNED, FORBIDDEN)


SYNONYMS: Mapping[str, tuple[str, ...]] = {
    FILE_NAME: (
        *("filename", "file", "filepath", "file_path", "path"),
        *("video_path", "video_file", "image_path", "image_file"),
    ),
    "title": ("caption", "text"),
    "tags": ("tag", "keywords", "keyword", "hashtags", "hashtag", "labels"),
}
"""Taken, with a note, where a table has no column of the exact name; the first that it has.

Others would be guesses: ``video`` and ``image`` are what Hugging Face calls the media themselves, ``description`` is long, ``name`` may be a file or a person, ``label`` is often the number of a class, and
another ``id`` would make new videos of those that a store has.
"""


SHOWN = 200


NO_DATASET = f"--columns {MEDIA}=… is of data sets in Parquet or Arrow that hold pictures or videos themselves"


class MetadataKeywords(TypedDict, total=False):
    """How metadata is read, as a person says it: ``--columns``, ``--tag-separator``, ``--group-rows``, ``--title-from-name``."""

    columns: str | None
    tag_separator: str | None
    group_rows: bool
    title_from_name: bool


@dataclass(frozen=True, kw_only=True)
class MetadataOptions:
    """How metadata is read.

    Attributes:
        columns: names of columns in the file by what they are; they go before exact names.
        tag_separator: what separates tags in a text; commas where it is ``None``.
        group_rows: join the rows of one file, as in a table with one row for each tag.
        title_from_name: a file in a folder that nothing gives a title has that of its name.
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    tag_separator: str | None = None
    group_rows: bool = False
    title_from_name: bool = False

    def __post_init__(self) -> None:
        if self.tag_separator == "":
            raise ConfigError("--tag-separator is empty; expected a text such as ';'")

    @classmethod
    def of(cls, **said: Unpack[MetadataKeywords]) -> MetadataOptions:
        """From the options of a command; :class:`ConfigError` for what they do not allow."""
        return cls(
            columns=parse_columns(said.get("columns")),
            tag_separator=said.get("tag_separator"),
            group_rows=said.get("group_rows", False),
            title_from_name=said.get("title_from_name", False),
        )


def parse_columns(text: str | None) -> dict[str, str]:
    """``tags=keywords,title=caption`` as a mapping.

    Raises:
        ConfigError: it has another form, or names something that there is not.
    """
    chosen: dict[str, str] = {}
    for pair in text.split(",") if text else []:
        name, equals, column = (part.strip().lower() for part in pair.partition("="))
        if not (equals and column) or name not in (*COLUMNS, MEDIA) or name in chosen:
            expected = ", ".join((*COLUMNS, MEDIA))
            raise ConfigError(
                f"--columns {text} is not understood at {pair.strip()!r}; expected NAME=COLUMN, NAME once and one of {expected}"
            )
        chosen[name] = column
    return chosen


@dataclass(frozen=True, kw_only=True)
class ColumnMap:
    """The columns of one table.

    Attributes:
        found: all of them, trimmed and in lower case.
        source: the column that is read, by what it is.
    """

    found: tuple[str, ...]
    source: Mapping[str, str]

    @classmethod
    def choose(
        cls, path: Path, found: Sequence[str], options: MetadataOptions, required: Sequence[str] = (FILE_NAME,)
    ) -> ColumnMap:
        """Choose from the columns of a table, of which it needs one of ``required``; a data set needs none of them.

        Raises:
            InputError: it has none of these, lacks a named one, or has one that is read twice.
        """
        if required and MEDIA in options.columns:
            raise InputError(f"{path}: {NO_DATASET}")
        source: dict[str, str] = {}
        for name in COLUMNS:
            column = _chosen(path, name, found, options)
            if column is not None:
                source[name] = column
        if required and not any(name in source for name in required):
            raise InputError(
                f"{path}: no column {' or '.join(map(repr, required))} (found: {listed_columns(found)}); if another one is meant, say "
                f"--columns {required[0]}=COLUMN"
            )
        for column in source.values():
            if found.count(column) > 1:
                raise InputError(f"{path}: {found.count(column)} columns are called '{column}'")
        return cls(found=tuple(found), source=source)

    def renamed(self, values: Mapping[str, object]) -> dict[str, object]:
        """What a row holds by what it is; other columns are left out."""
        return {name: values[column] for name, column in self.source.items() if column in values}

    def taken(self, label: str, options: MetadataOptions) -> Iterator[str]:
        """A sentence for each column that is read as what it is not called."""
        for name, column in self.source.items():
            if name != column and name not in options.columns:
                yield f"{label}: column {column} is read as {name}"

    def missing(self, label: str) -> Iterator[str]:
        """A sentence where there are no titles or no tags."""
        unused = [column for column in self.found if column not in self.source.values()]
        for name in ("title", "tags"):
            if name not in self.source:
                near = get_close_matches(name, unused, n=1, cutoff=0.7)
                yield (
                    f"{label} has no column {name} (found: {listed_columns(self.found)}); if another one is meant, say "
                    f"--columns {name}={near[0] if near else 'COLUMN'}"
                )


def column_name(name: str) -> str:
    """A column's name as it is compared."""
    return name.strip().lower()


def readable_names(options: MetadataOptions) -> frozenset[str]:
    """Names of all columns that a table may be read by."""
    return frozenset((*COLUMNS, *(name for names in SYNONYMS.values() for name in names), *options.columns.values()))


def _chosen(path: Path, name: str, found: Sequence[str], options: MetadataOptions) -> str | None:
    if name in options.columns:
        if options.columns[name] not in found:
            raise InputError(
                f"{path}: no column '{options.columns[name]}', which --columns reads as {name} (found: {listed_columns(found)})"
            )
        return options.columns[name]
    taken = set(options.columns.values())
    return next((one for one in (name, *SYNONYMS.get(name, ())) if one in found and one not in taken), None)


def listed_columns(found: Sequence[str]) -> str:
    """The columns that there are, for messages."""
    return ", ".join(found)[:SHOWN] or "nothing"
