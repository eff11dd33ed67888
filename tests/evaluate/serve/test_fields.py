"""Fields that are true or false."""

from __future__ import annotations

import pytest
from optsg.evaluate.serve.fields import read_fields
from optsg.evaluate.serve.refusals import RefusedError


def test_evidence_and_segments_are_asked_for_each_alone() -> None:
    for name in ("evidence", "segments"):
        asked = read_fields({name: ["True"]})
        assert (asked.evidence, asked.segments) == (name == "evidence", name == "segments")
        assert not getattr(read_fields({name: ["0"]}), name)
        with pytest.raises(RefusedError, match=f"^{name} is 'maybe'; expected true or false$"):
            read_fields({name: ["maybe"]})
