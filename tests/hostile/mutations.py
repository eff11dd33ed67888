"""Changes to the bytes of a file, as hypothesis draws them: of single bytes, of stretches, of numbers, and of tokens of text."""

from __future__ import annotations

import re
from collections.abc import Callable

from hypothesis import strategies as st

Mutation = Callable[[bytes], bytes]

NUMBERS = (0, 1, -1, 0x7F, 0xFF, 2**15, 2**31 - 1, 2**32 - 1, 2**40, 2**62, 2**63 - 1)

TOKENS = (
    *(
        b"-1",
        b"0",
        b"9" * 400,
        b"1e999",
        b"NaN",
        b"null",
        b"true",
        b"[]",
        b"{}",
        b'""',
        b"2147483647",
        b"100000",
        b"0.5",
    ),
    *(b"[" * 1000 + b"]" * 1000, b'{"a":' * 1000 + b"1" + b"}" * 1000, b"\xff", b"\x00", b"\xef\xbb\xbf", b'"\\ud800"'),
    *(b'"a\\nb"', b'"../../x"', b'"=1"', b'{"a": 1, "a": 2}', b'"' + b"x" * 3000 + b'"'),
)

_TOKEN = re.compile(rb'"[^"\n]{0,60}"|-?\d+(?:\.\d+)?|\w{2,}')


def _place(data: bytes, share: float) -> int:
    return int(share * len(data))


def _set(share: float, value: int) -> Mutation:
    def mutate(data: bytes) -> bytes:
        place = _place(data, share)
        return data[:place] + bytes([value]) + data[place + 1 :]

    return mutate


def _flip(share: float, bit: int) -> Mutation:
    def mutate(data: bytes) -> bytes:
        place = min(_place(data, share), len(data) - 1)
        return data if not data else data[:place] + bytes([data[place] ^ (1 << bit)]) + data[place + 1 :]

    return mutate


def _cut(share: float) -> Mutation:
    return lambda data: data[: _place(data, share)]


def _insert(share: float, what: bytes) -> Mutation:
    return lambda data: _cut(share)(data) + what + data[_place(data, share) :]


def _remove(share: float, count: int) -> Mutation:
    return lambda data: _cut(share)(data) + data[_place(data, share) + count :]


def _repeat(share: float, count: int, times: int) -> Mutation:
    def mutate(data: bytes) -> bytes:
        place = _place(data, share)
        return data[:place] + data[place : place + count] * times + data[place + count :]

    return mutate


def _number(share: float, width: int, value: int) -> Mutation:
    def mutate(data: bytes) -> bytes:
        place = _place(data, share) // width * width
        return data[:place] + (value % (1 << 8 * width)).to_bytes(width, "little") + data[place + width :]

    return mutate


def _token(share: float, token: bytes) -> Mutation:
    """Another token in the place of one of the text's."""

    def mutate(data: bytes) -> bytes:
        found = list(_TOKEN.finditer(data[: 1 << 16]))
        if not found:
            return token
        chosen = found[min(int(share * len(found)), len(found) - 1)]
        return data[: chosen.start()] + token + data[chosen.end() :]

    return mutate


_shares = st.floats(0, 1, exclude_max=True)
_one = st.one_of(
    st.builds(_set, _shares, st.integers(0, 255)),
    st.builds(_flip, _shares, st.integers(0, 7)),
    st.builds(_cut, _shares),
    st.builds(_insert, _shares, st.binary(max_size=16) | st.sampled_from(TOKENS)),
    st.builds(_remove, _shares, st.integers(1, 600)),
    st.builds(_repeat, _shares, st.integers(1, 600), st.integers(2, 40)),
    st.builds(_number, _shares, st.sampled_from((1, 2, 4, 8)), st.sampled_from(NUMBERS)),
    st.builds(_token, _shares, st.sampled_from(TOKENS)),
    st.builds(_token, _shares, st.sampled_from(TOKENS)),
)

MUTATIONS = st.lists(_one, min_size=1, max_size=3)
