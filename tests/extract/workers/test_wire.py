"""Messages between processes: what goes in comes out, and what is no message is refused."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from optsg.extract.workers import wire

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(
    header=st.dictionaries(st.text(max_size=8), VALUES, max_size=5),
    blocks=st.lists(st.binary(max_size=300), max_size=4),
)
def test_round_trip(header: dict[str, object], blocks: list[bytes]) -> None:
    stream = io.BytesIO()
    wire.send(stream, header, blocks)
    wire.send(stream, {"second": 2})
    stream.seek(0)
    got, got_blocks = wire.receive(stream)
    assert (got, [bytes(block) for block in got_blocks]) == (header, blocks)
    assert wire.receive(stream) == ({"second": 2}, [])
    with pytest.raises(EOFError):
        wire.receive(stream)


@pytest.mark.parametrize("cut", [0, 3, 4, 20, 60])
def test_a_message_that_ends_early(cut: int) -> None:
    stream = io.BytesIO()
    wire.send(stream, {"kind": "video"}, [b"x" * 50])
    with pytest.raises(EOFError):
        wire.receive(io.BytesIO(stream.getvalue()[:cut]))


@pytest.mark.parametrize(
    "data",
    [
        b"\xff" * 64,
        b"\x04\x00\x00\x00oops",
        b"\x02\x00\x00\x00[]",
        b'\x1f\x00\x00\x00{"header": 3, "blocks": [1, 2]}',
        b'\x20\x00\x00\x00{"header": {}, "blocks": [-1,2]}',
    ],
)
def test_something_else(data: bytes) -> None:
    with pytest.raises(wire.BrokenMessageError):
        wire.receive(io.BytesIO(data))
