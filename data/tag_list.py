r"""Which tags are allowed, under which names: a user's list, read from a file.

One tag a line, in the spelling that it is to have. Further::

    kitty, kitten -> cat     aliases: where the model means one of them, it says "cat"; "cat" is allowed with them
    "rock, paper" -> game    an alias with a comma stands in double quotes
    !spam                    a blocked tag: it is never produced
    *                        every other tag is allowed too; without this line only listed ones are
    # a comment              a hash and a space; "#funny" is a tag
    \!wow                     a backslash takes the rest of the line as a tag

Two texts are the same tag by :func:`optsg.data.tags.tag_key`, as everywhere: case, Unicode's compatible forms (full-width,
composed or not) and white space do not matter, all else does. The marks of this format are ASCII: "！" and "，" are text.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from .errors import ConfigError
from .tags import clean_tag, tag_key

ARROW, BLOCK, ANY, COMMENT, PLAIN = "->", "!", "*", "#", "\\"


@dataclass(frozen=True, kw_only=True)
class TagList:
    """What may be produced.

    Attributes:
        spelling_of: by the key of a listed tag or an alias, the tag that is produced for it.
        blocked: keys of tags that are never produced.
        closed: whether only listed tags are.
    """

    spelling_of: Mapping[str, str] = field(default_factory=dict)
    blocked: frozenset[str] = frozenset()
    closed: bool = False

    @classmethod
    def of(cls, spellings: Iterable[str]) -> TagList:
        """A closed list of these tags, without aliases."""
        return cls(spelling_of={tag_key(text): text for text in spellings}, closed=True)

    @property
    def spellings(self) -> tuple[str, ...]:
        """The tags that are listed, without their aliases, in the order of the file."""
        return tuple(dict.fromkeys(self.spelling_of.values()))

    def resolve(self, tag: str) -> str | None:
        """The tag that is produced for this one; ``None`` if none is."""
        key = tag_key(tag)
        if key in self.blocked:
            return None
        return self.spelling_of.get(key, None if self.closed else tag)


OPEN = TagList()
"""Every tag is allowed."""


def tag_list_lines(tags: Iterable[str], aliases: Mapping[str, str], blocked: Iterable[str] = ()) -> Iterator[str]:
    """Lines, without their ends, that :func:`parse_tag_list` reads as a closed list.

    Args:
        tags: spellings that are allowed.
        aliases: other names, each with its tag.
        blocked: tags that are never produced.

    Raises:
        ConfigError: an alias belongs to a tag with an arrow in it, which the format has no way to say.
    """
    for tag in tags:
        is_plain = not tag.startswith((BLOCK, COMMENT, PLAIN)) and tag != ANY and ARROW not in tag
        yield tag if is_plain else PLAIN + tag
    for alias, tag in aliases.items():
        if ARROW in tag:
            raise ConfigError(
                f"“{alias}” cannot become an alias of “{tag}”: a list of tags has no way to write {ARROW} there"
            )
        yield f"{_quoted(alias)} {ARROW} {tag}"
    for tag in blocked:
        yield BLOCK + tag


def _quoted(alias: str) -> str:
    """An alias as CSV, in quotes where it would be read as something else."""
    is_plain = not alias.startswith((BLOCK, COMMENT, PLAIN)) and not set(',"') & set(alias)
    return alias if is_plain else '"' + alias.replace('"', '""') + '"'


def read_tag_list(path: str | Path) -> TagList:
    """Reads a list.

    Raises:
        ConfigError: the file cannot be read, a line is no tag, two lines contradict each other, or it says nothing.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8-sig").split("\n")  # other breaks are white space of a tag
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ConfigError(f"the vocabulary {path} cannot be read: {reason}") from error
    return parse_tag_list(lines, str(path))


def parse_tag_list(lines: Iterable[str], name: str) -> TagList:
    """A list from its lines; ``name`` is where they come from, for messages. Errors as :func:`read_tag_list`."""
    made = _Lines(name)
    for number, line in enumerate(lines, start=1):
        made.add(number, line.strip())
    return made.finish()


class _Lines:
    """A list as far as it is read; every entry remembers its line."""

    def __init__(self, name: str):
        self._name = name
        self._spelling_of: dict[str, str] = {}
        self._blocked: set[str] = set()
        self._line_of: dict[str, int] = {}
        self._closed = True

    def add(self, number: int, line: str) -> None:
        if not line or (line.startswith(COMMENT) and not line[1:2].strip()):
            return
        if line == ANY:
            self._closed = False
        elif line.startswith(PLAIN):
            self._allow(number, line[1:], line[1:])
        elif line.startswith(BLOCK):
            self._block(number, line[1:])
        elif ARROW in line:
            self._allow_aliases(number, line)
        else:
            self._allow(number, line, line)

    def _allow_aliases(self, number: int, line: str) -> None:
        left, _, spelling = line.rpartition(ARROW)
        try:
            [aliases] = csv.reader([left.strip()], skipinitialspace=True)
        except csv.Error as error:
            raise ConfigError(f"{self._name}, line {number}: its aliases cannot be read: {error}") from error
        self._allow(number, spelling, spelling)
        for alias in aliases:
            self._allow(number, alias, spelling)

    def _allow(self, number: int, alias: str, spelling: str) -> None:
        spelling, key = clean_tag(spelling), self._key(number, alias)
        if key in self._blocked:
            raise self._contradiction(number, key, "is allowed", "blocked")
        before = self._spelling_of.setdefault(key, spelling)
        if tag_key(before) != tag_key(spelling):
            raise self._contradiction(number, key, f"is “{spelling}”", f"“{before}”")
        self._line_of.setdefault(key, number)

    def _block(self, number: int, tag: str) -> None:
        key = self._key(number, tag)
        if key in self._spelling_of:
            raise self._contradiction(number, key, "is blocked", "allowed")
        self._blocked.add(key)
        self._line_of.setdefault(key, number)

    def _key(self, number: int, tag: str) -> str:
        if not (key := tag_key(tag)):
            raise ConfigError(f"{self._name}, line {number}: there is no tag in it")
        return key

    def _contradiction(self, number: int, key: str, now: str, before: str) -> ConfigError:
        return ConfigError(
            f"{self._name}, line {number}: “{key}” {now} here and {before} in line {self._line_of[key]}; keep one of them"
        )

    def finish(self) -> TagList:
        if self._closed and not self._spelling_of:
            raise ConfigError(f"the vocabulary {self._name} allows no tag; write one a line, or * to allow all others")
        # The first spelling of a tag is that of all its aliases.
        spelling_of = {key: self._spelling_of[tag_key(spelling)] for key, spelling in self._spelling_of.items()}
        return TagList(spelling_of=spelling_of, blocked=frozenset(self._blocked), closed=self._closed)
