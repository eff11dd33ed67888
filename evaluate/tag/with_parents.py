"""Tags that are paths, with their parents: a tagger around another one."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from dataclasses import replace

from ...data.tag_hierarchy import TagHierarchy
from ...data.tags import tag_key
from ...train.writing.tag_control import VideoTags
from .requests import TagRequest
from .tag_files import Tagging
from .tagged_file import TaggedFile


class WithParents:
    """Tags of another tagger, with the parents that they imply (:mod:`optsg.data.tag_hierarchy`).

    Args:
        tagger: what tags.
        hierarchy: what separates the parts of tags.
        blocked: keys of tags that are never given.
    """

    def __init__(self, tagger: Tagging, hierarchy: TagHierarchy, blocked: Iterable[str] = ()):
        self.system, self.name = tagger.system, tagger.name
        self._tagger, self._hierarchy = tagger, hierarchy
        self._blocked = frozenset(blocked)

    def tag_many(
        self, requests: Iterable[TagRequest], *, wishes: VideoTags | None, stop: threading.Event | None
    ) -> Iterator[list[TaggedFile]]:
        """As that of the tagger; a tag that is forbidden for all files, or blocked, is not implied."""
        gone = self._blocked | {tag_key(tag) for tag in (wishes or VideoTags()).forbidden}
        for group in self._tagger.tag_many(requests, wishes=wishes, stop=stop):
            yield [self._implied(tagged, gone) for tagged in group]

    def _implied(self, tagged: TaggedFile, gone: frozenset[str]) -> TaggedFile:
        tags = [tag for tag in self._hierarchy.implied(tagged.tags) if tag_key(tag.text) not in gone]
        texts = [tag.text for tag in tagged.tags]
        evidence = dict(zip(texts, tagged.evidence, strict=False))
        segments = dict(zip(texts, tagged.segments, strict=False))
        return replace(
            tagged,
            tags=tags,
            evidence=[evidence.get(tag.text) for tag in tags] if evidence else (),
            segments=[segments.get(tag.text, ()) for tag in tags] if segments else (),
        )
