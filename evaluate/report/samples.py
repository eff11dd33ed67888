"""Sample videos of the report: which ones are shown, and how their tags are told apart."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from ...data.predicted_tag import PredictedTag
from ...data.tags import tag_key
from ..scores.evaluation import Evaluation
from ..scores.predictions import ItemPrediction
from ..tag.evidence import Evidence
from .evidence import EvidenceOf, evidence_panel, shares
from .page import Html, element

SPREAD_SAMPLES = 18


CHOSEN_SAMPLES = 3


EVIDENCE_HINT = (
    "Point at a predicted tag, or press it, to see which words of the title and which seconds it rests on most."
)


Verdict = Literal["correct", "wrong", "novel", "missed"]


SIGNS: dict[Verdict, str] = {"correct": "✓", "wrong": "✗", "novel": "✦", "missed": "○"}
"""A sign beside the colour, for those who do not see the colour."""


MEANINGS: dict[Verdict, str] = {
    "correct": "correct: predicted and annotated",
    "wrong": "wrong: predicted, known from training, not annotated",
    "novel": "novel: outside the training tags and not annotated, which does not make it wrong",
    "missed": "missed: annotated, not predicted",
}


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


def samples_section(
    evaluation: Evaluation,
    thumbnail: Callable[[str], bytes],
    evidence: EvidenceOf,
    stills: Callable[[str], Sequence[bytes]],
) -> Html:
    """Cards of sample videos.

    Args:
        evaluation: the predictions.
        thumbnail: the JPEG of a video by its id, ``b""`` if there is none.
        evidence: of the videos' tags, where it was computed.
        stills: a JPEG of every frame of a video, or none.
    """
    chosen = choose_samples(evaluation.items)

    def card(item: ItemPrediction) -> Html:
        found = evidence.get(item.id, {})
        return _card(item, evaluation, thumbnail(item.id), found, stills(item.id) if found else ())

    groups = (_group(group, card) for group in chosen)
    hint = [element("p", EVIDENCE_HINT, class_="note")] if evidence else []
    shown = sum(len(group.items) for group in chosen)
    return element(
        "section", element("h2", "Sample videos"), legend(), *hint, video_filter(shown), *groups, id="samples"
    )


def video_filter(shown: int) -> Html:
    """A search over the cards of the section by title, id and tag, and by verdict: only tags of that verdict count then."""
    choices = (
        element("option", "any verdict", value=""),
        *(element("option", f"{SIGNS[verdict]} {verdict}", value=verdict) for verdict in MEANINGS),
    )
    return element(
        "form",
        element(
            "label",
            "Find videos by title or tag ",
            element("input", type="search", name="text", autocomplete="off", spellcheck="false"),
        ),
        element("label", "with a tag that is ", element("select", *choices, name="verdict")),
        element("button", "Show all", type="reset"),
        element("output", "1 video" if shown == 1 else f"{shown:,} videos", aria_live="polite"),
        class_="search videofilter",
        role="search",
    )


def legend() -> Html:
    """What the four verdicts mean."""
    entries = (
        element("li", element("span", _sign(verdict), verdict, class_=f"tag {verdict}"), " ", meaning.split(": ", 1)[1])
        for verdict, meaning in MEANINGS.items()
    )
    return element("ul", *entries, class_="legend")


def _sign(verdict: Verdict) -> Html:
    return element("span", SIGNS[verdict], class_="sign", aria_hidden="true")


def _group(group: SampleGroup, card: Callable[[ItemPrediction], Html]) -> Html:
    cards = map(card, group.items)
    return element(
        "div",
        element("h3", group.title),
        element("p", group.note, class_="note"),
        element("div", *cards, class_="cards"),
        class_="samples",
    )


def _card(
    item: ItemPrediction,
    evaluation: Evaluation,
    jpeg: bytes,
    evidence: Mapping[str, Evidence],
    stills: Sequence[bytes],
) -> Html:
    first = evidence.get(tag_key(item.tags[0].text)) if item.tags else None
    return element(
        "article",
        card_head(item, jpeg),
        tag_list(
            "Predicted",
            (predicted_tag(tag, verdict, evidence.get(tag_key(tag.text))) for tag, verdict in judge(item)),
        ),
        *([evidence_panel(item, first, stills)] if first is not None else []),
        tag_list("Annotated", annotated_tags(item, evaluation)),
        class_="card",
    )


def card_head(item: ItemPrediction, jpeg: bytes) -> Html:
    """Picture, title and id of a video."""
    title = element("h4", item.title or "(no title)", class_=None if item.title else "untitled", dir="auto")
    return element("div", _picture(jpeg), element("div", title, element("p", item.id, class_="id")), class_="head")


def _picture(jpeg: bytes) -> Html:
    """The thumbnail inside the page; what does not start like a JPEG is not shown."""
    if not jpeg.startswith(b"\xff\xd8\xff"):
        return element("div", "no picture", class_="picture none")
    source = "data:image/jpeg;base64," + base64.b64encode(jpeg).decode("ascii")
    return element("div", element("img", src=source, alt=""), class_="picture")


def tag_list(name: str, tags: Iterable[Html]) -> Html:
    """Tags under a heading."""
    entries = [element("li", tag) for tag in tags] or [element("li", "none", class_="none")]
    return element("div", element("h5", name), element("ul", *entries, class_="taglist"))


def predicted_tag(tag: PredictedTag, verdict: Verdict, evidence: Evidence | None = None) -> Html:
    """A predicted tag with its verdict and score; a button where it has evidence to show."""
    signs = [_sign(verdict)]
    meaning = MEANINGS[verdict]
    if tag.novel and verdict == "correct":
        signs.append(_sign("novel"))
        meaning = "correct and novel: annotated, though never seen in training"
    prompt = "" if tag.prompt is None else f", prompt {tag.prompt}"
    return element(
        "span" if evidence is None else "button",
        *signs,
        element("span", f"{verdict}: ", class_="spoken"),
        element("span", tag.text, dir="auto"),
        element("span", f"{tag.score:.2f}", class_="score"),
        class_=f"tag {verdict}",
        title=f"{meaning}. Score {tag.score:.3f}{prompt}",
        type=None if evidence is None else "button",
        **({} if evidence is None else shares(evidence)),
    )


def annotated_tags(item: ItemPrediction, evaluation: Evaluation) -> Iterable[Html]:
    """The annotated tags of a video, found ones first."""
    predicted = {tag_key(tag.text) for tag in item.tags}
    for tag in sorted(item.true, key=lambda tag: tag_key(tag) not in predicted):
        verdict: Verdict = "correct" if tag_key(tag) in predicted else "missed"
        seen = "" if tag_key(tag) in evaluation.spellings else "; never seen in training"
        yield element(
            "span",
            _sign(verdict),
            element("span", f"{verdict}: ", class_="spoken"),
            element("span", tag, dir="auto"),
            class_=f"tag {verdict}",
            title=MEANINGS[verdict] + seen,
        )
