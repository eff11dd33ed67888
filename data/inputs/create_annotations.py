"""Annotations of the CREATE benchmark (arXiv 2203.16763), as published at createbenchmark.github.io.

``create_210k_{train,val,test}.json`` is a list of ``{vid, ann_title, ann_caption, raw_title, tag: [...], category}``,
``create_{3m,10m}_pretrain.json`` one of ``{vid, raw_title, tag: [...]}``.

The title is ``raw_title``, what the uploader wrote: the pre-training sets have no other, and a video to be tagged has no
annotator. Where it is empty, ``ann_title`` stands in. ``ann_caption`` and ``category`` are not used.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import InputError
from ..media import Failure, Split
from .metadata.json_list import check_json_list, read_json_list
from .metadata.records import Record, id_or, parse_record
from .relative_paths import printable
from .splits import split_of_shard

VIDEO_ID = "vid"
TITLES = ("raw_title", "ann_title")
"""The first that is not empty is the title."""

_NAME = re.compile(r"create_(?P<set>210k|3m|10m)_(?P<part>train|val|test|pretrain)\.json", re.IGNORECASE)


def is_create_file(name: str) -> bool:
    """Whether a file has one of the names under which CREATE's annotations were published."""
    return _NAME.fullmatch(name) is not None


def is_create_layout(path: Path) -> bool:
    """Whether a JSON list names its videos by ``vid``, whatever the file is called; a list that is no list is not."""
    if path.suffix.lower() != ".json" or not path.is_file():
        return False
    try:
        first = next(read_json_list(path), None)
    except InputError:
        return is_create_file(path.name)
    return is_create_file(path.name) or (isinstance(first, dict) and VIDEO_ID in first)


@dataclass(frozen=True, kw_only=True)
class Annotation:
    """What the annotations say about one video.

    Attributes:
        where: file and item, for messages.
        record: with an id.
        named_split: the set that the file stands for; ``None`` if its name says nothing.
        file: the file name that a table gives; CREATE gives none.
        has_own_id: whether the id is more than the stem of that name.
    """

    where: str
    record: Record
    named_split: Split | None
    file: str = ""
    has_own_id: bool = True

    @property
    def given(self) -> frozenset[str]:
        """Those of title, tags and split that it speaks of."""
        return self.record.given | ({"split"} if self.named_split is not None else set())

    @property
    def vid(self) -> str:
        """The video's id, which is also the stem of its file's name."""
        assert self.record.id  # items without one are failures
        return self.record.id


class CreateAnnotations:
    """Items of one or more annotation files, in the order of the files; read from the disk each time.

    Raises:
        InputError: a file is damaged, no list, or its items have no ``vid``.
    """

    def __init__(self, files: Sequence[Path]):
        self.files = tuple(files)
        for path in files:
            first = check_json_list(path)
            if VIDEO_ID not in first:
                found = ", ".join(map(str, first))[:200] or "nothing"
                raise InputError(
                    f"{path}: no '{VIDEO_ID}' (found: {found}); expected the layout of CREATE's annotations"
                )

    @property
    def description(self) -> str:
        """One line for people: the annotation files."""
        return ", ".join(path.name for path in self.files)

    def notes(self, *, needs_all: bool = True) -> list[str]:  # noqa: ARG002 (as of tables)
        """Nothing: their columns are known."""
        return []

    def __iter__(self) -> Iterator[Annotation | Failure]:
        for path in self.files:
            split = split_of_file(path.name)
            for number, values in enumerate(read_json_list(path), start=1):
                yield _annotation(f"{printable(path.name)}, item {number}", values, split)


def split_of_file(name: str) -> Split | None:
    """``train`` for the pre-training files; else the set in the name, if there is one."""
    return "train" if "pretrain" in name.lower() else split_of_shard(name)


def _annotation(where: str, values: object, split: Split | None) -> Annotation | Failure:
    if not isinstance(values, dict):
        return Failure(id=where, source=where, stage="read", error=f"{where}: not a JSON object")
    columns = {"id": values.get(VIDEO_ID), "title": _title(values), "tags": values.get("tag")}
    try:
        record = parse_record(columns)
        if record.id is None:
            raise InputError(f"no {VIDEO_ID}, which is the stem of the video's file name")
    except InputError as error:
        return Failure(id=id_or(columns, where), source=where, stage="read", error=f"{where}: {error}")
    return Annotation(where=where, record=record, named_split=split)


def _title(values: dict[str, object]) -> object:
    return next((values[name] for name in TITLES if values.get(name)), None)


def find_create_files(root: Path, names: Sequence[str]) -> list[Path]:
    """The annotation files among ``names``, paths relative to ``root``: those of one set, train before val before test.

    Raises:
        InputError: there are several sets, or two files of one name.
    """
    found = [(path, match) for path in sorted(names) if (match := _NAME.fullmatch(path.rpartition("/")[2]))]
    sets = sorted({match["set"].lower() for _, match in found})
    if len(sets) > 1:
        raise InputError(
            f"{root}: holds annotations of CREATE-{' and CREATE-'.join(name.upper() for name in sets)}; a feature store "
            "takes one of them: name a file of it with --metadata"
        )
    parts = [match["part"].lower() for _, match in found]
    for (path, match), part in zip(found, parts, strict=True):
        if parts.count(part) > 1:
            raise InputError(f"{root}: holds {parts.count(part)} files {match.group()}, one of them {printable(path)}")
    order = ("train", "val", "test", "pretrain")
    return [root / path for _, path in sorted(zip(map(order.index, parts), (path for path, _ in found), strict=True))]


def open_create_annotations(path: Path) -> CreateAnnotations:
    """Annotations from one file of any name, or from a folder with files of the published names.

    Raises:
        InputError: there are none, or :class:`CreateAnnotations` refuses them.
    """
    if not path.is_dir():
        if not path.is_file():
            raise InputError(f"{path}: there is no such metadata file")
        return CreateAnnotations([path])
    names = [str(file.relative_to(path).as_posix()) for file in path.rglob("*.json") if file.is_file()]
    files = find_create_files(path, names)
    if not files:
        raise InputError(
            f"{path}: no annotations of CREATE in this folder; expected files such as create_210k_train.json or "
            "create_3m_pretrain.json"
        )
    return CreateAnnotations(files)
