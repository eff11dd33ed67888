"""Examples after training: each source learns from them what it would have learned with them, and gives it back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from optsg.data.errors import RunError
from optsg.data.tag_table import TagRow, TagTable
from optsg.train.recall import linear
from optsg.train.recall.additions import Additions
from optsg.train.recall.linear import RIDGE, LinearProbe
from optsg.train.recall.memory import Memory, Remembered, id_digests
from optsg.train.recall.neighbours import Neighbours, directions_of
from optsg.train.recall.source import Summary
from optsg.train.run_files import ADDITIONS
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from scipy.sparse import csr_array

WIDTH, TEXT_WIDTH = 6, 4


def summary_of(vectors: np.ndarray) -> Summary:
    empty = np.empty((len(vectors), 0), np.float32)
    return Summary(titles=[[]] * len(vectors), sentences=empty, vectors=vectors.astype(np.float32))


def table_of(*keys: str) -> TagTable:
    counts = np.arange(len(keys), 0, -1)
    return TagTable(keys=keys, spellings=keys, counts=counts, tokens=tuple((number,) for number in range(len(keys))))


@pytest.fixture
def world() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Summaries and tags of 60 training videos and of 8 examples, whose last tag is new."""
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(68, WIDTH)).astype(np.float32)
    tags = (rng.random((68, 5)) < 0.4).astype(np.float32)
    tags[60:, 4] = 1
    return vectors[:60], tags[:60, :4], vectors[60:], tags[60:]


def probe_of(vectors: np.ndarray, tags: np.ndarray) -> LinearProbe:
    return LinearProbe.fit([(vectors, tags)])


@pytest.mark.parametrize("at_once", [256, 3])
def test_the_probe_learns_examples_as_if_it_had_been_fitted_to_them(
    world: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray], at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(linear, "AT_ONCE", at_once)
    vectors, tags, more, more_tags = world
    fresh = np.ones(8, np.bool_)
    fresh[:2] = False  # two of the examples are training videos with other tags
    more[:2] = vectors[:2]
    had = np.zeros_like(more_tags)
    had[:2, :4] = tags[:2]
    probe = probe_of(vectors, tags)
    found = probe.with_examples(more, csr_array(more_tags), csr_array(had), fresh).score(summary_of(more))
    wide = np.pad(tags, ((0, 0), (0, 1)))
    wide[:2] = more_tags[:2]
    # All videos, each with its latest tags, around the mean of those of training.
    x, y = np.concatenate([vectors, more[2:]]), np.concatenate([wide, more_tags[2:]])
    mean, prior = vectors.mean(0), np.pad(tags.mean(0), (0, 1))
    centred = x - mean
    weights = np.linalg.solve(centred.T @ centred + RIDGE * np.eye(WIDTH), centred.T @ (y - prior))
    expected = np.maximum((more - mean) @ weights + prior, 0)
    assert found == pytest.approx(expected, abs=4e-3)  # weights are kept in half precision
    assert found[:, 4].any()


def test_the_probe_learns_examples_in_two_steps_as_in_one(
    world: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray],
) -> None:
    vectors, tags, more, more_tags = world
    none, fresh = csr_array(np.zeros_like(more_tags)), np.ones(8, np.bool_)
    probe = probe_of(vectors, tags)
    once = probe.with_examples(more, csr_array(more_tags), none, fresh)
    for rows in (slice(0, 5), slice(5, 8)):
        probe = probe.with_examples(more[rows], csr_array(more_tags[rows]), none[rows, :], fresh[rows])
    assert probe.score(summary_of(more)) == pytest.approx(once.score(summary_of(more)), abs=1e-5)


def test_a_probe_without_its_scatter_knows_nothing_of_new_tags(
    world: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray],
) -> None:
    vectors, tags, more, more_tags = world
    kept = probe_of(vectors, tags).tensors()
    del kept["linear.scatter"]
    old = LinearProbe.from_tensors(kept)
    none = csr_array(np.zeros_like(more_tags))
    found = old.with_examples(more, csr_array(more_tags), none, np.ones(8, np.bool_)).score(summary_of(more))
    assert not found[:, 4].any()
    assert found[:, :4] == pytest.approx(old.score(summary_of(more)))


def test_the_memory_holds_the_latest_tags_of_every_video(
    world: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray],
) -> None:
    vectors, tags, more, more_tags = world
    names = [f"v{number}" for number in range(60)]
    memory = Memory.of_videos(vectors, csr_array(tags), id_digests(names))
    new = ["v3", *(f"n{number}" for number in range(7))]
    found = memory.with_examples(more, csr_array(more_tags), id_digests(new))
    assert len(found) == 60 + 8 - 1
    assert found.tags_of("v3") == np.flatnonzero(more_tags[0]).tolist()
    assert found.tags_of("v4") == np.flatnonzero(tags[4]).tolist() == memory.tags_of("v4")
    assert found.tags_of("v60") is None
    kept = [number for number in range(60) if number != 3]
    centre = vectors.mean(0)
    directions = directions_of(np.concatenate([vectors[kept], more]) - centre).astype(np.float16)
    table = csr_array(np.concatenate([np.pad(tags[kept], ((0, 0), (0, 1))), more_tags]))
    together = Memory(centre, [Remembered(neighbours=Neighbours(vectors=directions), tags=table)])
    assert found.score(summary_of(more)) == pytest.approx(together.score(summary_of(more)))


