"""No cell is a formula, and every text comes back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from optsg.data.foreign.csv_cells import as_cell, from_cell


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx", "'=1", "''=1"])
def test_a_formula_gets_an_apostrophe(text: str) -> None:
    assert as_cell(text) == f"'{text}"


@pytest.mark.parametrize("text", ["", "cat", "a=b", "'s-Hertogenbosch", "1"])
def test_other_texts_stay(text: str) -> None:
    assert as_cell(text) == text


@given(st.text(st.sampled_from("'=+-@\t\ra")))
def test_every_text_comes_back(text: str) -> None:
    assert from_cell(as_cell(text)) == text
