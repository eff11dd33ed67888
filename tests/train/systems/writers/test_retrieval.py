"""The index of training items, and the open-book system around it."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from optsg.data.batching import Batch, collate
from optsg.data.errors import RunError
from optsg.data.store import FeatureStore, open_store
from optsg.data.tag_table import TagTable
from optsg.evaluate.tag.run_tagger import RunTagger
from optsg.train.config import RunConfig
from optsg.train.objective.shares import ALONE
from optsg.train.run.run import load_run
from optsg.train.systems.writers.open_book import DRAWN_FROM, MAX_TAGS, OpenBook, OpenBookWriter, open_pages
from optsg.train.systems.writers.retrieval import PICTURE_WEIGHT, RetrievalIndex

from tests.tiny_world import as_options, tiny_videos, write_tiny_store
from tests.train.command import started, train


@pytest.fixture(scope="module")
def feats(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Videos 0, 20 and 40, in training, are the same but for their ids and tags."""
    videos = tiny_videos(70)
    for twin in (20, 40):
        videos[twin] = dataclasses.replace(videos[0], id=f"twin-{twin}", tags=videos[twin].tags)
    return write_tiny_store(tmp_path_factory.mktemp("store") / "tiny.h5", videos)


@pytest.fixture(scope="module")
def index(store: FeatureStore) -> RetrievalIndex:
    words = torch.from_numpy(store.title_encoder_weights()["embeddings.word_embeddings.weight"])
    return RetrievalIndex.from_store(store, words, TagTable.from_store(store))


def unit(vector: np.ndarray) -> np.ndarray:
    length = np.linalg.norm(vector)
    return vector / length if length else vector


def test_the_fused_feature_is_the_formula(store: FeatureStore, index: RetrievalIndex) -> None:
    rows = store.indices("train")
    titles = [store.title_tokens(int(row)).tolist() for row in rows]
    words = store.title_encoder_weights()["embeddings.word_embeddings.weight"]
    frames = {int(row): store.frames(int(row)).astype(np.float64) for row in rows}
    patches = {int(row): store.patches(int(row)).astype(np.float64) for row in rows}

    def standard(values: dict[int, np.ndarray]) -> dict[int, np.ndarray]:
        means = {row: value.mean(0) for row, value in values.items() if len(value)}
        joined = np.stack(list(means.values()))
        scaled = {row: (mean - joined.mean(0)) / (joined.std(0) + 1e-3) for row, mean in means.items()}
        return {row: PICTURE_WEIGHT * unit(scaled.get(row, np.zeros(joined.shape[1]))) for row in values}

    frames, patches = standard(frames), standard(patches)
    expected = []
    for row, title in zip(rows, titles, strict=True):
        idf = [np.log((len(rows) + 1) / (sum(token in other for other in titles) + 1)) for token in title]
        fused = sum(weight * words[token].astype(np.float64) for weight, token in zip(idf, title, strict=True))
        expected.append(np.concatenate([unit(np.asarray(fused)), frames[int(row)], patches[int(row)]]))
    assert index.features.numpy() == pytest.approx(np.stack(expected), abs=2e-3)
    assert torch.allclose(index.fuse(collate(store, rows)), index.features, atol=1e-3)


def test_an_item_never_finds_itself_but_its_twin(store: FeatureStore, index: RetrievalIndex) -> None:
    rows = store.indices("train")
    items, similarity = index.neighbours(collate(store, rows), 5, exclude_own=True)
    assert not (items == np.arange(len(rows))[:, None]).any()
    twins = np.searchsorted(rows, [0, 20, 40])
    for twin in twins:
        others = [other for other in twins if other != twin]
        assert items[twin, :2].tolist() == others, "equally similar, the earlier in the store first"
        assert similarity[twin, 0] == similarity[twin, 1]
    assert bool((similarity[:, 1:] <= similarity[:, :-1]).all())
    everything, _ = index.neighbours(collate(store, rows), 5, exclude_own=False)
    assert (everything == np.arange(len(rows))[:, None]).any(axis=1).all(), "at prediction nothing is excluded"
    assert everything[twins[2], :3].tolist() == twins.tolist()


