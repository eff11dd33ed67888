"""The ``Range`` header of HTTP (RFC 9110, section 14), as far as players of video use it."""

from __future__ import annotations

import re

ONE_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII)


class UnsatisfiableRangeError(ValueError):
    """The range begins behind the end."""


def parse_range(header: str | None, size: int) -> tuple[int, int] | None:
    """First and last byte that are asked for.

    Args:
        header: the header's value; ``None`` if it was not sent.
        size: of the whole.

    Returns:
        ``None`` where the whole is to be sent: no header, another unit, several ranges, or one that is malformed.

    Raises:
        UnsatisfiableRangeError: nothing of the range is there.
    """
    match = ONE_RANGE.fullmatch(header.strip()) if header else None
    if match is None or match.group(1) == match.group(2) == "":
        return None
    first, last = match.groups()
    if not first:
        if not size or not int(last):
            raise UnsatisfiableRangeError
        return max(size - int(last), 0), size - 1
    if last and int(last) < int(first):
        return None
    if int(first) >= size:
        raise UnsatisfiableRangeError
    return int(first), min(int(last), size - 1) if last else size - 1
