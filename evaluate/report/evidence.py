"""Evidence of the sample videos' tags: computed, kept in ``evidence.jsonl``, read back, and shown in a video's card.

The panel shows title words and a strip of frames, small pictures from the files that were extracted, shaded by their share of
one tag's evidence; the page's script shows another's when that tag is pointed at, focused or pressed.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from ...data.batching import collate, sequential_batches
from ...data.errors import RunError, reason_of
from ...data.foreign.json_reader import JSON_DAMAGE, parse_json
from ...data.inputs.source_files import SourceFinder
from ...data.store import FeatureStore
from ...data.tags import tag_key
from ...data.whole_files import write_text
from ...extract.decoding.sampling import Sampling
from ...extract.encoders.pixel_plan import PixelPlan
from ...extract.workers.preparation import Preparation, Unreadable, prepare
from ...train.run.run import Run
from ..scores.predictions import ItemPrediction, json_line
from ..tag.evidence import Evidence, evidence_for_people, explain

EVIDENCE = "evidence.jsonl"


VIDEOS_AT_ONCE = 8
"""Gradients of a batch are kept for each of its tags."""


EvidenceOf = Mapping[str, Mapping[str, Evidence]]
"""By video id and tag key."""


def explain_items(run: Run, store: FeatureStore, items: Sequence[ItemPrediction]) -> EvidenceOf:
    """Evidence of every predicted tag of some videos of a store; a replaced tag has that of the tag that was written."""
    row_of = {video: row for row, video in enumerate(store.ids())}
    item_at = {row_of[item.id]: item for item in items}
    found: dict[str, dict[str, Evidence]] = {}
    for rows in sequential_batches(np.array(sorted(item_at), np.int64), VIDEOS_AT_ONCE):
        videos = [item_at[int(row)] for row in rows]
        written = [[replace(tag, text=tag.written or tag.text) for tag in item.tags] for item in videos]
        explained = explain(run.system, collate(store, rows).to(run.device), written)
        for row, item, evidence in zip(rows, videos, explained, strict=True):
            times = store.times(int(row)).tolist()
            found[item.id] = {
                tag_key(tag.text): evidence_for_people(each, times=times, title=item.title, tokenizer=run.tokenizer)
                for tag, each in zip(item.tags, evidence, strict=True)
            }
    return found


def write_evidence(path: Path, evidence: EvidenceOf) -> None:
    """Writes one line per video: ``{"id", "tags": {key: {"frames", "words"}}}``; errors as :func:`write_text`."""
    lines = (
        json_line({"id": video, "tags": {key: each.to_json() for key, each in tags.items()}}) + "\n"
        for video, tags in evidence.items()
    )
    write_text(path, lines)


def read_evidence(path: Path) -> EvidenceOf:
    """Reads what :func:`write_evidence` wrote; empty where there is no such file.

    Raises:
        RunError: the file cannot be read.
    """
    if not path.is_file():
        return {}
    try:
        with path.open(encoding="utf-8", newline="\n") as file:
            rows = [parse_json(line) for line in file]
        return {
            row["id"]: {
                key: Evidence(
                    frames=tuple((float(second), float(share)) for second, share in each["frames"]),
                    words=tuple((str(word), float(share)) for word, share in each["words"]),
                )
                for key, each in row["tags"].items()
            }
            for row in rows
        }
    except JSON_DAMAGE as error:
        raise RunError(f"{path} cannot be read ({reason_of(error)}); run optsg-eval --evidence again") from error


@dataclass(frozen=True, kw_only=True)
class Shares:
    """Evidence of one tag as the page's script reads it: percent of every frame and of every word, with spaces between."""

    frame_shares: str
    word_shares: str


def shares(evidence: Evidence) -> Shares:
    """A tag's evidence as the page's script reads it: percent of every frame and word."""
    return Shares(
        frame_shares=" ".join(f"{100 * share:.0f}" for _, share in evidence.frames),
        word_shares=" ".join(f"{100 * share:.0f}" for _, share in evidence.words),
    )


@dataclass(frozen=True, kw_only=True)
class Shaded:
    """A word, or a frame by its time, with its share of the evidence.

    Attributes:
        text: what is shown.
        percentage: the share.
        strength: the share compared with the strongest one, from 0 to 1.
        picture: address of a frame's picture; empty where there is none.
    """

    text: str
    percentage: str
    strength: float
    picture: str = ""


