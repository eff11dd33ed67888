"""Messages between extraction and its decoding processes: a JSON header and blocks of bytes.

Not pickles: a decoding process reads other people's files with native code, and whatever such a file made of it could
otherwise run anything in the process that it answers.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from typing import IO, Any

import numpy as np

Buffer = bytes | bytearray | memoryview

_LENGTH = struct.Struct("<I")
MOST_HEADER_BYTES = 64 * 2**20
MOST_BLOCK_BYTES = 16 * 2**30


class BrokenMessageError(Exception):
    """What came down the pipe is no message."""


def send(stream: IO[bytes], header: Mapping[str, Any], blocks: Sequence[Buffer] = ()) -> None:
    """Writes one message and passes it on at once."""
    text = json.dumps({"header": header, "blocks": [memoryview(block).nbytes for block in blocks]}).encode()
    stream.write(_LENGTH.pack(len(text)) + text)
    stream.writelines(blocks)
    stream.flush()


def receive(stream: IO[bytes]) -> tuple[dict[str, Any], list[memoryview]]:
    """Reads one message.

    Raises:
        EOFError: the other side is gone.
        BrokenMessageError: something else came.
    """
    (length,) = _LENGTH.unpack(_read(stream, _LENGTH.size))
    if length > MOST_HEADER_BYTES:
        raise BrokenMessageError(f"a header of {length} bytes")
    try:
        message = json.loads(bytes(_read(stream, length)))
        header, sizes = dict(message["header"]), [int(size) for size in message["blocks"]]
    except (ValueError, TypeError, KeyError) as error:
        raise BrokenMessageError(f"the header is not one ({error})") from error
    if any(not 0 <= size <= MOST_BLOCK_BYTES for size in sizes):
        raise BrokenMessageError(f"blocks of {sizes} bytes")
    return header, [_read(stream, size) for size in sizes]


def _read(stream: IO[bytes], size: int) -> memoryview:
    # Not a bytearray, which would be filled with zeros first: seconds without any other thread for a size that is a lie.
    view, got = np.empty(size, np.uint8).data.cast("B"), 0
    while got < size:
        count = stream.readinto(view[got:])  # type: ignore[attr-defined]
        if not count:
            raise EOFError
        got += count
    return view
