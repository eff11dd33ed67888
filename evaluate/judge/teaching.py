"""Answers as tags of a store: what people say fits is added to a video's tags, and what they say does not is taken away."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ...data.errors import RunError, counted
from ...data.media import SPLITS, Split
from ...data.store import FeatureStore, open_store
from ...data.store.files import locked_store
from ...data.store.relabeling import Labels, relabel_store
from ...extract.encoders.text_encoder import text_maker
from .answers import Answer, Verdict


@dataclass(kw_only=True)
class Taught:
    """What answers changed.

    Attributes:
        answered: tags of videos of the store that were judged.
        added, removed: tags of videos.
        changes: new labels by id.
        new_tags: how many tags were embedded.
        joined: videos that had no tag, and are training videos with theirs.
    """

    answered: int = 0
    added: int = 0
    removed: int = 0
    new_tags: int = 0
    joined: int = 0
    changes: dict[str, Labels] = field(default_factory=dict)

    def sentence(self, store: Path) -> str:
        """What was done, and what is next."""
        if not self.changes:
            return f"{counted(self.answered, 'answer')}, and {store} says the same already; it was left as it was"
        joined = f"; {counted(self.joined, 'video')} without tags to be learnt from" if self.joined else ""
        return (
            f"{counted(self.answered, 'answer')}: {counted(self.added, 'tag')} added to videos, {self.removed:,} taken "
            f"away, {self.new_tags:,} new to {store}{joined}\nnext:    optsg-train --feats {store}"
        )


def apply_answers(
    path: Path, answers: Iterable[Answer], spellings: Mapping[str, str], *, device: str = "auto"
) -> Taught:
    """Replaces a store by one whose tags are as people answered; of a tie, and of what nobody is sure of, nothing follows.

    A video without any tag becomes a training video: what is known of it is some of its tags, of which a test would make
    mistakes. Others stay in their split.

    Args:
        path: a finished store of either form.
        spellings: of tags that the store does not have, by key.
        device: of the text encoder, which is opened where there are new tags.

    Raises:
        RunError: no answer is about a video of the store.
        StoreError: it is no store, or cannot be written, or another process is writing it.
        EncoderError: the store's text encoder cannot be had.
    """
    with locked_store(path):
        with open_store(path) as store:
            taught = _compare(store, _said(answers), spellings)
        if not taught.answered:
            raise RunError(f"no answer is about a video of {path}; give the store whose videos were judged")
        if taught.changes:
            taught.new_tags = relabel_store(path, taught.changes, make_text=text_maker(device))
    return taught


Said = Mapping[str, Counter[Verdict]]
"""What was said of a video's tags, by their keys."""


def _said(answers: Iterable[Answer]) -> dict[str, Said]:
    """What was said of the tags of each video, by its id."""
    given: dict[str, dict[str, Counter[Verdict]]] = {}
    for answer in answers:
        given.setdefault(answer.video, {}).setdefault(answer.tag, Counter())[answer.verdict] += 1
    return dict(given)


def _most_say(verdict: Verdict, said: Counter[Verdict]) -> bool:
    return 2 * said[verdict] > said.total()


def _compare(store: FeatureStore, said: Mapping[str, Said], spellings: Mapping[str, str]) -> Taught:
    taught, known = Taught(), {**spellings, **dict(zip(store.tag_keys, store.tag_spellings, strict=True))}
    for row, name in enumerate(store.ids()):
        judged = said.get(name, {})
        taught.answered += len(judged)
        old = [store.tag_keys[tag] for tag in store.tags(row)]
        kept = [key for key in old if key not in judged or not _most_say("not", judged[key])]
        new = [key for key, each in judged.items() if _most_say("relevant", each) and key not in old]
        if kept == old and not new:
            continue
        taught.added += len(new)
        taught.removed += len(old) - len(kept)
        taught.joined += not old
        tags = tuple(known.get(key, key) for key in (*kept, *new))
        taught.changes[name] = Labels(title=store.title(row), tags=tags, split=_split(store, row, has_tags=bool(tags)))
    return taught


def _split(store: FeatureStore, row: int, *, has_tags: bool) -> Split:
    split = SPLITS[int(store.splits[row])]
    if not has_tags:
        return "none"
    return "train" if split == "none" else split
