"""What callers may ask for, out of the fields of a form, the values of a JSON object or the words of a query."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from ...data.errors import ConfigError
from ...data.inputs.relative_paths import printable
from ...data.tag_hierarchy import FOUND
from ...data.tag_list import parse_tag_list
from ...train.system_names import Favour
from ...train.writing.tag_control import VideoTags
from ..options import NAMED_VOCABULARIES, SNAP_TO, TaggingOptions
from .models import Wanted
from .refusals import unusable

FIELDS = {
    "title": "Title of the file; of several files, as many titles, in their order.",
    "pinned": "A tag that the files have; may be given more than once.",
    "forbidden": "A tag that the files do not have; may be given more than once.",
    "vocabulary": "open, known, snap, or a list of tags, one a line; snap: before the list replaces novel tags by the nearest of it.",
    "min_precision": "Tags whose score promises this precision on validation.",
    "threshold": "Tags with at least this score.",
    "favour": "rare, balanced or precise.",
    "max_tags": "At most so many tags.",
    "hierarchy": "What separates the parts of tags such as animal/cat, whose parents are given too; none: nothing does.",
    "evidence": "true: what each tag rests on.",
    "segments": "true: from when to when each tag of a video holds.",
    "run": "Which of several runs.",
}
"""What each means, for the page of the addresses."""

ONCE = tuple(name for name in FIELDS if name not in ("title", "pinned", "forbidden"))

MOST_WISHES = 100

MOST_TITLE = 10_000
"""Characters; the model reads fewer."""

MOST_SEPARATOR = 10
"""Characters between the parts of a tag."""

LIST_NAME = "“vocabulary”"


@dataclass(frozen=True, kw_only=True)
class Ask:
    """What is asked for all files of a request.

    Attributes:
        titles: of each file; none, where nobody says them.
        wanted: what decides.
        wishes: tags that they have and have not.
        max_tags: ``None``: all.
        evidence: whether tags come with what they rest on.
        segments: whether they come with when they hold.
        run: which; ``None``: the first.
    """

    titles: tuple[str, ...]
    wanted: Wanted
    wishes: VideoTags
    max_tags: int | None
    evidence: bool
    segments: bool
    run: str | None

    def title_of(self, place: int, count: int) -> str | None:
        """The title of one of so many files.

        Raises:
            RefusedError: there are more or fewer titles than files.
        """
        if self.titles and len(self.titles) != count:
            raise unusable(f"{len(self.titles)} titles for {count} files; give one for each, or none")
        return self.titles[place] if self.titles else None


def read_fields(fields: Mapping[str, Sequence[str]]) -> Ask:
    """What the fields say.

    Raises:
        RefusedError: one is not known, is given twice, or has a value that it cannot have.
        ConfigError: options contradict each other or are out of range, or the list of tags is none.
    """
    for name, values in fields.items():
        if name not in FIELDS:
            raise unusable(f"there is no field {printable(name)[:200]!r}; expected {', '.join(FIELDS)}")
        if name in ONCE and len(values) > 1:
            raise unusable(f"{name} is given twice")
    one = {name: fields[name][0].strip() for name in ONCE if fields.get(name)}
    pinned, forbidden = (tuple(filter(None, map(str.strip, fields.get(name, ())))) for name in ("pinned", "forbidden"))
    if len(pinned) + len(forbidden) > MOST_WISHES:
        raise unusable(f"more than {MOST_WISHES} tags are pinned or forbidden")
    titles = tuple(fields.get("title", ()))
    if any(len(title) > MOST_TITLE for title in titles):
        raise unusable(f"a title has more than {MOST_TITLE:,} characters")
    return Ask(
        titles=titles,
        wanted=_wanted(one),
        wishes=VideoTags(pinned=pinned, forbidden=forbidden),
        max_tags=_most(one),
        evidence=_is_true(one, "evidence"),
        segments=_is_true(one, "segments"),
        run=one.get("run"),
    )


def _wanted(one: Mapping[str, str]) -> Wanted:
    vocabulary = one.get("vocabulary") or "open"
    lines = "" if vocabulary in NAMED_VOCABULARIES else vocabulary.removeprefix(SNAP_TO).strip("\r\n")
    if lines:
        # The list itself: a caller never names a file.
        vocabulary = (SNAP_TO if vocabulary.startswith(SNAP_TO) else "") + LIST_NAME
    options = TaggingOptions(
        vocabulary=vocabulary,
        min_precision=_number(one, "min_precision"),
        threshold=_number(one, "threshold"),
        favour=cast("Favour | None", one.get("favour") or None),
    )
    if not lines and vocabulary not in NAMED_VOCABULARIES:
        raise ConfigError("the vocabulary lists no tag")
    listed = parse_tag_list(lines.split("\n"), LIST_NAME) if lines else None
    return Wanted(options=options, lines=lines, listed=listed, hierarchy=_hierarchy(one))


def _hierarchy(one: Mapping[str, str]) -> str:
    given = one.get("hierarchy") or FOUND
    if len(given) > MOST_SEPARATOR:
        raise unusable(f"hierarchy is {printable(given)[:40]!r}; expected what separates the parts of tags, such as /")
    return given


def _number(one: Mapping[str, str], name: str) -> float | None:
    try:
        return float(one[name]) if one.get(name) else None
    except ValueError as error:
        raise unusable(f"{name} is {printable(one[name])[:40]!r}; expected a number") from error


def _most(one: Mapping[str, str]) -> int | None:
    text = one.get("max_tags")
    if not text:
        return None
    if not (text.isdecimal() and text.isascii() and len(text) <= 6 and int(text) >= 1):
        raise unusable(f"max_tags is {printable(text)[:40]!r}; expected a whole number from 1")
    return int(text)


def _is_true(one: Mapping[str, str], name: str) -> bool:
    text = one.get(name, "").lower()
    if text not in ("", "0", "1", "false", "true"):
        raise unusable(f"{name} is {printable(text)[:40]!r}; expected true or false")
    return text in ("1", "true")


def fields_of_json(values: Mapping[str, Any]) -> dict[str, list[str]]:
    """The same fields out of a JSON object, whose values are texts, numbers, true or false, or lists of texts.

    Raises:
        RefusedError: a value is something else.
    """
    fields: dict[str, list[str]] = {}
    for name, value in values.items():
        some = value if isinstance(value, list) else [] if value is None else [value]
        if not all(isinstance(one, str | int | float) for one in some):
            raise unusable(f"{printable(name)[:200]} is no text, number, or list of texts")
        fields[name] = [str(one).lower() if isinstance(one, bool) else str(one) for one in some]
    return fields
