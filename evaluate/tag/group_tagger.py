"""Tags and vectors of a group of files, of which none can tell what else is in its group.

Sums are ordered by the shape of a batch, so that scores would differ in their last digits, and now and then a tag by a
near tie, with what a file happens to share a batch with. Every batch therefore has the same number of rows, the last one
repeated where there are fewer files, and one of a few lengths: those of a file decide for itself. What stands in another
row changes nothing.

Legend: B rows, M frames, Q patches, S title tokens.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from ...data.batching import TENSORS, Batch
from ...data.errors import RunError
from ...data.predicted_tag import PredictedTag
from ...data.word_pieces import MAX_TITLE_TOKENS
from ...extract.encoders.text_encoder import TextEncoder, open_text_encoder
from ...train.model.tag_head import mean_over_valid
from ...train.run.run import Run
from ...train.systems.source_systems import NoNetwork
from ...train.writing.tag_control import VideoTags
from ..scores.run_store import trained_header
from .evidence import Evidence, evidence_for_people, explain
from .run_tagger import RunTagger

Features = NDArray[np.float16]

ROWS_ON_CPU = 4
"""Videos of every batch on a CPU: 16 took twice as long for one file alone, 4 take about half as long again for each of many files;
decoding and encoding, which cost more, are the same."""

SHORT_TITLES = (8, 16)
"""Tokens that titles are filled up to; longer ones to the most that there are."""

FEW_FRAMES = 16
"""Frames that short videos have at most; longer ones are filled up to four times as many, and so on."""


NOTHING_WISHED = VideoTags()


@dataclass(frozen=True, kw_only=True)
class TaggerInput:
    """What the tags of one file are made from.

    Attributes:
        frames: (M, frame_dim).
        patches: (Q, patch_dim).
        title: its title.
        times: (M,) seconds of the frames; empty where nobody knows them.
        duration: seconds of the video; NaN where nobody knows it.
        wishes: tags that it has and has not.
    """

    frames: Features
    patches: Features
    title: str = ""
    times: Sequence[float] = ()
    duration: float = float("nan")
    wishes: VideoTags = NOTHING_WISHED


@dataclass(frozen=True, kw_only=True)
class TaggerOutput:
    """Tags of one file, best first, and what each rests on; empty where that was not asked for."""

    tags: Sequence[PredictedTag]
    evidence: Sequence[Evidence | None] = ()


@dataclass(frozen=True)
class _Shape:
    """A file's own: the lengths that it is filled up to, and whether something is wished for it."""

    frames: int
    patches: int
    tokens: int
    has_wishes: bool


@dataclass(frozen=True, kw_only=True)
class AlikeBatch:
    """Files of one shape.

    Attributes:
        places: of the files in their group.
        rows: of every row of the batch the place of its file; the last file's also fill the rows that are left.
        batch: of B rows.
        has_wishes: whether something is wished for each.
    """

    places: list[int]
    rows: list[int]
    batch: Batch
    has_wishes: bool


class GroupTagger:
    """Predicts for groups of files.

    Args:
        run: the trained run.
        rows: B of every batch; on a CPU it is :data:`ROWS_ON_CPU`.
    """

    def __init__(self, run: Run, rows: int):
        self.run = run
        self._rows = ROWS_ON_CPU if run.device.type == "cpu" else rows

    def tag(self, tagger: RunTagger, group: Sequence[TaggerInput], *, evidence: bool = False) -> list[TaggerOutput]:
        """The tags of each file of a group of any size.

        Raises:
            ConfigError: a tag is pinned that is forbidden or blocked.
        """
        outputs: dict[int, TaggerOutput] = {}
        for alike in self.batches(group):
            some = [group[place] for place in alike.places]
            wishes = [group[place].wishes for place in alike.rows] if alike.has_wishes else None
            tags = tagger.predict(alike.batch, wishes)[: len(some)]
            found = self._explain(first_rows(alike.batch, len(some)), tags, some) if evidence else [()] * len(some)
            made = (TaggerOutput(tags=own, evidence=rests) for own, rests in zip(tags, found, strict=True))
            outputs.update(zip(alike.places, made, strict=True))
        return [outputs[place] for place in range(len(group))]

    def batches(self, group: Sequence[TaggerInput]) -> Iterator[AlikeBatch]:
        """The batches that a group of any size is computed in."""
        tokens = self.run.tokenizer.encode_titles([one.title for one in group]) if group else []
        alike: dict[_Shape, list[int]] = {}
        for place, one in enumerate(group):
            alike.setdefault(_shape(one, len(tokens[place])), []).append(place)
        for shape, places in alike.items():
            for start in range(0, len(places), self._rows):
                some = places[start : start + self._rows]
                rows = some + some[-1:] * (self._rows - len(some))
                batch = Batch.from_features(
                    [group[row].frames for row in rows],
                    [group[row].patches for row in rows],
                    [tokens[row] for row in rows],
                )
                batch = filled_up(batch, frames=shape.frames, tokens=shape.tokens)
                yield AlikeBatch(places=some, rows=rows, batch=batch, has_wishes=shape.has_wishes)

    def _explain(
        self, batch: Batch, tags: Sequence[Sequence[PredictedTag]], group: Sequence[TaggerInput]
    ) -> list[tuple[Evidence | None, ...]]:
        # A tag under another name is explained as the model wrote it; a pinned one was given, not written.
        predicted = [[replace(tag, text=tag.written or tag.text) for tag in own if not tag.pinned] for own in tags]
        explained = explain(self.run.system, batch.to(self.run.device), predicted)
        found: list[tuple[Evidence | None, ...]] = []
        for own, rest, one in zip(tags, explained, group, strict=True):
            rests = iter(rest)
            found.append(
                tuple(
                    None
                    if tag.pinned
                    else evidence_for_people(
                        next(rests), times=one.times, title=one.title, tokenizer=self.run.tokenizer
                    )
                    for tag in own
                )
            )
        return found


