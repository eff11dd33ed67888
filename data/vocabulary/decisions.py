"""The changes that a person accepted, read from a CSV of proposals, and what they make of a video's tags.

Only the columns ``kind``, ``tag``, ``into`` and ``accept`` count, so that the file may come back from a spreadsheet, with other
columns, with semicolons, or be written by hand.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import InputError, reason_of
from ..foreign.csv_cells import from_cell
from ..tags import clean_tag, tag_key
from .proposal import KINDS, NO, YES

NEEDED = ("kind", "tag", "into", "accept")

MOST_BYTES = 256 << 20
"""Of a file: some millions of rows."""


@dataclass(frozen=True, kw_only=True)
class Decisions:
    """Accepted changes. Keys are those of :func:`optsg.data.tags.tag_key`.

    Attributes:
        merged: by the key of a tag, the spelling of the one that it is another name of, which is no other name itself.
        removed: keys of tags that go.
        parents: by the key of a tag, the spelling of the one that it stands under.
    """

    merged: Mapping[str, str] = field(default_factory=dict)
    removed: frozenset[str] = frozenset()
    parents: Mapping[str, str] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.merged or self.removed or self.parents)

    def in_words(self) -> str:
        """How many changes there are, for people."""
        return f"merged {len(self.merged):,}, taken away {len(self.removed):,}, put under others {len(self.parents):,}"

    def tags(self, tags: Iterable[str]) -> tuple[str, ...]:
        """A video's tags as they are with these changes: each once, parents behind the first tag that implies them."""
        found: dict[str, str] = {}
        for tag in tags:
            if tag_key(tag) in self.removed:
                continue
            for one in self.with_parents(self.merged.get(tag_key(tag), tag)):
                found.setdefault(tag_key(one), one)
        return tuple(found.values())

    def with_parents(self, tag: str) -> Iterator[str]:
        """A tag, what it stands under, what that stands under, and so on."""
        yield tag
        while (parent := self.parents.get(tag_key(tag))) is not None:
            yield parent
            tag = parent


def read_decisions(path: Path) -> Decisions:
    """Reads the rows that are accepted.

    Raises:
        InputError: the file cannot be read, a line is none of its kind, or two lines contradict each other.
    """
    made = _Lines(path)
    try:
        if path.stat().st_size > MOST_BYTES:
            raise InputError(f"{path} is larger than {MOST_BYTES >> 20} MiB; expected a CSV of proposals")
        for number, row in _rows(path):
            made.add(number, row)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = "it is not UTF-8 text" if isinstance(error, UnicodeDecodeError) else reason_of(error)
        raise InputError(f"{path} cannot be read: {reason}") from error
    return made.finish()


def _rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Rows that are not empty with their line numbers, the headings' names as keys; what separates cells is what the headings have."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        heading = file.readline()
        separator = ";" if heading.count(";") > heading.count(",") else ","
        names = [name.strip().casefold() for name in next(csv.reader([heading], delimiter=separator), [])]
        if missing := [name for name in NEEDED if name not in names]:
            raise InputError(
                f"{path}, line 1: there is no column {missing[0]!r}; expected the headings {', '.join(NEEDED)}"
            )
        if twice := [name for name in NEEDED if names.count(name) > 1]:
            raise InputError(
                f"{path}, line 1: {names.count(twice[0])} columns are called {twice[0]!r}; keep one of them"
            )
        for number, cells in _cells(path, csv.reader(file, strict=True, delimiter=separator)):
            if any(cell.strip() for cell in cells[len(names) :]):
                what = f"{len(cells)} cells under {len(names)} headings; a text with {separator!r} needs double quotes around it"
                raise InputError(f"{path}, line {number}: {what}")
            if any(cell.strip() for cell in cells):
                yield number, dict(zip(names, cells, strict=False))


def _cells(path: Path, lines: Any) -> Iterator[tuple[int, list[str]]]:
    """Rows below the headings with their last lines' numbers; a quote that is never closed would take in all rows that follow."""
    begun = 2
    try:
        for cells in lines:
            yield lines.line_num + 1, cells
            begun = lines.line_num + 2
    except csv.Error as error:
        raise InputError(f"{path}, row that begins on line {begun}: not CSV ({reason_of(error)})") from error


