"""``--sidecar``: tags into files beside each video or picture, without losing what others wrote there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from ....data.errors import InputError
from ....data.inputs.media_folder import media_kind
from ....data.media import IMAGE_SUFFIXES, VIDEO_SUFFIXES
from ....data.sidecars.file_names import as_spelt
from ....data.sidecars.files import update_file
from ....data.sidecars.json_file import merged_json_tags
from ....data.sidecars.text import merged_text_tags
from ....data.tag_hierarchy import find_separator
from ..tagged_file import TaggedFile
from .chapters import SUFFIX, chapters

Writer = Callable[[TaggedFile], bool]
"""Writes the tags of a file beside it; whether anything changed. InputError: it could not, and left all as it was."""


@dataclass(frozen=True, kw_only=True)
class SidecarOptions:
    """How files beside others are written.

    Attributes:
        replace: their tags are replaced, in place of being added to.
        underscores: in ``NAME.txt``, spaces are written as underscores.
        separator: of the parts of tags that are paths; ``None`` finds it among the tags of each file.
    """

    replace: bool = False
    underscores: bool = False
    separator: str | None = None


def writers(kinds: Sequence[str], options: SidecarOptions) -> list[Writer]:
    """What writes files of these kinds, each kind once."""
    makers: Mapping[str, Callable[[SidecarOptions], Writer]] = {
        "txt": _text_writer,
        "xmp": _xmp_writer,
        "nfo": _nfo_writer,
        "json": _json_writer,
        "vtt": _chapters_writer,
    }
    return [makers[kind](options) for kind in dict.fromkeys(kinds)]


def _text_writer(options: SidecarOptions) -> Writer:
    def write(tagged: TaggedFile) -> bool:
        path = _shared_path(tagged, ".txt")
        return path is not None and update_file(
            path,
            lambda old: merged_text_tags(old, _texts(tagged), replace=options.replace, underscores=options.underscores),
        )

    return write


def _json_writer(options: SidecarOptions) -> Writer:
    def write(tagged: TaggedFile) -> bool:
        path = _shared_path(tagged, ".json")
        return path is not None and update_file(
            path, lambda old: merged_json_tags(old, _texts(tagged), replace=options.replace, title=tagged.title)
        )

    return write


def _xmp_writer(options: SidecarOptions) -> Writer:
    from ....data.sidecars.xmp import merged_xmp  # XML is of few commands

    def write(tagged: TaggedFile) -> bool:
        media = media_of(tagged)
        if media is None:
            return False
        path, of_stem = as_spelt(media.with_name(f"{media.name}.xmp")), as_spelt(media.with_suffix(".xmp"))
        if of_stem.is_file() and not path.is_file() and _other_of_stem(media) is None:
            path = of_stem
        tags = _texts(tagged)
        if not tags and not path.exists():
            return False
        separator = options.separator or find_separator(tags)
        return update_file(path, lambda old: merged_xmp(old, tags, replace=options.replace, separator=separator))

    return write


def _nfo_writer(options: SidecarOptions) -> Writer:
    from ....data.sidecars.nfo import merged_nfo  # XML is of few commands

    def write(tagged: TaggedFile) -> bool:
        if media_kind(tagged.path) != "video":
            return False
        path = _shared_path(tagged, ".nfo")
        if path is None or not (tagged.tags or path.exists()):  # with a file of a title alone, Kodi looks no further
            return False
        title = tagged.title or path.stem
        return update_file(path, lambda old: merged_nfo(old, _texts(tagged), replace=options.replace, title=title))

    return write


def _chapters_writer(_: SidecarOptions) -> Writer:
    def write(tagged: TaggedFile) -> bool:
        if media_kind(tagged.path) != "video":
            return False
        path = _shared_path(tagged, SUFFIX)
        return path is not None and update_file(path, lambda old: chapters(old, tagged))

    return write


def media_of(tagged: TaggedFile) -> Path | None:
    """The file itself, if it is one of its own and could be tagged."""
    if tagged.error is not None or tagged.sidecar is None:
        return None
    stem = tagged.sidecar.name.removesuffix(".info.json")
    return tagged.sidecar.with_name(stem + PurePath(tagged.path).suffix)


def _shared_path(tagged: TaggedFile, suffix: str) -> Path | None:
    """``NAME`` with a suffix, which is of one file alone: a picture beside a video of its name is the video's thumbnail.

    Raises:
        InputError: another video has the name too, or, of a picture, another video or picture.
    """
    media = media_of(tagged)
    if media is None:
        return None
    rivals = VIDEO_SUFFIXES if media_kind(tagged.path) == "video" else VIDEO_SUFFIXES | IMAGE_SUFFIXES
    if (other := _other_of_stem(media, rivals)) is not None:
        raise InputError(f"{media.with_suffix(suffix)} would be of {media.name} and {other.name}; it was left as it is")
    return as_spelt(media.with_suffix(suffix))


def _other_of_stem(media: Path, suffixes: Iterable[str] = VIDEO_SUFFIXES | IMAGE_SUFFIXES) -> Path | None:
    """Another video or picture that is called the same but for its suffix."""
    others = (media.with_suffix(form) for one in suffixes for form in (one, one.upper()))
    for other in others:
        if other.name != media.name and other.is_file() and not other.samefile(media):
            return other
    return None


def _texts(tagged: TaggedFile) -> list[str]:
    return [tag.text for tag in tagged.tags]