def _shape(one: TaggerInput, tokens: int) -> _Shape:
    return _Shape(
        frames=_frames_with_room(len(one.frames)),
        patches=len(one.patches),
        tokens=next((room for room in SHORT_TITLES if tokens <= room), MAX_TITLE_TOKENS),
        has_wishes=bool(one.wishes.pinned or one.wishes.forbidden),
    )


def _frames_with_room(count: int) -> int:
    room = FEW_FRAMES
    while room < count:
        room *= 4
    return room if count else 0


def filled_up(batch: Batch, *, frames: int, tokens: int) -> Batch:
    """The batch with M and S of these lengths; masks are false where it was filled."""
    more_frames, more_tokens = frames - batch.frames.shape[1], tokens - batch.title_tokens.shape[1]
    return replace(
        batch,
        frames=functional.pad(batch.frames, (0, 0, 0, more_frames)),
        frame_mask=functional.pad(batch.frame_mask, (0, more_frames)),
        title_tokens=functional.pad(batch.title_tokens, (0, more_tokens)),
        title_mask=functional.pad(batch.title_mask, (0, more_tokens)),
    )


def first_rows(batch: Batch, count: int) -> Batch:
    """The batch without the rows that only fill it."""
    return replace(batch, **{name: getattr(batch, name)[:count] for name in TENSORS})


Vector = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Embedding:
    """Vectors of one video or image. Compare those of one kind, by their cosine.

    Attributes:
        fused: (D,) the run's hybrid features of pictures and title, their mean; ``None`` in a system without a network.
        frames: (frame_dim,) mean of the frames, or (patch_dim,) of an image's patches, as the frozen encoder gives them.
        title: (E,) of the title, by the run's text encoder: beside the embeddings of its tags.
    """

    fused: Vector | None
    frames: Vector
    title: Vector


class Embedder:
    """Embeds what a run tags. The text encoder is opened when it is first needed.

    Args:
        run: the trained run.
        groups: in whose batches it is computed.
        device: for the text encoder.
    """

    def __init__(self, run: Run, groups: GroupTagger, *, device: str = "auto"):
        self._run, self._groups, self._device = run, groups, device

    @cached_property
    def _text(self) -> TextEncoder:
        return open_text_encoder(trained_header(self._run.config.store).text_encoder, device=self._device)

    def embed(self, group: Sequence[TaggerInput]) -> list[Embedding]:
        """The vectors of each of a group of any size, which does not depend on what else is in it but for the title's rounding.

        Raises:
            EncoderError: the text encoder cannot be had.
            RunError: a feature is not finite.
        """
        if not group:
            return []
        titles = np.asarray(self._text.embed([one.title for one in group]), np.float32)
        fused: dict[int, Vector] = {}
        if not isinstance(self._run.model, NoNetwork):
            for alike in self._groups.batches(group):
                with torch.no_grad():
                    features, mask = self._run.model.encode(alike.batch.to(self._run.device))
                    means = mean_over_valid(features, mask).float().cpu().numpy()
                fused.update(zip(alike.places, means, strict=False))  # further rows only fill the batch
        made = [
            Embedding(fused=fused.get(place), frames=_mean(one), title=titles[place]) for place, one in enumerate(group)
        ]
        if not all(np.isfinite(one.frames).all() for one in made):
            raise RunError("an embedding is not finite")
        return made


def _mean(one: TaggerInput) -> Vector:
    values = one.frames if len(one.frames) else one.patches
    mean: Vector = values.astype(np.float32).mean(axis=0)
    return mean
