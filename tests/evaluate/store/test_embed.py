"""``optsg-store embed``: the vectors of ``Tagger.embed`` for a whole store, in files that other programs read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import optsg
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result
from optsg.data.media import SPLITS
from optsg.data.store import open_store
from optsg.evaluate.store.cli import main
from optsg.extract.store.cli import main as of_stores_alone


def embedded(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["embed", *map(str, arguments), "--device", "cpu"])


@pytest.fixture(scope="module")
def vectors(colour_feats: Path, colour_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("vectors") / "vectors.npz"
    result = embedded(colour_feats, "--run", colour_run, "--out", out)
    assert result.exit_code == 0, result.output
    with open_store(colour_feats) as store:
        header, count = store.header, len(store)
    widths = {"fused": 32, "title": header.tag_dim, "frames": header.frame_dim, "patches": header.patch_dim}
    shapes = ", ".join(f"{kind} {width:,}" for kind, width in widths.items())
    assert result.stdout == f"{out}: {count} videos; numbers of a vector: {shapes}\n"
    return out


def test_they_are_those_of_the_tagger(vectors: Path, colour_feats: Path, colour_run: Path) -> None:
    with np.load(vectors) as file:
        found = dict(file)
    with open_store(colour_feats) as store, optsg.Tagger.from_pretrained(colour_run, device="cpu") as tagger:
        assert found["ids"].tolist() == store.ids()
        for row in range(len(store)):
            is_video = store.kind(row) == "video"
            features: dict[str, Any] = {"frames": store.frames(row)} if is_video else {"patches": store.patches(row)}
            expected = tagger.embed(optsg.Features(**features), title=store.title(row))
            pictures, other = ("frames", "patches") if is_video else ("patches", "frames")
            assert expected.fused is not None
            assert np.array_equal(found["fused"][row], expected.fused)
            assert np.array_equal(found[pictures][row], expected.frames)
            assert np.isnan(found[other][row]).all()
            assert np.allclose(found["title"][row], expected.title, atol=1e-5)
    assert {found[kind].dtype for kind in ("fused", "title", "frames", "patches")} == {np.dtype(np.float32)}


def test_parquet_holds_the_same(vectors: Path, colour_feats: Path, colour_run: Path, tmp_path: Path) -> None:
    result = embedded(colour_feats, "--run", colour_run, "--out", tmp_path / "new" / "vectors.parquet")
    assert result.exit_code == 0, result.output
    table = pq.read_table(tmp_path / "new" / "vectors.parquet")
    with np.load(vectors) as file:
        expected = dict(file)
    assert table.column_names == ["id", "fused", "title", "frames", "patches"]
    assert table["id"].to_pylist() == expected["ids"].tolist()
    for kind in ("fused", "title", "frames", "patches"):
        for one, other in zip(table[kind].to_pylist(), expected[kind], strict=True):
            assert np.isnan(other).all() if one is None else np.array_equal(np.array(one, np.float32), other)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["vectors.parquet"]


def test_one_kind_of_one_split(vectors: Path, colour_feats: Path, colour_run: Path, tmp_path: Path) -> None:
    with np.load(vectors) as file:
        expected = dict(file)
    with open_store(colour_feats) as store:
        rows = np.flatnonzero(store.splits == SPLITS.index("val"))
    for kind, options in (("fused", ()), ("title", ("--vectors", "title"))):
        out = tmp_path / f"{kind}.npy"
        result = embedded(colour_feats, "--run", colour_run, "--split", "val", "--out", out, "-q", *options)
        assert (result.exit_code, result.output) == (0, "")
        assert np.allclose(np.load(out), expected[kind][rows], atol=1e-5)


def test_a_file_that_is_there_stays(colour_feats: Path, colour_run: Path, tmp_path: Path) -> None:
    out = tmp_path / "vectors.npy"
    out.write_text("mine")
    result = embedded(colour_feats, "--run", colour_run, "--out", out)
    sentence = f"{out} is there already; choose another --out, or replace it with --overwrite"
    assert (result.exit_code, result.output) == (1, f"error: {sentence}\n")
    assert out.read_text() == "mine"
    assert embedded(colour_feats, "--run", colour_run, "--out", out, "--overwrite").exit_code == 0
    assert len(np.load(out)) == 30


@pytest.mark.parametrize(
    ("name", "options", "sentence"),
    [
        ("vectors.txt", (), "--out {out}: no known suffix; use .npy, .npz or .parquet"),
        (
            "vectors.npy",
            ("--vectors", "title", "--vectors", "fused"),
            "--out {out}: an .npy holds one array; name one kind with --vectors, or write .npz or .parquet",
        ),
        ("vectors.npz", ("--split", "test"), "{feats} has no videos in split 'test'; it has train (24), val (6)"),
    ],
)
def test_what_cannot_be_is_one_sentence(
    colour_feats: Path, colour_run: Path, tmp_path: Path, name: str, options: tuple[str, ...], sentence: str
) -> None:
    out = tmp_path / name
    result = embedded(colour_feats, "--run", colour_run, "--out", out, *options)
    assert (result.exit_code, result.output) == (1, f"error: {sentence.format(out=out, feats=colour_feats)}\n")
    assert list(tmp_path.iterdir()) == []


def test_without_a_network_nothing_is_fused(colour_feats: Path, train_run: Callable[..., Path], tmp_path: Path) -> None:
    run = train_run(colour_feats, "linear")
    assert embedded(colour_feats, "--run", run, "--out", tmp_path / "all.npz").exit_code == 0
    with np.load(tmp_path / "all.npz") as file:
        assert sorted(file) == ["frames", "ids", "patches", "title"]
    result = embedded(colour_feats, "--run", run, "--out", tmp_path / "fused.npy")
    sentence = "there are no fused vectors, for linear has no network; choose --vectors from title, frames, patches"
    assert (result.exit_code, result.output) == (1, f"error: {sentence}\n")


def test_a_store_of_other_encoders_is_refused(store_path: Path, colour_run: Path, tmp_path: Path) -> None:
    result = embedded(store_path, "--run", colour_run, "--out", tmp_path / "vectors.npz")
    assert result.exit_code == 1
    assert result.output.startswith(f"error: {store_path} does not fit the run: ")


def test_the_commands_on_stores_alone_are_there_too() -> None:
    assert set(main.commands) == {*of_stores_alone.commands, "embed"}
