"""Values come out in order, whatever the order in which they went in."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from optsg.extract.ordered_encoding import InOrder


@given(st.permutations(range(12)))
def test_any_order_becomes_the_order(numbers: list[int]) -> None:
    order: InOrder[int] = InOrder()
    out: list[int] = []
    for count, number in enumerate(numbers, start=1):
        order.put(number, number, nbytes=100)
        out += order.ready()
        assert out == list(range(len(out)))
        assert (order.held_bytes == 0) == (len(out) == count)
    assert out == list(range(12))
    assert order.held_bytes == 0