class _Lines:
    """Accepted changes as far as they are read; every one remembers its line."""

    def __init__(self, path: Path):
        self._path = path
        self._into: dict[str, dict[str, str]] = {"merge": {}, "parent": {}}
        self._removed: set[str] = set()
        self._line_of: dict[tuple[str, str], int] = {}

    def add(self, number: int, row: Mapping[str, str]) -> None:
        """Takes one row; a refused one need not make sense."""
        kind, tag, into, accept = (from_cell(row.get(name, "")).strip() for name in NEEDED)
        if accept.casefold() not in (YES, NO, ""):
            raise self._error(number, f"accept is {accept!r}; expected {YES}, {NO} or nothing")
        if accept.casefold() != YES:
            return
        if kind not in KINDS:
            raise self._error(number, f"the kind is {kind!r}; expected {', '.join(KINDS)}")
        if not tag_key(tag):
            raise self._error(number, "there is no tag in it")
        if kind == "one-off":
            self._removed.add(tag_key(tag))
            self._line_of.setdefault(("one-off", tag_key(tag)), number)
        else:
            self._relate(number, "parent" if kind == "parent" else "merge", tag, into)

    def _relate(self, number: int, what: str, tag: str, into: str) -> None:
        key, target, known = tag_key(tag), tag_key(into), self._into[what]
        if not target:
            raise self._error(number, f"“{tag}” has nothing in the column into; say which tag it belongs to")
        if key == target:
            raise self._error(number, f"“{tag}” and “{into}” are one tag already")
        before = known.setdefault(key, clean_tag(into))
        line = self._line_of.setdefault((what, key), number)
        if tag_key(before) != target:
            raise self._error(number, f"“{tag}” is “{into}” here and “{before}” in line {line}; keep one of them")

    def finish(self) -> Decisions:
        """All of it, names followed to the last one."""
        self._check_removed()
        lines = {key: number for (what, key), number in self._line_of.items() if what == "merge"}
        known = self._into["merge"]
        merged = {key: self._last(known, lines, key) for key in known}
        return Decisions(merged=merged, removed=frozenset(self._removed), parents=self._parents(merged))

    def _check_removed(self) -> None:
        """A tag that goes has no other name and no parent, and is neither."""
        for (what, key), number in self._line_of.items():
            used = () if what == "one-off" else (key, tag_key(self._into[what][key]))
            for name in self._removed.intersection(used):
                line = self._line_of["one-off", name]
                raise self._error(number, f"“{name}” is used here and taken away in line {line}; keep one of them")

    def _parents(self, merged: Mapping[str, str]) -> dict[str, str]:
        """Both sides by their last names; a tag that is merged into its own parent has none."""
        parents: dict[str, str] = {}
        lines: dict[str, int] = {}
        for key, into in self._into["parent"].items():
            child, parent = tag_key(merged.get(key, key)), merged.get(tag_key(into), into)
            if child == tag_key(parent):
                continue
            number = self._line_of["parent", key]
            before = parents.setdefault(child, parent)
            line = lines.setdefault(child, number)
            if tag_key(before) != tag_key(parent):
                what = f"once names are merged, “{child}” is under “{parent}” here and under “{before}” in line {line}"
                raise self._error(number, f"{what}; keep one of them")
        for key in parents:
            self._last(parents, lines, key)
        return parents

    def _last(self, known: Mapping[str, str], lines: Mapping[str, int], key: str) -> str:
        """Where a chain of changes ends; ``lines`` are those of the keys of ``known``."""
        seen, here = {key}, key
        while (following := tag_key(into := known[here])) in known:
            if following in seen:
                number = max(lines[name] for name in seen)
                raise self._error(number, f"“{into}” comes back to itself by way of other lines; refuse one of them")
            seen.add(following)
            here = following
        return into

    def _error(self, number: int, what: str) -> InputError:
        return InputError(f"{self._path}, line {number}: {what}")
