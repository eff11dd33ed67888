"""``optsg-store verify --sources``: features that are not those of their sources are found."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from optsg.extract import extract
from optsg.extract.store.cli import main as store_main
from PIL import Image

from tests.extract.decoding.painted_clips import ClipMaker


@pytest.fixture
def folder(make_clip: ClipMaker, tmp_path: Path) -> Path:
    videos = tmp_path / "videos"
    videos.mkdir()
    for name, frames in (("a", 36), ("b", 25), ("c", 5)):
        shutil.copy(make_clip(f"{name}-source.mp4", frames=frames), videos / f"{name}.mp4")
    Image.new("RGB", (90, 70), "green").save(videos / "d.png")
    return videos


@pytest.fixture
def store(folder: Path, tmp_path: Path, tiny_timm_folder: Path, tiny_bert_folder: Path) -> Path:
    path = tmp_path / "feats.h5"
    extract(folder, path, image_encoder=str(tiny_timm_folder), text_encoder=str(tiny_bert_folder), device="cpu")
    return path


def verify(store: Path, folder: Path, *more: str) -> Result:
    return CliRunner().invoke(store_main, ["verify", str(store), "--sources", str(folder), "--device", "cpu", *more])


def test_unchanged_sources_give_the_same_features(store: Path, folder: Path) -> None:
    result = verify(store, folder)
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[-2:] == [
        "sources    ok (4 read and encoded again)",
        f"{store} is whole",
    ]
    assert "sources    ok (2 read and encoded again)" in verify(store, folder, "--sample", "2").stdout


def test_changed_and_missing_sources_are_named(store: Path, folder: Path) -> None:
    shutil.copy(folder / "b.mp4", folder / "a.mp4")
    (folder / "c.mp4").unlink()
    result = verify(store, folder)
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    assert lines[-3] == "sources    2 problems (4 read and encoded again)"
    changed = r"  a\.mp4: its bytes are not those of the features \(sha256:[0-9a-f]{12}… ≠ sha256:[0-9a-f]{12}…\)"
    assert re.fullmatch(changed, lines[-2])
    assert lines[-1] == "  c: it is not among the sources"


def test_features_of_something_else_are_found(
    store: Path, folder: Path, tmp_path: Path, tiny_timm_folder: Path, tiny_bert_folder: Path
) -> None:
    """A store whose sampling and features were those of other frames than it says."""
    from dataclasses import replace

    from optsg.data.inputs import open_inputs
    from optsg.data.media import MediaItem
    from optsg.data.store import open_store
    from optsg.extract.decoding.sampling import Sampling
    from optsg.extract.encoders.image_encoder import open_image_encoder
    from optsg.extract.store.source_check import _problems
    from optsg.extract.workers.preparation import Preparation

    with open_store(store) as opened:
        encoder = open_image_encoder(opened.header.image_encoder, device="cpu")
        stored = opened.features(0)
    item = next(iter(open_inputs(folder)))
    assert isinstance(item, MediaItem)
    plan = Preparation(plan=encoder.plan, sampling=Sampling(), thumbnails=False)
    assert list(_problems(item, stored, encoder, plan)) == []
    swapped = replace(stored, frames=-stored.frames)
    assert list(_problems(item, swapped, encoder, plan)) == [
        "other features: least cosine -1.0000, expected 0.999 or more"
    ]
    late = replace(stored, times=stored.times + 1)
    assert list(_problems(item, late, encoder, plan)) == [
        "other frames: 4 at 0.000, 1.000, 2.000, … ≠ 4 at 1.000, 2.000, 3.000, … s"
    ]


def test_sources_are_found_by_the_ids_that_columns_name(
    folder: Path, tmp_path: Path, tiny_timm_folder: Path, tiny_bert_folder: Path
) -> None:
    (tmp_path / "table.csv").write_text("clip,key\na.mp4,one\nb.mp4,two\n")
    table, columns = ("--metadata", str(tmp_path / "table.csv")), ("--columns", "file_name=clip,id=key")
    store = tmp_path / "feats.h5"
    extract(
        folder,
        store,
        image_encoder=str(tiny_timm_folder),
        text_encoder=str(tiny_bert_folder),
        device="cpu",
        metadata=tmp_path / "table.csv",
        columns=columns[1],
    )
    assert "sources    ok (4 read and encoded again)" in verify(store, folder, *table, *columns).stdout
    assert verify(store, folder, *table).stderr.startswith(f"error: {table[1]}: no column 'file_name'")
    result = CliRunner().invoke(store_main, ["verify", str(store), *columns])
    assert (result.exit_code, result.output) == (
        1,
        "error: --columns: this says how --sources are read; name them too\n",
    )