def test_only_the_item_itself_is_left_out(store: FeatureStore, index: RetrievalIndex) -> None:
    rows, count = store.indices("train"), len(store.indices("train"))
    items, similarity = index.neighbours(collate(store, rows), count, exclude_own=True)
    assert (items[:, -1] == -1).all()
    assert similarity[:, -1].isinf().all()
    for own, found in enumerate(items[:, :-1].tolist()):
        assert sorted(found) == [item for item in range(count) if item != own]
    other = collate(store, store.indices("test"))
    assert index.neighbours(other, count + 3, exclude_own=True)[0][:, :count].min() >= 0
    assert (index.neighbours(other, count + 3, exclude_own=True)[0][:, count:] == -1).all()


def test_neighbours_do_not_depend_on_the_batch_or_on_its_rows(store: FeatureStore, index: RetrievalIndex) -> None:
    rows = store.indices("test")
    together, _ = index.neighbours(collate(store, rows), 7, exclude_own=True)
    for place, row in enumerate(rows):
        alone = dataclasses.replace(collate(store, [int(row)]), rows=None)
        assert np.array_equal(index.neighbours(alone, 7, exclude_own=True)[0][0], together[place])


def test_a_video_of_nothing_finds_the_first_items(store: FeatureStore, index: RetrievalIndex) -> None:
    header = store.header
    none = Batch.from_features(
        [np.zeros((0, header.frame_dim), np.float16)], [np.zeros((0, header.patch_dim), np.float16)], [[2, 3]]
    )
    assert torch.equal(index.fuse(none), torch.zeros(1, index.features.shape[1]))
    assert index.neighbours(none, 3, exclude_own=False)[0].tolist() == [[0, 1, 2]]


def test_a_saved_index_is_the_same(store: FeatureStore, index: RetrievalIndex, tmp_path: Path) -> None:
    path = tmp_path / "retrieval.safetensors"
    index.save(path)
    loaded = RetrievalIndex.load(path)
    for field in dataclasses.fields(index):
        assert torch.equal(getattr(loaded, field.name), getattr(index, field.name)), field.name
    table = TagTable.from_store(store)
    for item, row in enumerate(store.indices("train")):
        assert [table.keys[tag] for tag in loaded.tags_of(item)] == [
            store.tag_keys[tag] for tag in store.tags(int(row))
        ]
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(
        RunError, match=rf"^{re.escape(str(path))} is not a readable retrieval index \(.*\); train the run"
    ):
        RetrievalIndex.load(path)


def test_pages_hold_each_tag_once_with_those_who_have_it(store: FeatureStore, index: RetrievalIndex) -> None:
    pieces = [[10 + tag, 50 + tag] for tag in range(len(TagTable.from_store(store)))]
    pieces[0] = []  # cannot be written
    items, similarity = (
        np.array([[3, 8, 5], [4, -1, -1], [-1, -1, -1]]),
        torch.tensor([[0.9, 0.5, 0.4], [0.7, 0, 0], [0, 0, 0]]),
    )
    similarity[1:, 1:] = similarity[2, 0] = float("-inf")
    pages = open_pages(index, items, similarity, pieces)
    assert not bool(pages.ids[2].any())
    for row, neighbours in enumerate([[3, 8, 5], [4], []]):
        tags = {tag for item in neighbours for tag in index.tags_of(item)} - {0}
        places = torch.nonzero(pages.ids[row]).flatten()
        assert sorted(pages.ids[row, places].tolist()) == sorted(piece for tag in tags for piece in pieces[tag])
        for place in places.tolist():
            piece = int(pages.ids[row, place])
            assert pages.positions[row, place] == (piece >= 50)
            tag = piece - (50 if piece >= 50 else 10)
            having = [number for number, item in enumerate(neighbours) if tag in index.tags_of(item)]
            assert pages.owners[row, place].nonzero().flatten().tolist() == having
    assert pages.ids.shape[1] <= 8 * MAX_TAGS


