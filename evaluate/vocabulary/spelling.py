"""Tags that are written alike: forms that count as one, pairs that lie a few slips of the keyboard apart, and how far.

No pair of tags is looked at that shares no key, so that the time grows with the number of tags, not with its square.
Legend: U tags, P pairs, L characters of the longest form.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.int64]

LONGEST = 48
"""Characters of a form that is compared: longer tags are sentences."""

AT_ONCE = 1 << 14
"""Pairs that are compared together: fast, and less than 100 MB."""

MOST_ALIKE = 64
"""Tags of one key: more of them are a pattern ("clip 0001"), no slips."""

SAME_LETTERS, SAME_WORD = 1.0, 0.95
"""Likeness of tags of the same letters ("T-shirt", "t shirt"), and of singular and plural."""

_GAPS = re.compile(r"^#|[\s_.'’‐-―-]+")
_DIGITS = re.compile(r"\D+")


def plain_form(key: str) -> str:
    """A tag without accents, hyphens, apostrophes, full stops, spaces and the hash before it; itself where it has no letters."""
    decomposed = unicodedata.normalize("NFKD", key)
    letters = "".join(char for char in decomposed if not unicodedata.combining(char))
    form = _GAPS.sub("", letters)
    return form if any(map(str.isalnum, form)) else key


def singular_form(form: str) -> str:
    """A plain form without the ending of an English plural: "berries" is "berry", "boxes" is "box", "cats" is "cat"."""
    if len(form) < 4 or form.endswith("ss"):
        return form
    if form.endswith("ies") and len(form) > 4:
        return form[:-3] + "y"
    if form.endswith(("ches", "shes", "sses", "xes", "zes", "oes")):
        return form[:-2]
    return form.removesuffix("s")


def allowed_slips(length: int) -> int:
    """How many characters may be wrong in a form of some length: none in short ones, where they make another word."""
    return 0 if length < 4 else 1 if length < 9 else 2


def similarly_written(keys: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Pairs of tags that are written alike.

    Returns:
        (P, 2) numbers of tags, the lower one first, in order; and (P,) how alike they are: :data:`SAME_LETTERS`,
        :data:`SAME_WORD`, or 1 less the share of characters that are wrong.
    """
    forms = [plain_form(key) for key in keys]
    likeness = _same(forms, SAME_WORD, by_singular=True)
    likeness |= _same(forms, SAME_LETTERS, by_singular=False)
    near = np.array(sorted(_neighbours(forms) - likeness.keys()), np.int64).reshape(-1, 2)
    found, alike = _slips_apart(forms, near)
    likeness.update(((one, other), value) for (one, other), value in zip(found.tolist(), alike.tolist(), strict=True))
    pairs = sorted(likeness)
    values = np.array([likeness[pair] for pair in pairs], np.float32)
    return np.array(pairs, np.int64).reshape(-1, 2), values


def _same(forms: Sequence[str], likeness: float, *, by_singular: bool) -> dict[tuple[int, int], float]:
    groups: dict[str, list[int]] = defaultdict(list)
    for number, form in enumerate(forms):
        groups[singular_form(form) if by_singular else form].append(number)
    return dict.fromkeys(_pairs(groups.values()), likeness)


def _pairs(groups: Iterable[Sequence[int]]) -> Iterator[tuple[int, int]]:
    for group in groups:
        if 1 < len(group) <= MOST_ALIKE:
            yield from combinations(group, 2)


def _neighbours(forms: Sequence[str]) -> set[tuple[int, int]]:
    """Pairs that may be a few slips apart: they are one text after so many deletions (Garbe's symmetric deletions).

    Tags whose digits differ are no slips: "route 66" is not "route 67".
    """
    groups: dict[tuple[str, str], list[int]] = defaultdict(list)
    for number, form in enumerate(forms):
        if (most := allowed_slips(len(form))) and len(form) <= LONGEST:
            digits = _DIGITS.sub("", form)
            for text in _deletions(form, most):
                groups[text, digits].append(number)
    return set(_pairs(groups.values()))


def _deletions(form: str, most: int) -> set[str]:
    """A form with up to ``most`` characters left out; of two, only in forms that are long enough to have two slips."""
    found = layer = {form}
    for _ in range(most):
        layer = {text[:place] + text[place + 1 :] for text in layer for place in range(len(text))}
        found = found | layer
    return found


def _slips_apart(forms: Sequence[str], pairs: Numbers) -> tuple[Numbers, NDArray[np.float32]]:
    """Those of (P, 2) pairs that are no more slips apart than the shorter one allows, and how alike these are."""
    if not len(pairs):
        return pairs, np.empty(0, np.float32)
    first, second = ([forms[number] for number in column] for column in pairs.T.tolist())
    lengths = np.minimum([*map(len, first)], [*map(len, second)])
    allowed = np.array([allowed_slips(length) for length in lengths.tolist()])
    blocks = [slice(start, start + AT_ONCE) for start in range(0, len(pairs), AT_ONCE)]
    slips = np.concatenate([slips_between(first[block], second[block]) for block in blocks])
    is_near = slips <= allowed
    alike = 1 - slips[is_near] / (lengths[is_near] + 1)
    return pairs[is_near], alike.astype(np.float32)


def slips_between(first: Sequence[str], second: Sequence[str]) -> Numbers:
    """(P,) characters left out, put in, replaced, or swapped with a neighbour, to make one text of the other.

    The restricted Damerau–Levenshtein distance (optimal string alignment), for all pairs at once.
    """
    one, other = _codes(first), _codes(second)
    ends = np.array([*map(len, first)]), np.array([*map(len, second)])
    table = np.zeros((one.shape[1] + 1, other.shape[1] + 1, len(first)), np.int16)
    table[:, 0] = np.arange(one.shape[1] + 1)[:, None]
    table[0, :] = np.arange(other.shape[1] + 1)[:, None]
    for i in range(1, one.shape[1] + 1):
        for j in range(1, other.shape[1] + 1):
            cost = one[:, i - 1] != other[:, j - 1]
            best = np.minimum(table[i - 1, j] + 1, table[i, j - 1] + 1)
            best = np.minimum(best, table[i - 1, j - 1] + cost)
            if i > 1 and j > 1:
                is_swapped = (one[:, i - 1] == other[:, j - 2]) & (one[:, i - 2] == other[:, j - 1])
                best = np.where(is_swapped, np.minimum(best, table[i - 2, j - 2] + 1), best)
            table[i, j] = best
    return np.asarray(table[ends[0], ends[1], np.arange(len(first))], np.int64)


def _codes(texts: Sequence[str]) -> NDArray[np.uint32]:
    """(P, L) code points, 0 behind the end."""
    padded = np.array(texts, dtype=np.str_)
    return padded.view(np.uint32).reshape(len(texts), -1)
