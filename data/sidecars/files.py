"""Which files beside a video or picture speak of it, what they say together, and how one is changed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath

from ..errors import InputError, RunError
from ..foreign.json_reader import SMALL_FILE, read_bounded
from ..whole_files import keep_owner_and_mode, whole_file
from .file_names import as_spelt, file_spellings
from .json_file import is_title_in_json, read_json_tags
from .text import read_text_tags

Values = dict[str, object]

SUFFIXES = (".json", ".xmp", ".nfo", ".txt")
"""Of files beside others, in the order in which their titles count."""

BACKUP = ".before-optsg"
"""Behind the name of a file that was there: what it was before it was changed first."""


def names_beside(path: str) -> list[str]:
    """What files may be called that speak of a video or picture, however they are spelt, in the order in which they count."""
    stem = str(PurePosixPath(path).with_suffix(""))
    names = [f"{path}.xmp" if suffix == ".xmp" else stem + suffix for suffix in SUFFIXES] + [f"{stem}.xmp"]
    return [spelt for name in names for spelt in file_spellings(name)]


def read_beside(paths: Sequence[Path]) -> Values:
    """What files say together: all their tags, and the first title.

    A ``.txt`` beside a ``.json`` that has the same as ``caption`` or ``title``, as img2dataset writes both, is that text.

    Raises:
        InputError: one of them cannot be read.
    """
    said = [_read(path) for path in paths]
    titles = [values["title"] for values in said if values.get("title")]
    lists = [values["tags"] for values in said if isinstance(values.get("tags"), list)]
    others = [values["tags"] for values in said if "tags" in values and not isinstance(values["tags"], list)]
    tags: object = [tag for one in lists for tag in one] if lists else others[0] if others else None  # type: ignore[attr-defined]
    return {**({"tags": tags} if tags is not None else {}), **({"title": titles[0]} if titles else {})}


def _read(path: Path) -> Values:
    kind = path.suffix.lower()
    try:
        data = read_bounded(path)
        if kind == ".txt" and (caption := as_spelt(path.with_suffix(".json"))).is_file():
            is_known = is_title_in_json(read_bounded(caption), data.decode("utf-8-sig", "replace"))
            return {} if is_known else read_text_tags(data)
        return _reader(kind)(data)
    except InputError as error:
        raise InputError(f"{path.name}: {error}") from error
    except (OSError, ValueError) as error:
        raise InputError(f"{path.name} cannot be read ({error})") from error


def _reader(kind: str) -> Callable[[bytes], Values]:
    if kind == ".json":
        return read_json_tags
    if kind == ".txt":
        return read_text_tags
    from . import nfo, xmp  # XML is of few folders

    return {".xmp": xmp.read_xmp, ".nfo": nfo.read_nfo}[kind]


def update_file(path: Path, change: Callable[[bytes | None], bytes | None], *, most_bytes: int = SMALL_FILE) -> bool:
    """Changes a file as a whole or not at all; whether anything changed.

    What was there before the first change is kept beside it, under its name and :data:`BACKUP`. Owner and mode stay, a link
    stays one.

    Args:
        path: of the file, which need not be there.
        change: of its bytes, ``None`` where it is not there, to what it is to be, ``None`` where it is left as it is.
        most_bytes: of a file that is there.

    Raises:
        InputError: it is larger, or cannot be read, changed or written; it is left as it is.
    """
    real = path.resolve()
    try:
        old = read_bounded(real, most_bytes) if real.exists() else None
        new = change(old)
    except InputError as error:
        raise InputError(f"{path}: {error}; it was left as it is") from error
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read ({error}); it was left as it is") from error
    if new is None or new == old:
        return False
    try:
        backup = real.with_name(real.name + BACKUP)
        if old is not None and not backup.exists():
            with whole_file(backup) as temporary:
                temporary.write_bytes(old)
                keep_owner_and_mode(real, temporary)
        with whole_file(real) as temporary:
            temporary.write_bytes(new)
            if old is not None:
                keep_owner_and_mode(real, temporary)
    except RunError as error:
        raise InputError(str(error)) from error
    return True