def test_open_book_s_weights_are_shared_out_and_nothing_is_nan(
    feats: Path, store: FeatureStore, index: RetrievalIndex
) -> None:
    train("--feats", feats, "--system", "open-book", "--run", "runs/a", *as_options(), "--set", "epochs=1")
    model = load_run(Path("runs/a"), device="cpu").model
    assert isinstance(model, OpenBookWriter)
    pieces = [[5 + tag] for tag in range(len(TagTable.from_store(store)))]
    items, similarity = np.array([[3, 8], [-1, -1]]), torch.tensor([[0.9, 0.5], [float("-inf")] * 2])
    source = model.source(open_pages(index, items, similarity, pieces))
    near, far = torch.softmax(torch.tensor([0.9, 0.5]) * model.log_sharpness.exp(), 0).tolist()
    weights = dict(zip(source.ids[0].tolist(), source.log_weight[0].exp().tolist(), strict=True))
    for tag in set(index.tags_of(3)) | set(index.tags_of(8)):
        expected = near * (tag in index.tags_of(3)) + far * (tag in index.tags_of(8))
        assert weights[5 + tag] == pytest.approx(expected, rel=1e-4)
    assert bool(source.log_weight[1].isinf().all())
    source.keys.sum().backward()
    source = model.source(open_pages(index, items, similarity, pieces))
    source.log_weight[0][source.usable[0]].sum().backward()
    assert all(p.grad is None or bool(p.grad.isfinite().all()) for p in model.parameters())


def open_book(feats: Path, *settings: str) -> tuple[OpenBook, Batch]:
    """An untrained ``open-book`` in training mode, and a batch of training videos."""
    with open_store(feats) as store:
        system = started(feats, store, "open-book", *settings)
        assert isinstance(system, OpenBook)
        system.model.train()
        return system, collate(store, store.indices("train")[:12])


def test_training_draws_neighbours_among_more_of_the_nearest(feats: Path) -> None:
    system, batch = open_book(feats, "neighbours=2")
    assert system._index is not None
    _, likeness = system._index.neighbours(batch, DRAWN_FROM * 2, exclude_own=True)
    drawn = [system.pages(batch, exclude_own=True, rng=np.random.default_rng(seed)) for seed in range(20)]
    for row in range(len(batch)):
        found = {tuple(pages.similarity[row].tolist()) for pages in drawn}
        assert len(found) > 1
        assert {value for pair in found for value in pair} <= {*likeness[row].tolist()}
        assert all(first >= second for first, second in found)
    assert torch.equal(system.pages(batch, exclude_own=True).similarity, likeness[:, :2])
    again = system.pages(batch, exclude_own=True, rng=np.random.default_rng(3))
    assert torch.equal(again.ids, drawn[3].ids)


def test_evaluation_reads_the_nearest_alone(feats: Path) -> None:
    system, batch = open_book(feats, "dropout=0.0")

    def losses(training: bool) -> set[float]:
        system.model.train(training)
        with torch.no_grad():
            found = [system.losses(batch, np.random.default_rng(seed)).parts["generation"] for seed in range(5)]
        return {float(loss) for loss in found}

    assert len(losses(training=True)) > 1
    assert len(losses(training=False)) == 1


@pytest.mark.parametrize(("entry", "more"), [("copy", False), ("memory", True)])
def test_the_book_is_read_by_the_gate_alone_or_also_by_the_decoder(feats: Path, entry: str, more: bool) -> None:
    system, batch = open_book(feats, f"book_entry={entry}")
    pages = system.pages(batch, exclude_own=True)
    features, _ = system.model.encode(batch)
    memory, mask, source = system.model.read(batch, pages)
    assert memory.shape[1] == mask.shape[1] == features.shape[1] + more * pages.ids.shape[1]
    assert bool(source.usable.any())


