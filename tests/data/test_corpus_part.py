"""Which part of a corpus an input belongs to."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from pathlib import Path

import pytest
from optsg.data.corpus_part import CorpusPart, described_part
from optsg.data.errors import ConfigError
from optsg.data.inputs import open_inputs
from optsg.data.inputs.splits import split_by_hash

from tests.tiny_world import tiny_header


def test_every_id_is_in_one_part_and_parts_are_of_like_size() -> None:
    parts = [CorpusPart.parse(f"{number}/8") for number in range(1, 9)]
    ids = [f"video-{number}" for number in range(8000)]
    sizes = [sum(part.holds(name) for name in ids) for part in parts]
    assert sum(sizes) == 8000
    assert all(900 < size < 1100 for size in sizes)
    assert all(sum(part.holds(name) for part in parts) == 1 for name in ids)
    joint = CorpusPart.parse("2,5/8")
    assert [joint.holds(name) for name in ids] == [parts[1].holds(name) or parts[4].holds(name) for name in ids]
    assert all(CorpusPart.parse("1/1").holds(name) for name in ids)


def test_parts_are_those_of_the_hash_that_is_promised() -> None:
    for name in ("a", "", "猫.狗/视频", "lone \ud800"):
        digest = hashlib.sha256(b"part:" + name.encode("utf-8", "backslashreplace")).digest()
        number = int.from_bytes(digest[:8], "big") * 5 // 2**64 + 1
        assert CorpusPart(numbers=(number,), of=5).holds(name)


def test_every_part_has_its_share_of_each_split() -> None:
    part = CorpusPart.parse("1/4")
    splits = Counter(split_by_hash(name) for name in map(str, range(8000)) if part.holds(name))
    assert abs(splits["val"] / splits.total() - 0.05) < 0.02
    assert abs(splits["test"] / splits.total() - 0.05) < 0.02


@pytest.mark.parametrize("text", ["", "0/4", "5/4", "1", "1/0", "-1/4", "1/4/8", "a/b", "1,/4", "2.0/4", "1/4\n"])
def test_what_is_no_part_is_refused(text: str) -> None:
    expected = f"--part {text} is no part; expected I/N with I from 1 to N, for instance 2/8"
    with pytest.raises(ConfigError, match=f"^{re.escape(expected.replace(chr(10), chr(32)))}$"):
        CorpusPart.parse(text)


def test_parts_for_people_and_in_headers() -> None:
    part = CorpusPart.parse("4,1,3/8")
    assert (str(part), part.missing) == ("1,3,4/8", (2, 5, 6, 7, 8))
    assert [described_part(text) for text in ("2/8", "1,2/8", "1,3,4/8", None)] == [
        "part 2 of 8",
        "parts 1 and 2 of 8",
        "parts 1, 3 and 4 of 8",
        "all inputs",
    ]
    header = tiny_header(part="2/8")
    assert type(header).from_json(header.to_json()) == header
    assert "part" not in tiny_header().to_json()


def test_parts_of_a_folder_are_the_folder_and_stay_when_files_are_added(tmp_path: Path) -> None:
    def listed(part: str | None, limit: int | None = None) -> list[str]:
        parsed = None if part is None else CorpusPart.parse(part)
        return [item.id for item in open_inputs(tmp_path, part=parsed, limit=limit)]

    for number in range(20):
        (tmp_path / f"{number:02d}.mp4").write_text("")
    (tmp_path / "metadata.csv").write_text("file_name,id\n03.mp4,07\ngone.mp4,gone\n")  # two ids 07, one bad row
    parts = [f"{number}/3" for number in (1, 2, 3)]
    before = {part: listed(part) for part in parts}
    assert sorted(name for names in before.values() for name in names) == sorted(listed(None))
    assert sorted(name for part in parts for name in listed(part, 9)) == sorted(listed(None, 9))
    for number in range(30):
        (tmp_path / f"-{number}.mp4").write_text("")
    for part in parts:
        after = listed(part)
        assert [name for name in after if name in before[part]] == before[part]
    assert open_inputs(tmp_path, part=CorpusPart.parse("2/3")).description.endswith(" (part 2 of 3)")
