"""The files of a data set: Parquet, alone or in a folder, or what ``Dataset.save_to_disk`` of ``datasets`` wrote.

All are read with pyarrow alone: a loading script of a data set is never run.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ...errors import InputError, reason_of
from ...foreign.json_reader import JSON_DAMAGE, read_json
from ...media import Split
from ..relative_paths import inside, is_hidden, printable
from ..splits import parse_split, split_of_shard

PARQUET_SUFFIX, ARROW_SUFFIX = ".parquet", ".arrow"

STATE, INFO, SPLITS = "state.json", "dataset_info.json", "dataset_dict.json"
"""What ``save_to_disk`` writes beside the rows of one set, both, and above the folders of several."""


@dataclass(frozen=True, kw_only=True)
class DatasetFile:
    """A file of rows.

    Attributes:
        path: of the file.
        name: for people, relative to the input.
        split: the set that its name or its folder stands for.
    """

    path: Path
    name: str
    split: Split | None

    @property
    def folder(self) -> Path:
        """What the names of files in its rows are relative to."""
        return self.path.parent


def is_dataset(path: Path) -> bool:
    """Whether a path names a data set by itself: a file of rows, or a folder that ``save_to_disk`` wrote."""
    if path.suffix.lower() in (PARQUET_SUFFIX, ARROW_SUFFIX) and path.is_file():
        return True
    is_one_set = (path / STATE).is_file() and (path / INFO).is_file()
    return is_one_set or (path / SPLITS).is_file()


def dataset_files(path: Path) -> list[DatasetFile]:
    """The files of what :func:`is_dataset` found, in order.

    Raises:
        InputError: the folder's lists are damaged, or name files outside of it.
    """
    if path.is_file():
        return [_file(path, path.name)]
    return list(_saved_sets(path) if (path / SPLITS).is_file() else _saved_files(path, ""))


def parquet_files(root: Path) -> list[DatasetFile]:
    """The Parquet files in a folder and its sub-folders, by name."""
    found = (path for path in root.rglob("*") if path.suffix.lower() == PARQUET_SUFFIX and path.is_file())
    names = (path.relative_to(root).as_posix() for path in found)
    return [_file(root / name, name) for name in sorted(names) if not is_hidden(name)]


def _file(path: Path, name: str, split: Split | None = None) -> DatasetFile:
    return DatasetFile(path=path, name=printable(name), split=split or split_of_shard(name))


def _saved_sets(root: Path) -> Iterator[DatasetFile]:
    for name in _list(root / SPLITS, _document(root / SPLITS), "splits"):
        yield from _saved_files(root, _inside(root / SPLITS, name))


def _split_called(name: object) -> Split | None:
    """The set that a data set's split is, by its name, if it is one."""
    try:
        return parse_split(name) if isinstance(name, str) else None
    except InputError:
        return None


def _saved_files(root: Path, folder: str) -> Iterator[DatasetFile]:
    """The files of one set. Of several the folder's name tells, not ``_split``: what ``train_test_split`` cut off ``train`` says that."""
    state = _document(root / folder / STATE)
    named = _split_called(folder or state.get("_split"))
    for entry in _list(root / folder / STATE, state, "_data_files"):
        file = _inside(root / folder / STATE, entry.get("filename") if isinstance(entry, dict) else None)
        name = f"{folder}/{file}" if folder else file
        yield _file(root / name, name, split_of_shard(name) or named)


def _inside(path: Path, name: object) -> str:
    """A name that a list gives, relative to its folder."""
    try:
        return inside(name if isinstance(name, str) else "")
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def _list(path: Path, document: dict[str, object], key: str) -> list[object]:
    found = document.get(key)
    if not isinstance(found, list) or not found:
        raise InputError(f"{path}: holds no list {key!r}; expected a folder as Dataset.save_to_disk writes it")
    return found


def _document(path: Path) -> dict[str, object]:
    try:
        document = read_json(path, finite=False)
    except JSON_DAMAGE as error:
        raise InputError(
            f"{path}: cannot be read ({reason_of(error)}); expected a folder as Dataset.save_to_disk writes it"
        ) from error
    return document if isinstance(document, dict) else {}