def test_the_copy_loss_is_part_of_training_alone(feats: Path) -> None:
    system, batch = open_book(feats, "dropout=0.0")
    sequences = system.sequences(batch, np.random.default_rng(0))
    pages = system.pages(batch, exclude_own=True)

    def loss(weight: float) -> float:
        training = dataclasses.replace(system.config.training, copy_weight=weight)
        with torch.no_grad():
            return float(system.model.open_loss(batch, sequences, pages, training, ALONE))

    assert loss(0.5) > loss(0.25) > loss(0.0)
    system.model.eval()
    assert loss(0.5) == loss(0.0)


def test_runs_of_before_read_their_book_as_they_did(feats: Path) -> None:
    system, _ = open_book(feats)
    values = json.loads(system.config.to_json())
    del values["model"]["book_entry"]
    assert RunConfig.from_json(json.dumps(values)).model.book_entry == "memory"
    assert RunConfig.from_json(json.dumps({**values, "system": "bin"})).model.book_entry == "copy"


def test_a_saved_run_predicts_the_same_without_the_store(feats: Path, store: FeatureStore, tmp_path: Path) -> None:
    own = tmp_path / "own.h5"
    own.write_bytes(feats.read_bytes())
    settings = [
        *as_options(),
        "--set",
        "epochs=6",
        "--set",
        "validate_every=6",
        "--set",
        "ema=0.9",
        "--set",
        "neighbours=3",
    ]
    result = train("--feats", own, "--system", "open-book", "--run", "runs/a", *settings)
    assert result.exit_code == 0, result.output
    assert json.loads(Path("runs/a/config.json").read_text())["model"]["neighbours"] == 3
    batch = dataclasses.replace(collate(store, store.indices("test")), rows=None, tags=())
    before = RunTagger(load_run(Path("runs/a"), device="cpu")).predict(batch)
    own.unlink()
    run = load_run(Path("runs/a"), device="cpu")
    assert RunTagger(run).predict(batch) == before
    assert sum(map(len, before)) > 0
    assert {tag.prompt for tags in before for tag in tags} == {None}
    index = Path("runs/a/retrieval.safetensors")
    index.unlink()
    with pytest.raises(
        RunError, match=r"^runs/a/retrieval\.safetensors is not a readable retrieval index \(No such file"
    ):
        load_run(Path("runs/a"), device="cpu")


def test_what_no_item_has_is_no_part_of_the_feature(tmp_path: Path) -> None:
    path = write_tiny_store(tmp_path / "s.h5", [video for video in tiny_videos(40) if video.kind == "video"])
    with open_store(path) as store:
        words = torch.from_numpy(store.title_encoder_weights()["embeddings.word_embeddings.weight"])
        index = RetrievalIndex.from_store(store, words, TagTable.from_store(store))
        assert index.features.shape[1] == words.shape[1] + store.header.frame_dim
        image = [np.ones((4, store.header.patch_dim), np.float16)]
        asked = Batch.from_features([np.zeros((0, store.header.frame_dim), np.float16)], image, [[2, 3]])
        assert index.neighbours(asked, 2, exclude_own=False)[0].tolist() == [[0, 1]]


def test_a_modality_that_is_not_read_is_not_compared(store: FeatureStore) -> None:
    words = torch.from_numpy(store.title_encoder_weights()["embeddings.word_embeddings.weight"])
    table, batch = TagTable.from_store(store), collate(store, store.indices("test"))
    width = words.shape[1]
    seen = RetrievalIndex.from_store(store, words, table, "video").fuse(batch)
    assert not bool(seen[:, :width].any())
    assert bool(seen[:, width:].any(dim=1).all())
    assert RetrievalIndex.from_store(store, words, table, "title").fuse(batch).shape[1] == width
