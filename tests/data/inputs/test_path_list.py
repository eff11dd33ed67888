from __future__ import annotations

import tracemalloc
from bisect import bisect_left

import pytest
from optsg.data.inputs.files_by_stem import PathList

PATHS = ["b/é.mp4", "a.mp4", "b/a.mp4", "a\udcff.mp4", "猫.png", "a-b/x.mp4", ""]


def test_it_is_a_list() -> None:
    paths = PathList()
    assert not list(paths)
    for path in PATHS:
        paths.append(path)
    assert list(paths) == PATHS
    paths.sort()
    assert list(paths) == sorted(PATHS)
    assert (len(paths), paths[0], paths[6]) == (7, "", "猫.png")
    assert bisect_left(paths, "b/a.mp4") == sorted(PATHS).index("b/a.mp4")
    for outside in (-1, 7):
        with pytest.raises(IndexError):
            paths[outside]


def test_a_path_costs_little_more_than_its_bytes() -> None:
    count = 20_000
    tracemalloc.start()
    paths = PathList()
    for number in range(count):
        paths.append(f"some video of somebody {number:08}.mp4")
    paths.sort()
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < count * (35 + 8) * 1.2