def test_a_memory_that_was_added_to_twice_holds_every_video_once(
    world: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray],
) -> None:
    """What took a video's place in one round keeps it in the next, whoever comes then."""
    vectors, tags, more, more_tags = world
    names = [f"v{number}" for number in range(60)]
    rounds = [["v3", "v4"], ["v5", "n1"], ["v3", "n1"]]
    memory = Memory.of_videos(vectors, csr_array(tags), id_digests(names))
    latest = {name: (vector, np.pad(row, (0, 1))) for name, vector, row in zip(names, vectors, tags, strict=True)}
    for number, ids in enumerate(rounds):
        rows = slice(2 * number, 2 * number + 2)
        memory = memory.with_examples(more[rows], csr_array(more_tags[rows]), id_digests(ids))
        latest |= dict(zip(ids, zip(more[rows], more_tags[rows], strict=True), strict=True))
    assert len(memory) == len(latest) == 61
    for name, (_, own) in latest.items():
        assert memory.tags_of(name) == np.flatnonzero(own).tolist()
    directions = directions_of(np.stack([vector for vector, _ in latest.values()]) - vectors.mean(0))
    together = Memory(
        vectors.mean(0),
        [
            Remembered(
                neighbours=Neighbours(vectors=directions.astype(np.float16)),
                tags=csr_array(np.stack([own for _, own in latest.values()])),
            )
        ],
    )
    assert memory.score(summary_of(vectors)) == pytest.approx(together.score(summary_of(vectors)), abs=1e-6)


TABLE = table_of("a", "b", "c")


def first_round() -> Additions:
    none = Additions.none(3, WIDTH, TEXT_WIDTH)
    rows = [TagRow("narwhal", "Narwhal", (7, 8))]
    # Numbers that half precision, in which they are kept, cannot hold.
    vectors, embeddings = np.full((2, WIDTH), 0.1, np.float32), np.full((1, TEXT_WIDTH), 0.7, np.float32)
    return none.with_round("more.h5", ["x", "y"], vectors, [[0, 3], [3]], [None, [1, 2]], rows, embeddings)


def second_round() -> Additions:
    vectors = np.full((1, WIDTH), 2.3, np.float32)
    rows, embeddings = [TagRow("owl", "Owl", (9,))], np.zeros((1, TEXT_WIDTH), np.float32)
    return first_round().with_round("again.h5", ["x"], vectors, [[2, 4]], [[0, 3]], rows, embeddings)


def assert_same(one: Additions, other: Additions) -> None:
    assert (one.rounds, one.ids, one.rows) == (other.rounds, other.ids, other.rows)
    for name in ("embeddings", "vectors", "fresh"):
        assert np.array_equal(getattr(one, name), getattr(other, name)), name
    for name in ("tags", "had"):
        assert np.array_equal(getattr(one, name).toarray(), getattr(other, name).toarray()), name


def test_rounds_are_kept_and_taken_back(tmp_path: Path) -> None:
    both = second_round()
    both.save(tmp_path)
    opened = Additions.load(tmp_path)
    assert opened is not None
    assert_same(opened, both)
    assert opened.fresh.tolist() == [True, False, False]  # y was remembered before, x is by then
    assert_same(opened.without_last_round(), first_round())
    opened.without_last_round().without_last_round().save(tmp_path)
    assert not (tmp_path / ADDITIONS).exists()
    assert Additions.load(tmp_path) is None


def test_tags_are_counted_over_training_and_examples() -> None:
    one, both = (each.extended(TABLE) for each in (first_round(), second_round()))
    assert (one.keys, one.spellings[3], one.tokens[3]) == (("a", "b", "c", "narwhal"), "Narwhal", (7, 8))
    assert one.counts.tolist() == [4, 1, 0, 2]  # y has lost b and c
    assert both.counts.tolist() == [3, 1, 1, 1, 1]  # x has other tags since
    assert both.is_known("owl")
    assert second_round().latest.tolist() == [1, 2]


def test_additions_of_another_run_do_not_fit() -> None:
    with pytest.raises(ValueError, match=r"^they were added to a run of other tags$"):
        first_round().extended(table_of("a", "b"))
    with pytest.raises(ValueError, match=r"^a tag that they add is there already$"):
        first_round().extended(table_of("a", "b", "narwhal"))


@pytest.mark.parametrize(
    "change",
    [
        {"vectors": None},
        {"tags.ends": [2, 9]},
        {"tags.columns": [0, 3, 99]},
        {"tags.columns": [0.0, 3.0, 3.0]},
        {"had.ends": [2]},
        {"fresh": [1.0, 0.0]},
        "texts",
        "cut",
        "rounds",
        "empty",
    ],
)
def test_a_damaged_file_is_refused_in_a_line(tmp_path: Path, change: object) -> None:
    import torch

    first_round().save(tmp_path)
    path = tmp_path / ADDITIONS
    tensors = load_file(path)
    with safe_open(path, "pt") as file:
        texts = file.metadata()
    if isinstance(change, dict):
        for name, values in change.items():
            del tensors[name]
            if values is not None:
                kind = torch.int32 if name.endswith("columns") and isinstance(values[0], int) else None
                tensors[name] = torch.tensor(values, dtype=kind)
    if change == "rounds":
        texts = {"additions": texts["additions"].replace('"videos": 2', '"videos": 1')}
    save_file(tensors, path, metadata={"additions": "{"} if change == "texts" else texts)
    if change == "cut":
        path.write_bytes(path.read_bytes()[:-9])
    if change == "empty":
        path.write_bytes(b"")
    message = r"memory_additions\.safetensors cannot be read \(.*\); without that file the run is as it was trained$"
    with pytest.raises(RunError, match=message) as refused:
        Additions.load(tmp_path)
    assert "\n" not in str(refused.value)
