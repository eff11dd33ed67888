"""What may be produced by one run for its videos: a vocabulary, and the pinned and forbidden tags of every video.

:class:`TagControl` is made once for a run and a vocabulary, :class:`BatchControl` for every batch. Systems ask it how to
decode; :meth:`BatchControl.finish` then makes sure of the outcome, whatever the system is. Legend: B videos, N prompts,
K training tags.

A closed list holds decoding. Forbidden and blocked tags do not: they are written and dropped. Kept from ending a tag, greedy
decoding makes another of the same pieces ("cat face" for "cat"), which is seldom right: on the sample data it cost one to
three points of precision.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...data.errors import ConfigError
from ...data.predicted_tag import PredictedTag
from ...data.tag_list import TagList
from ...data.tag_table import TagTable
from ...data.tags import clean_tag, tag_key
from ...data.word_pieces import SEPARATOR, TitleTokenizer, Vocabulary
from .steering import Allowance, Pieces, Steering, TagTrie


@dataclass(frozen=True, kw_only=True)
class VideoTags:
    """What a person says of one video.

    Attributes:
        pinned: tags that it has; they come first.
        forbidden: tags that it does not have.

    Raises:
        ConfigError: one of them has no character that is seen.
    """

    pinned: tuple[str, ...] = ()
    forbidden: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name, tags in (("pinned", self.pinned), ("forbidden", self.forbidden)):
            if not all(map(clean_tag, tags)):
                raise ConfigError(f"a {name} tag is empty; give its name, or leave it out")


class TagControl:
    """A vocabulary, compiled for a run's tag table and word pieces.

    Args:
        tags: what may be produced.
        tag_table, tokenizer, vocabulary: the run's.
        steer: whether decoding is held to a closed list; if not, only :meth:`BatchControl.finish` is.
    """

    def __init__(
        self,
        tags: TagList,
        tag_table: TagTable,
        tokenizer: TitleTokenizer,
        vocabulary: Vocabulary,
        *,
        steer: bool = True,
    ):
        self.tags = tags
        self._decoded = tags if steer else replace(tags, closed=False)
        self.tag_table = tag_table
        self._tokenizer = tokenizer
        self._vocabulary = vocabulary
        listed = {key: self.pieces_of(key) for key in tags.spelling_of}
        self.names: dict[Pieces, str] = {}
        """The keys of listed tags and aliases by their word pieces; :meth:`BatchControl.finish` knows how they are spelled."""
        for key, pieces in listed.items():
            if pieces is not None:
                self.names.setdefault(pieces, key)
        self.trie = TagTrie(self.names) if self._decoded.closed else None

    def pieces_of(self, tag: str) -> Pieces | None:
        """A tag as decoder ids; ``None`` if it cannot be written in them."""
        key = tag_key(tag)
        column = self.tag_table.column_of.get(key)
        pieces = self._tokenizer.encode_tags([key])[0] if column is None else self.tag_table.tokens[column]
        return tuple(self._vocabulary.encode(pieces)) if pieces and self._vocabulary.can_spell(pieces) else None

    def spelling(self, tag: str) -> str:
        """How a tag that a person names is spelled: an alias as its tag, a training tag as in training."""
        key = tag_key(tag)
        return self.tags.spelling_of.get(key) or self.tag_table.spelling_of.get(key) or clean_tag(tag)

    @cached_property
    def columns(self) -> NDArray[np.bool_]:
        """(K,) the training tags that may be produced, under their own name or another."""
        return np.array([self._decoded.resolve(key) is not None for key in self.tag_table.keys], np.bool_)

    def batch(self, videos: Sequence[VideoTags]) -> BatchControl:
        """For a batch of videos.

        Raises:
            ConfigError: a tag is pinned that is forbidden or blocked.
        """
        return BatchControl(self, videos)


class BatchControl:
    """What may be produced for each video of a batch; errors as :meth:`TagControl.batch`."""

    def __init__(self, control: TagControl, videos: Sequence[VideoTags]):
        self._control = control
        self.pins = [tuple({tag_key(text): text for text in map(control.spelling, v.pinned)}.values()) for v in videos]
        """Per video its pinned tags, each once."""
        self._forbidden = [frozenset(tag_key(control.spelling(tag)) for tag in video.forbidden) for video in videos]
        for pins, forbidden in zip(self.pins, self._forbidden, strict=True):
            for pin in pins:
                if tag_key(pin) in forbidden:
                    raise ConfigError(f"the tag “{pin}” is both pinned and forbidden; leave one of them out")
                if tag_key(pin) in control.tags.blocked:
                    raise ConfigError(f"the tag “{pin}” is pinned, but the vocabulary blocks it; leave one of them out")

    def __len__(self) -> int:
        return len(self.pins)

    @property
    def is_closed(self) -> bool:
        """Whether nothing but listed tags may be produced."""
        return self._control.tags.closed

    def spelled_pins(self, row: int, most: int, most_tokens: int) -> list[Pieces]:
        """The first pinned tags of a video that can be written, no more than this, with a separator each."""
        chosen: list[Pieces] = []
        for pieces in map(self._control.pieces_of, self.pins[row]):
            most_tokens -= 0 if pieces is None else len(pieces) + 1
            if most_tokens < 0 or len(chosen) >= most:
                break
            if pieces is not None:
                chosen.append(pieces)
        return chosen

    def names(self, row: int) -> Mapping[Pieces, str]:
        """What the word pieces of listed and pinned tags spell."""
        pins = {pieces: pin for pin in self.pins[row] if (pieces := self._control.pieces_of(pin)) is not None}
        return {**self._control.names, **pins} if pins else self._control.names

    def steer_sequences(self, pins: Sequence[Sequence[Pieces]], *, repeats: bool) -> Steering:
        """For decoding tag after tag: every video's sequence begins with ``pins``."""
        forced = [[token for tag in tags for token in (*tag, SEPARATOR)][:-1] for tags in pins]
        return Steering([Allowance(self._control.trie) for _ in forced], forced, repeats=repeats)

    def steer_slots(self, prompts: int, pins: Sequence[Mapping[int, Pieces]]) -> Steering:
        """For decoding all slots at once: slot n of video b writes ``pins[b][n]``, where that is said."""
        forced = [(*own[slot], SEPARATOR) if slot in own else () for own in pins for slot in range(prompts)]
        return Steering([Allowance(self._control.trie)] * len(forced), forced)

    def mask_columns(self, values: Tensor, nothing: float) -> Tensor:
        """(…, K) with ``nothing`` in the columns of tags that the vocabulary does not allow.

        A model scores the tags that it was trained on; those that were added since lie behind them.
        """
        allowed = torch.from_numpy(self._control.columns[: values.shape[-1]]).to(values.device)
        return values.masked_fill(~allowed, nothing)

    def finish(self, row: int, tags: Iterable[PredictedTag]) -> list[PredictedTag]:
        """A video's tags under their names: pinned ones first with score 1, then the others that may be, best first."""
        control, found = self._control, dict[str, PredictedTag]()
        pinned = {tag_key(pin): pin for pin in self.pins[row]}
        for tag in sorted(tags, key=lambda tag: -tag.score):
            text = control.tags.resolve(tag.text)
            if text is None or (key := tag_key(text)) in self._forbidden[row] or key in control.tags.blocked:
                continue
            written = tag.written or (None if tag_key(tag.text) == key else tag.text)
            novel = not control.tag_table.is_known(key)
            found.setdefault(key, replace(tag, text=text, novel=novel, written=written))
        given = [
            PredictedTag(
                text=pin,
                score=1.0,
                novel=not control.tag_table.is_known(key),
                prompt=found[key].prompt if key in found else None,
                pinned=True,
            )
            for key, pin in pinned.items()
        ]
        return [*given, *(tag for key, tag in found.items() if key not in pinned)]
