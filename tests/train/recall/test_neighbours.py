"""Nearest neighbours, against scikit-learn's, and cells against looking at all."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from optsg.train.recall import neighbours as module
from optsg.train.recall.memory import Memory, id_digests
from optsg.train.recall.neighbours import Cells, Neighbours, directions_of, sorted_by_cell
from optsg.train.recall.source import Summary
from optsg.train.run_files import load_tensors, save_tensors
from scipy.sparse import csr_array
from sklearn.neighbors import NearestNeighbors

COUNT = 5


def clustered(videos: int, width: int = 16, seed: int = 0) -> NDArray[np.float32]:
    """Directions around one centre for every twenty of them."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(videos // 20, width))
    return directions_of(
        (centres[rng.integers(len(centres), size=videos)] + 0.3 * rng.normal(size=(videos, width))).astype(np.float32)
    )


def test_all_are_looked_at_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BLOCK", 64)
    vectors, asked = clustered(200).astype(np.float16), clustered(40, seed=1)[:7]
    distance, places = (
        NearestNeighbors(n_neighbors=COUNT, metric="cosine").fit(vectors.astype(np.float32)).kneighbors(asked)
    )
    cosines, found = Neighbours(vectors=vectors).search(asked, COUNT)
    assert found.tolist() == places.tolist()
    assert cosines == pytest.approx(1 - distance, abs=1e-3)


def test_what_does_not_count_is_not_found() -> None:
    vectors = clustered(60).astype(np.float16)
    kept = np.ones(60, np.bool_)
    kept[:57] = False
    cosines, found = Neighbours(vectors=vectors).search(vectors[:2].astype(np.float32), COUNT, kept)
    assert set(found[:, :3].ravel().tolist()) == {57, 58, 59}
    assert np.isneginf(cosines[:, 3:]).all()


def test_what_does_not_count_is_not_found_in_any_block(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BLOCK", 64)
    vectors, asked = clustered(200).astype(np.float16), clustered(40, seed=1)[:7]
    kept = np.random.default_rng(0).random(200) < 0.5
    cosines, found = Neighbours(vectors=vectors).search(asked, COUNT, kept)
    alone, places = Neighbours(vectors=vectors[kept]).search(asked, COUNT)
    assert found.tolist() == np.flatnonzero(kept)[places].tolist()
    assert cosines == pytest.approx(alone)


@pytest.mark.parametrize("alike", [[3, 40, 41, 77, 90], range(100)])
def test_of_equally_near_ones_the_first_are_found(alike: Sequence[int]) -> None:
    """However many are alike: which ones are found does not depend on how a machine sorts."""
    vectors = np.tile(np.array([0, 1], np.float16), (100, 1))
    vectors[[*alike]] = [1, 0]
    _, found = Neighbours(vectors=vectors).search(np.array([[1, 0]], np.float32), 8)
    assert found.tolist() == [[*alike, *(place for place in range(100) if place not in alike)][:8]]


@pytest.fixture
def many(monkeypatch: pytest.MonkeyPatch) -> NDArray[np.float32]:
    """More than are looked at one by one."""
    monkeypatch.setattr(module, "EXACT", 1_000)
    monkeypatch.setattr(module, "CELL", 50)
    monkeypatch.setattr(module, "PROBED", 8)
    return clustered(4_000)


def test_cells_find_what_looking_at_all_finds(many: NDArray[np.float32]) -> None:
    made = sorted_by_cell(many.astype(np.float16))
    assert made is not None
    order, cells = made
    assert sorted(order.tolist()) == list(range(4_000))
    vectors, asked = many[order].astype(np.float16), clustered(4_000, seed=0)[::40]
    exact, places = Neighbours(vectors=vectors).search(asked, COUNT)
    some, found = Neighbours(vectors=vectors, cells=cells).search(asked, COUNT)
    assert np.mean([len({*a} & {*b}) for a, b in zip(places.tolist(), found.tolist(), strict=True)]) > 0.95 * COUNT
    assert (some <= exact + 1e-3).all()
    looked_at = [sum(part.stop - part.start for part in cells.nearest(one)) for one in asked]
    assert max(looked_at) < 0.5 * len(vectors)


def test_all_cells_together_are_all_vectors(many: NDArray[np.float32], monkeypatch: pytest.MonkeyPatch) -> None:
    made = sorted_by_cell(many.astype(np.float16))
    assert made is not None
    monkeypatch.setattr(module, "PROBED", 4_000)
    vectors = many[made[0]].astype(np.float16)
    exact, places = Neighbours(vectors=vectors).search(many[::400], COUNT)
    some, found = Neighbours(vectors=vectors, cells=made[1]).search(many[::400], COUNT)
    assert found.tolist() == places.tolist()
    assert some == pytest.approx(exact, abs=1e-6)


def test_what_does_not_count_is_not_found_in_cells(many: NDArray[np.float32]) -> None:
    made = sorted_by_cell(many.astype(np.float16))
    assert made is not None
    index = Neighbours(vectors=many[made[0]].astype(np.float16), cells=made[1])
    kept = np.random.default_rng(0).random(4_000) < 0.5
    every, some = index.search(many[:20], 60)[1], index.search(many[:20], COUNT, kept)[1]
    assert some.tolist() == [row[kept[row]][:COUNT].tolist() for row in every]


def test_a_memory_with_cells_is_the_same_when_it_is_read_again(many: NDArray[np.float32], tmp_path: Path) -> None:
    tags = csr_array(np.eye(10, dtype=np.float32)[np.arange(4_000) % 10])
    memory = Memory.of_videos(many, tags, id_digests([f"v{number}" for number in range(4_000)]))
    save_tensors(tmp_path / "memory.safetensors", memory.tensors())
    tensors, _ = load_tensors(tmp_path / "memory.safetensors")
    again = Memory.from_tensors(tensors, 10)
    empty = np.empty((3, 0), np.float32)
    asked = Summary(titles=[[]] * 3, sentences=empty, vectors=many[:3])
    assert again.score(asked).tolist() == memory.score(asked).tolist()
    assert [again.tags_of(f"v{number}") for number in (0, 7, 3_999)] == [[0], [7], [9]]
    more = again.with_examples(many[:1], csr_array(np.ones((1, 11), np.float32)), id_digests(["v0"]))
    assert (len(more), more.tags_of("v0")) == (4_000, list(range(11)))
    assert more.score(asked)[0, 10] > 0


def test_a_search_does_not_depend_on_who_else_asks(many: NDArray[np.float32]) -> None:
    made = sorted_by_cell(many.astype(np.float16))
    assert made is not None
    index = Neighbours(vectors=many[made[0]].astype(np.float16), cells=made[1])
    alone = [index.search(many[row : row + 1], COUNT) for row in range(5)]
    together = index.search(many[:5], COUNT)
    assert np.concatenate([cosines for cosines, _ in alone]).tolist() == together[0].tolist()


@pytest.mark.parametrize(
    ("ends", "width"), [([2, 1, 6], 4), ([2, 4, 5], 4), ([2, 4, 7], 4), ([2, 6], 4), ([2, 4, 6], 3), ([-1, 4, 6], 4)]
)
def test_cells_that_do_not_fit_are_refused(ends: list[int], width: int) -> None:
    cells = Cells(centres=np.zeros((3, width), np.float32), ends=np.array(ends))
    with pytest.raises(ValueError, match="cells"):
        cells.check(np.zeros((6, 4), np.float16))
