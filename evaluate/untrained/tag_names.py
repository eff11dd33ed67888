"""Which tags are scored where nothing was trained, and under which names each is looked for; and what classes are called.

Legend: N names that are looked for, n tags, C classes.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cached_property
from importlib import resources

import numpy as np
from numpy.typing import NDArray

from ...data.tag_hierarchy import FLAT, TagHierarchy
from ...data.tag_list import TagList, parse_tag_list
from ...data.tags import tag_key

Scores = NDArray[np.float32]

GENERAL, CLASSES = "general_tags.txt", "imagenet_classes.tsv"
"""Lists that ship; NOTICE.md beside them has their licences."""


@dataclass(frozen=True, kw_only=True)
class TagNames:
    """A list of tags, each with the names that stand for it.

    Attributes:
        tags: the n spellings that are given out.
        names: the N texts that are looked for: the tags and their aliases, without case.
        owner: (N,) of each name the number of its tag.
    """

    tags: tuple[str, ...]
    names: tuple[str, ...]
    owner: NDArray[np.int64]

    @classmethod
    def of(cls, tags: TagList, hierarchy: TagHierarchy = FLAT) -> TagNames:
        """Of a person's list; one that allows every other tag, or is none, has the general list beside its own tags.

        A tag that is a path is looked for by its last part.
        """
        general = () if tags.closed else general_list().spellings
        spelling_of = {tag_key(text): text for text in general if tags.resolve(text) == text} | dict(tags.spelling_of)
        spellings = tuple(dict.fromkeys(spelling_of.values()))
        number = {text: place for place, text in enumerate(spellings)}
        owner = np.array([number[text] for text in spelling_of.values()], dtype=np.int64)
        names = tuple(tag_key(hierarchy.leaf(key)) for key in spelling_of)
        return cls(tags=spellings, names=names, owner=owner)

    @cached_property
    def is_own_name(self) -> bool:
        """Whether every tag has one name alone."""
        return len(self.tags) == len(self.names)

    def best(self, scores: Scores) -> Scores:
        """(n,) of each tag the score of its best name, from (N,)."""
        if self.is_own_name:
            return scores
        found = np.zeros(len(self.tags), dtype=np.float32)
        np.maximum.at(found, self.owner, scores)
        return found


def general_list() -> TagList:
    """What photographs and videos often show, for whoever has no list."""
    return parse_tag_list(_shipped(GENERAL).split("\n"), GENERAL)


def imagenet_classes() -> tuple[list[str], list[str]]:
    """Names and definitions of the 1,000 classes of ImageNet, in the order of its classifiers; a name is without case."""
    rows = list(csv.DictReader(_shipped(CLASSES).splitlines(), delimiter="\t", quoting=csv.QUOTE_NONE))
    names = [row["name"].partition(" (")[0].lower() for row in rows]
    return names, [row["definition"].partition(";")[0] for row in rows]


def _shipped(name: str) -> str:
    return (resources.files(__package__ or __name__) / name).read_text(encoding="utf-8")
