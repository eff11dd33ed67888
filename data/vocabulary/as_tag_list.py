"""A vocabulary with accepted changes as a list of tags (:mod:`optsg.data.tag_list`), for ``--vocabulary``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..tag_hierarchy import SEPARATORS, TagHierarchy, find_separator
from ..tag_list import tag_list_lines
from ..tags import tag_key
from .decisions import Decisions


def vocabulary_lines(spellings: Sequence[str], decisions: Decisions) -> Iterator[str]:
    """Lines, without their ends: tags, then aliases, then blocked tags.

    A tag that stands under another becomes a path, of which its own name is an alias: a tagger gives the parents of paths too.

    Args:
        spellings: the tags before the changes.

    Raises:
        ConfigError: an alias belongs to a tag that the list has no way to write.
    """
    hierarchy = TagHierarchy(separator=separator_for([*spellings, *decisions.merged.values()]))
    kept = decisions.tags(spellings)
    path_of = {tag_key(tag): _path(tag, decisions, hierarchy) for tag in kept}
    aliases = {tag: path_of[tag_key(tag)] for tag in kept if path_of[tag_key(tag)] != tag}
    spelling_of = {tag_key(tag): tag for tag in spellings}
    for key, into in decisions.merged.items():
        aliases[spelling_of.get(key, key)] = path_of.get(tag_key(into), into)
    yield from tag_list_lines(
        dict.fromkeys(path_of.values()), aliases, [spelling_of.get(key, key) for key in sorted(decisions.removed)]
    )


def separator_for(tags: Sequence[str]) -> str:
    """What separates the parts of paths: what does already, else the first mark that no tag has in it."""
    found = find_separator(tags)
    return found or next((mark for mark in SEPARATORS if not any(mark in tag for tag in tags)), SEPARATORS[0])


def _path(tag: str, decisions: Decisions, hierarchy: TagHierarchy) -> str:
    """A tag behind what it stands under; one that says so already is left as it is."""
    chain = list(decisions.with_parents(tag))
    said = {hierarchy.key(parent) for one in chain for parent in hierarchy.parents(one)}
    above = [one for one in chain[1:] if hierarchy.key(one) not in said]
    return str(hierarchy.separator).join([*reversed(above), tag])