@dataclass(frozen=True, kw_only=True)
class EvidencePanel:
    """What a tag rests on."""

    tag: str
    words: Sequence[Shaded]
    frames: Sequence[Shaded]


def evidence_panel(tag: str, evidence: Evidence, stills: Sequence[bytes]) -> EvidencePanel:
    """The panel with the evidence of a video's first tag.

    Args:
        tag: as it is shown.
        evidence: of this tag; every tag of the video has the same frames and words.
        stills: a JPEG of each frame, or none.
    """
    clocks = [(clock(second), share) for second, share in evidence.frames]
    pictures = stills if len(stills) == len(clocks) else [b""] * len(clocks)
    return EvidencePanel(
        tag=tag, words=_shaded(evidence.words, [b""] * len(evidence.words)), frames=_shaded(clocks, pictures)
    )


def _shaded(parts: Sequence[tuple[str, float]], jpegs: Sequence[bytes]) -> list[Shaded]:
    strongest = max((share for _, share in parts), default=0.0)
    return [
        Shaded(
            text=text,
            percentage=f"{100 * share:.0f}",
            strength=share / strongest if strongest else 0.0,
            picture=jpeg_address(jpeg) if jpeg else "",
        )
        for (text, share), jpeg in zip(parts, jpegs, strict=True)
    ]


def jpeg_address(jpeg: bytes) -> str:
    """A picture inside the page, as an address."""
    return "data:image/jpeg;base64," + base64.b64encode(jpeg).decode("ascii")


def clock(second: float) -> str:
    """Minutes and seconds, 1:05."""
    whole = int(second + 0.5)
    return f"{whole // 60}:{whole % 60:02}"


SIDE, SIDE_OF_MANY = 96, 48
"""Longest side in pixels, and where there are more than :data:`MANY` frames: a report stays a few megabytes."""


MANY = 16


QUALITY = 72


class Stills:
    """Makes stills of a store's videos.

    Args:
        inputs: the folder, or the folder of shards, that was extracted.
    """

    def __init__(self, store: FeatureStore, inputs: Path):
        self._store, self._inputs, self._finder = store, inputs, SourceFinder([inputs])
        self._row_of = {video: row for row, video in enumerate(store.ids())}
        self._how = _preparation(store)
        self._asked = 0
        self._without: list[str] = []

    def __call__(self, video: str) -> Sequence[bytes]:
        """A JPEG of every frame, cut as the encoder saw it; none where the file is not there or no longer the same."""
        row = self._row_of.get(video)
        if row is None or self._store.kind(row) != "video":
            return []
        stills = self._of_row(row)
        self._asked += 1
        if not stills:
            self._without.append(self._store.source(row))
        return stills

    @property
    def shortfall(self) -> str | None:
        """A sentence on the videos that were asked for and have no stills; ``None`` where all have them."""
        if not self._without:
            return None
        if self._how is None:
            return "the report has no stills: the store does not say how its frames were taken, they were imported"
        return (
            f"the report has no stills of {len(self._without):,} of {self._asked:,} videos: in {self._inputs} they are not "
            f"there or give other frames (the first is {self._without[0]!r}); say with --inputs DIR which folder was extracted"
        )

    def _of_row(self, row: int) -> Sequence[bytes]:
        media = self._finder.find(self._store.source(row))
        if media is None or self._how is None:
            return []
        try:
            with media.path.open("rb") as file:
                file.seek(media.offset)
                payload = file.read(media.size)
        except OSError:
            return []
        prepared = prepare("video", payload, self._how)
        if isinstance(prepared, Unreadable) or prepared.times.tolist() != self._store.times(row).tolist():
            return []
        side = SIDE if len(prepared.pixels) <= MANY else SIDE_OF_MANY
        return [_jpeg(Image.fromarray(picture), side) for picture in prepared.pixels]


def _preparation(store: FeatureStore) -> Preparation | None:
    """How frames were made ready for the encoder; ``None`` for imported features, whose store does not say."""
    preprocessing = store.header.image_encoder.get("preprocessing")
    if preprocessing is None:
        return None
    plan, sampling = PixelPlan.from_spec(preprocessing), Sampling.from_spec(store.header.sampling)
    return Preparation(plan=plan, sampling=sampling, thumbnails=False)


def no_stills(_: str) -> Sequence[bytes]:
    """Stills of a video where nobody said where the files are."""
    return []


def _jpeg(picture: Image.Image, side: int) -> bytes:
    picture.thumbnail((side, side))
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=QUALITY)
    return buffer.getvalue()
