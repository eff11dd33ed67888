"""Tags that say what they are part of, ``animal/cat``, as other tools write them: as paths, and flat with their parts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..tags import tag_key, unique_tags

SEPARATOR, BAR = "/", "|"
"""Between the parts of a path; Lightroom, exiftool and digiKam write a bar in ``lr:hierarchicalSubject``."""


def parts_of(tag: str, separator: str | None) -> list[str]:
    """The parts of a tag, one where it is no path: an empty part makes it none."""
    parts = [part.strip() for part in tag.split(separator)] if separator else [tag]
    return parts if all(parts) else [tag]


def flat_tags(tags: Iterable[str], separator: str | None) -> tuple[str, ...]:
    """Every part of every tag, parents first, each once."""
    return unique_tags(part for tag in tags for part in parts_of(tag, separator))


def bar_paths(tags: Iterable[str], separator: str | None) -> tuple[str, ...]:
    """The tags that are paths, with bars."""
    found = (parts_of(tag, separator) for tag in tags)
    return unique_tags(BAR.join(parts) for parts in found if len(parts) > 1)


def joined_tags(flat: Sequence[str], paths: Sequence[str]) -> tuple[str, ...]:
    """Tags out of flat ones and paths with bars: the paths, and the flat ones that are no part of one."""
    split = [parts_of(path, BAR) for path in paths]
    known = {tag_key(part) for parts in split if len(parts) > 1 for part in parts}
    whole = (
        (BAR if any(SEPARATOR in part for part in parts) else SEPARATOR).join(parts)
        for parts in split
        if len(parts) > 1 or tag_key(parts[0]) not in known
    )
    return unique_tags([*whole, *(tag for tag in flat if tag_key(tag) not in known)])
