"""Tags that are paths, with the parents that they imply (:mod:`optsg.data.tag_hierarchy`)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from ...data.tag_hierarchy import TagHierarchy
from ...data.tags import tag_key
from ...train.writing.tag_control import VideoTags
from .tagged_file import TaggedFile


def with_parents(
    tagged: TaggedFile, hierarchy: TagHierarchy, wishes: VideoTags, blocked: Iterable[str] = ()
) -> TaggedFile:
    """A file with the parents of its tags; one that is forbidden for it is not implied.

    Args:
        blocked: keys of tags that are never given.
    """
    if hierarchy.separator is None:
        return tagged
    gone = {*blocked, *map(tag_key, wishes.forbidden)}
    tags = [tag for tag in hierarchy.implied(tagged.tags) if tag_key(tag.text) not in gone]
    texts = [tag.text for tag in tagged.tags]
    evidence = dict(zip(texts, tagged.evidence, strict=False))
    segments = dict(zip(texts, tagged.segments, strict=False))
    return replace(
        tagged,
        tags=tags,
        evidence=[evidence.get(tag.text) for tag in tags] if evidence else (),
        segments=[segments.get(tag.text, ()) for tag in tags] if segments else (),
    )
