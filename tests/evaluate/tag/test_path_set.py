from __future__ import annotations

import random
import tracemalloc

from optsg.evaluate.tag.outputs.journal import FEW, PathSet


def test_it_is_a_set() -> None:
    dice = random.Random(0)
    names = [f"in/{dice.randrange(3 * FEW)}.mp4" for _ in range(3 * FEW)] + ["é/\\xff", ""]
    paths, expected = PathSet(), set[str]()
    assert not paths
    for name in names:
        assert (name in paths) == (name in expected)
        paths.add(name)
        expected.add(name)
        assert name in paths
    assert len(paths) == len(expected)
    assert all(name in paths for name in expected)
    assert not any(f"other/{number}" in paths for number in range(1000))


def test_a_path_costs_less_than_thirty_bytes() -> None:
    count = 40_000
    tracemalloc.start()
    paths = PathSet()
    for number in range(count):
        paths.add(f"a/rather/long/path/to/a/video/in/a/deep/folder/{number}.mp4")
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 30 * count + 2 * FEW * 100
