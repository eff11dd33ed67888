"""Tagging from Python: ``optsg.Tagger``.

import optsg

with optsg.Tagger.from_pretrained("runs/latest") as tagger:
    for tag in tagger.tag("cat.mp4", title="our cat at the window"):
        print(tag.text, tag.score)
"""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

from huggingface_hub import ModelCard, ModelHubMixin

from ...data.errors import DecodeError
from ...data.media import Failure
from ...extract.options import DEFAULT_TIMEOUT
from ...train.run.model_card import make_model_card
from ...train.run_files import FURTHER, NEEDED, fetch_run
from ...train.system_names import Favour
from ...train.writing.tag_control import VideoTags
from ..options import TaggingOptions
from .evidence import Evidence
from .file_encoder import Work
from .file_tagger import FileTagger
from .group_tagger import Embedder
from .group_tagger import Embedding as Embedding
from .media_inputs import Features as Features
from .media_inputs import Media, request_of
from .requests import TagRequest, TagRequests
from .segments import Segment as Segment
from .tagged_file import TaggedFile


@dataclass(frozen=True, kw_only=True)
class Tag:
    """A tag of a video or image.

    Attributes:
        text: the tag.
        score: confidence in [0, 1]; 1 for a pinned tag.
        novel: not a tag of the training split.
        evidence: seconds of video and title words that it rests on; ``None`` where it was not asked for or the tag pinned.
        segments: from when to when it holds in a video; empty where that was not asked for, and for images and pinned tags.
    """

    text: str
    score: float
    novel: bool
    evidence: Evidence | None = None
    segments: tuple[Segment, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Tags:
    """What became of one of many files.

    Attributes:
        path: the file, or ``shard.tar/member``.
        title: what was read beside the pictures.
        tags: pinned ones first, then best score first; none where there was an error.
        error: why it could not be tagged, one sentence.
    """

    path: str
    title: str
    tags: list[Tag]
    error: str | None = None


class Tagger(ModelHubMixin):
    """A trained run, ready to tag files. Make one with :meth:`from_pretrained`.

    Use it as a context manager, or :meth:`close` it: decoding processes stay until then.
    """

    def __init__(self, files: FileTagger):
        self._files = files
        self._embedder: Embedder | None = None
        self.warnings = files.warnings

    @classmethod
    def from_pretrained(  # type: ignore[override]  # the mixin's takes any keyword, ours says which
        cls,
        path_or_hub_id: str | Path,
        *,
        device: str = "auto",
        vocabulary: str = "open",
        threshold: float | None = None,
        min_precision: float | None = None,
        decision: float | Literal["scalar"] | None = None,
        favour: Favour | None = None,
        nil_bias: float | None = None,
        hierarchy: str = "auto",
        evidence: bool = False,
        segments: bool = False,
        batch_size: int = 16,
        workers: int | None = None,
        timeout: float = DEFAULT_TIMEOUT,
        allow_systems: Collection[str] = (),
    ) -> Self:
        """Opens a run folder, or a repository of the Hugging Face Hub.

        Args:
            path_or_hub_id: ``runs/latest``, ``name/repository``.
            device: ``auto``, ``cpu``, ``cuda``, ``cuda:1``, ``mps``.
            vocabulary: ``open``, ``known``, ``snap``, ``snap:FILE`` or a file of tags.
            threshold: the least score.
            min_precision: the precision that the least score promises.
            favour: which tags to be generous with: ``rare``, ``balanced`` or ``precise``.
            hierarchy: what separates the parts of tags that are paths, whose parents are given too; ``auto`` looks for it,
                ``none`` is nothing.
            decision, nil_bias: other dials (:class:`optsg.evaluate.options.TaggingOptions`).
            evidence: whether tags say what they rest on.
            segments: whether tags of videos say from when to when they hold.
            batch_size, workers, timeout: of :meth:`tag_many` (:class:`optsg.evaluate.tag.file_encoder.Work`).
            allow_systems: classes, ``MODULE:CLASS``, that are imported where the run was trained with one: code of others.

        Raises:
            OptsgError: the run or its encoder cannot be used, or an option does not fit it.
        """
        bar: dict[str, Any] = {"threshold": threshold, "min_precision": min_precision, "nil_bias": nil_bias}
        options = TaggingOptions(vocabulary=vocabulary, decision=decision, favour=favour, **bar)
        work = Work(group=batch_size, workers=workers, timeout=timeout)
        how: dict[str, Any] = {"evidence": evidence, "segments": segments, "hierarchy": hierarchy}
        how |= {"device": device, "work": work, "allow_systems": allow_systems}
        return cls(FileTagger.open(fetch_run(path_or_hub_id), options=options, **how))

    def tag(
        self, media: Media, title: str | None = None, *, pin: Sequence[str] = (), forbid: Sequence[str] = ()
    ) -> list[Tag]:
        """Tags of one video or image, pinned ones first, then best score first.

        The first file starts a decoding process, which stays until :meth:`close`.

        Args:
            media: a path, bytes, a file open for reading bytes, a PIL image, an array of frames (T, H, W, 3), or
                :class:`Features`.
            title: its title; ``None`` takes that of the files beside it, ``.info.json`` and others, where one has any.
            pin: tags that it has; others follow from them.
            forbid: tags that it does not have.

        Raises:
            DecodeError: the file is not there, not a video or image, or cannot be decoded; or what is given is no such thing.
            EncoderError: a file or picture, for a run whose features were imported from elsewhere.
            ConfigError: a tag is both pinned and forbidden, or pinned and blocked.
        """
        wishes = VideoTags(pinned=tuple(pin), forbidden=tuple(forbid))
        return _tags(self._files.tag_one(request_of(media, title, self._files.files, "media"), wishes))

    def tag_many(
        self,
        media: Iterable[Media | tuple[Media, str | None]],
        *,
        pin: Sequence[str] = (),
        forbid: Sequence[str] = (),
    ) -> Iterator[Tags]:
        """Files, folders, patterns, shards and tables, as ``optsg-tag`` takes them, and all that :meth:`tag` takes.

        A bad one is an error among the others. Files are decoded in processes of their own, and only some hundred of them are
        in memory. What has no path is called ``media 0``, ``media 1`` and so on, by its place.

        Args:
            media: each alone, or with its title.

        Raises:
            EncoderError: one is a file or picture, for a run whose features were imported from elsewhere.
            ConfigError: a tag is both pinned and forbidden, or pinned and blocked.
        """
        wishes = VideoTags(pinned=tuple(pin), forbidden=tuple(forbid))
        for group in self._files.tag_many(self._requests(media), wishes=wishes):
            for tagged in group:
                yield Tags(path=tagged.path, title=tagged.title, tags=_tags(tagged), error=tagged.error)

    def embed(self, media: Media, title: str | None = None) -> Embedding:
        """Vectors of one video or image and its title; arguments and errors as :meth:`tag`."""
        (embedding,) = self.embed_many([(media, title)])
        return embedding

    def embed_many(self, media: Iterable[Media | tuple[Media, str | None]]) -> Iterator[Embedding]:
        """Vectors of each of many, as :meth:`tag_many` takes them.

        Raises:
            DecodeError: one of them cannot be decoded; it says which.
            EncoderError: as :meth:`tag_many`.
        """
        if self._embedder is None:
            self._embedder = self._files.embedder()
        for group in self._files.files.groups_of(self._requests(media)):
            yield from self._embedder.embed([self._files.input_of_good(*one) for one in group])

    def _requests(self, media: Iterable[Media | tuple[Media, str | None]]) -> Iterator[TagRequest]:
        for number, one in enumerate(media):
            thing, title = one if isinstance(one, tuple) else (one, None)
            if isinstance(thing, str | Path):
                yield from TagRequests([Path(thing)], title=title)
                continue
            name = f"media {number}"
            try:
                yield request_of(thing, title, self._files.files, name)
            except DecodeError as error:
                yield TagRequest(path=name, item=Failure(id=name, source=name, stage="read", error=str(error)))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the decoding processes; another file starts them again."""
        self._files.close()

    def _save_pretrained(self, save_directory: Path) -> None:
        """The files that a run needs, and no others; ``save_pretrained`` adds the card, ``push_to_hub`` uploads both."""
        for name in (*NEEDED, *FURTHER):
            if (self._files.run.path / name).is_file():
                shutil.copyfile(self._files.run.path / name, save_directory / name)

    def generate_model_card(self, *args: Any, **kwargs: Any) -> ModelCard:
        """The card of the run; ``model_card_kwargs={"license": "mit"}`` names its licence."""
        del args
        return make_model_card(self._files.run.path, **kwargs)


def _tags(tagged: TaggedFile) -> list[Tag]:
    evidence = tagged.evidence or [None] * len(tagged.tags)
    segments = tagged.segments or [()] * len(tagged.tags)
    return [
        Tag(text=tag.text, score=tag.score, novel=tag.novel, evidence=found, segments=when)
        for tag, found, when in zip(tagged.tags, evidence, segments, strict=True)
    ]
