"""Tags that say what they are part of: ``animal/cat`` is ``animal`` too.

Legend: a path is a tag with a separator between its parts, its parents are the paths that it begins with.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from .errors import ConfigError
from .predicted_tag import PredictedTag
from .tags import clean_tag, tag_key

SEPARATORS = ("/", "|", ">", "::", "\\")
"""What is looked for where nobody says what separates."""

FOUND, NONE = "auto", "none"

FEWEST = 2
"""Paths that begin with one parent before a mark is taken for a separator: ``AC/DC`` and ``24/7`` are no paths."""


@dataclass(frozen=True, kw_only=True)
class TagHierarchy:
    """What separates the parts of a path.

    Attributes:
        separator: as it is written between parts; white space around it does not count. ``None`` where no tag is a path.
    """

    separator: str | None = None

    def parts(self, tag: str) -> list[str]:
        """The parts of a tag, one where it is no path; an empty part makes it none."""
        parts = [clean_tag(part) for part in tag.split(self.separator)] if self.separator else [tag]
        return parts if len(parts) > 1 and all(parts) else [tag]

    def parents(self, tag: str) -> list[str]:
        """The paths that a tag begins with, the longest last, spelled as it spells them."""
        if self.separator is None or len(parts := self.parts(tag)) < 2:
            return []
        gap = " " if f" {self.separator} " in tag else ""
        return [f"{gap}{self.separator}{gap}".join(parts[:depth]) for depth in range(1, len(parts))]

    def leaf(self, tag: str) -> str:
        """What a path is about: its last part."""
        return self.parts(tag)[-1]

    def with_parents(self, tags: Iterable[str]) -> list[str]:
        """Tags with their parents, each parent before the first tag that implies it, each once."""
        found: dict[str, str] = {}
        for tag in tags:
            for one in (*self.parents(tag), tag):
                found.setdefault(self.key(one), one)
        return list(found.values())

    def key(self, tag: str) -> str:
        """Identity of a path: white space around separators does not matter."""
        return tag_key((self.separator or "").join(self.parts(tag)))

    def implied(self, tags: Sequence[PredictedTag]) -> list[PredictedTag]:
        """Tags with the parents that they imply: no parent has a lower score than a child.

        A parent that is not there gets its best child's score, prompt and, of a pinned child, that it is given. The order is that of
        the scores, pinned tags first, a parent before its children.
        """
        if self.separator is None:
            return list(tags)
        found = {self.key(tag.text): tag for tag in reversed(tags)}
        for tag in tags:
            for parent in self.parents(tag.text):
                there = found.get(key := self.key(parent))
                if there is None:
                    found[key] = replace(tag, text=parent, novel=tag.novel, written=None, distance=None)
                elif (there.pinned, there.score) < (tag.pinned, tag.score):
                    found[key] = replace(there, score=max(there.score, tag.score), pinned=there.pinned or tag.pinned)
        order = {key: place for place, key in enumerate(dict.fromkeys(self.key(tag.text) for tag in tags))}
        return sorted(
            found.values(),
            key=lambda tag: (
                not tag.pinned,
                -tag.score,
                len(self.parts(tag.text)),
                order.get(self.key(tag.text), len(order)),
            ),
        )


FLAT = TagHierarchy()
"""No tag is a path."""


def find_separator(tags: Iterable[str], given: str = FOUND) -> str | None:
    """What separates the parts of tags that are paths.

    Args:
        tags: of a vocabulary, or of whatever there is.
        given: a separator that a person names; ``auto`` looks for one, ``none`` is none. Found is the one of :data:`SEPARATORS`
            that most tags have, where a parent has several children or is a tag itself.

    Raises:
        ConfigError: it is white space, or empty.
    """
    if given == NONE:
        return None
    if given != FOUND:
        if not given.strip():
            raise ConfigError("--hierarchy is empty; expected what separates the parts of tags, such as /")
        return given.strip()
    spellings = list(tags)
    keys = {tag_key(tag) for tag in spellings}
    best: tuple[int, str | None] = (0, None)
    for separator in SEPARATORS:
        paths = [parts for tag in spellings if len(parts := TagHierarchy(separator=separator).parts(tag)) > 1]
        children = Counter(tag_key(parts[0]) for parts in paths)
        if any(parent in keys or count >= FEWEST for parent, count in children.items()) and len(paths) > best[0]:
            best = (len(paths), separator)
    return best[1]
