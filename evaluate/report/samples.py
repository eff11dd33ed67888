"""Sample videos of the report: which ones are shown, and how their tags are told apart."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from ...data.predicted_tag import PredictedTag
from ...data.tags import tag_key
from ..scores.evaluation import Evaluation
from ..scores.predictions import ItemPrediction
from ..tag.evidence import Evidence
from .evidence import EvidenceOf, EvidencePanel, Shares, evidence_panel, jpeg_address, shares

SPREAD_SAMPLES = 18


CHOSEN_SAMPLES = 3


Verdict = Literal["correct", "wrong", "novel", "missed"]
"""How a tag compares with the annotated ones; novel is a tag outside the training tags that is not annotated."""


@dataclass(frozen=True)
class SampleGroup:
    """Videos shown together and why."""

    title: str
    note: str
    items: tuple[ItemPrediction, ...]


def choose_samples(items: Sequence[ItemPrediction]) -> list[SampleGroup]:
    """A fair sample and a few telling videos; the same ones for the same predictions, none twice, no empty group."""
    spread = sorted(items, key=lambda item: hashlib.sha256(item.id.encode("utf-8", "replace")).digest())[
        :SPREAD_SAMPLES
    ]
    shown = {item.id for item in spread}
    hits = _best(items, _novel_hit_score, shown)
    mistakes = _best(items, _mistake_score, shown | {item.id for item in hits})
    groups = (
        SampleGroup(
            "A fair sample", "Drawn by a hash of the id, so neither good nor bad ones are preferred.", (*spread,)
        ),
        SampleGroup("Novel tags that people gave too", "Tags never seen in training, put together by the model.", hits),
        SampleGroup(
            "Most confident mistakes", "Known tags that are not annotated, predicted with the highest score.", mistakes
        ),
    )
    return [group for group in groups if group.items]


def _best(
    items: Sequence[ItemPrediction], score: Callable[[ItemPrediction], float], shown: Collection[str]
) -> tuple[ItemPrediction, ...]:
    scored = [(score(item), item) for item in items if item.id not in shown]
    best = sorted((pair for pair in scored if pair[0] > 0), key=lambda pair: (-pair[0], pair[1].id))
    return tuple(item for _, item in best[:CHOSEN_SAMPLES])


def _novel_hit_score(item: ItemPrediction) -> float:
    return max((tag.score for tag, verdict in judge(item) if tag.novel and verdict == "correct"), default=0.0)


def _mistake_score(item: ItemPrediction) -> float:
    return max((tag.score for tag, verdict in judge(item) if verdict == "wrong"), default=0.0)


def judge(item: ItemPrediction) -> list[tuple[PredictedTag, Verdict]]:
    """Every predicted tag of a video with its verdict."""
    true = {tag_key(tag) for tag in item.true}
    return [(tag, "correct" if tag_key(tag.text) in true else "novel" if tag.novel else "wrong") for tag in item.tags]


@dataclass(frozen=True, kw_only=True)
class ShownTag:
    """A tag in a card.

    Attributes:
        is_novel: whether it was never seen in training.
        score, prompt: of a predicted tag.
        evidence: what it rests on, where that is known.
    """

    text: str
    verdict: Verdict
    is_novel: bool
    score: float | None = None
    prompt: int | None = None
    evidence: Shares | None = None


@dataclass(frozen=True, kw_only=True)
class TagList:
    """Tags under a heading."""

    name: str
    tags: Sequence[ShownTag]


@dataclass(frozen=True, kw_only=True)
class Card:
    """A video with its tags.

    Attributes:
        picture: its address; empty where there is none.
        predicted: a list for each run.
        annotated: the tags that it should have.
        evidence: of the first tag.
    """

    id: str
    title: str
    picture: str
    predicted: Sequence[TagList]
    annotated: TagList
    evidence: EvidencePanel | None = None


def sample_cards(
    evaluation: Evaluation,
    thumbnail: Callable[[str], bytes],
    evidence: EvidenceOf,
    stills: Callable[[str], Sequence[bytes]],
) -> list[tuple[SampleGroup, list[Card]]]:
    """Cards of the sample videos.

    Args:
        evaluation: the predictions.
        thumbnail: the JPEG of a video by its id, ``b""`` if there is none.
        evidence: of the videos' tags, where it was computed.
        stills: a JPEG of every frame of a video, or none.
    """

    def card(item: ItemPrediction) -> Card:
        found = evidence.get(item.id, {})
        return _card(item, evaluation, thumbnail(item.id), found, stills(item.id) if found else ())

    return [(group, [card(item) for item in group.items]) for group in choose_samples(evaluation.items)]


def _card(
    item: ItemPrediction,
    evaluation: Evaluation,
    jpeg: bytes,
    evidence: Mapping[str, Evidence],
    stills: Sequence[bytes],
) -> Card:
    first = evidence.get(tag_key(item.tags[0].text)) if item.tags else None
    tags = [predicted_tag(tag, verdict, evidence.get(tag_key(tag.text))) for tag, verdict in judge(item)]
    return Card(
        id=item.id,
        title=item.title,
        picture=thumbnail_address(jpeg),
        predicted=[TagList(name="Predicted", tags=tags)],
        evidence=None if first is None else evidence_panel(item.tags[0].text, first, stills),
        annotated=TagList(name="Annotated", tags=annotated_tags(item, evaluation)),
    )


def thumbnail_address(jpeg: bytes) -> str:
    """The thumbnail inside the page; what does not start like a JPEG is not shown."""
    return jpeg_address(jpeg) if jpeg.startswith(b"\xff\xd8\xff") else ""


def predicted_tag(tag: PredictedTag, verdict: Verdict, evidence: Evidence | None = None) -> ShownTag:
    """A predicted tag with its verdict and score."""
    return ShownTag(
        text=tag.text,
        verdict=verdict,
        is_novel=tag.novel,
        score=tag.score,
        prompt=tag.prompt,
        evidence=None if evidence is None else shares(evidence),
    )


def annotated_tags(item: ItemPrediction, evaluation: Evaluation) -> list[ShownTag]:
    """The annotated tags of a video, found ones first."""
    predicted = {tag_key(tag.text) for tag in item.tags}
    return [
        ShownTag(
            text=tag,
            verdict="correct" if tag_key(tag) in predicted else "missed",
            is_novel=tag_key(tag) not in evaluation.spellings,
        )
        for tag in sorted(item.true, key=lambda tag: tag_key(tag) not in predicted)
    ]
