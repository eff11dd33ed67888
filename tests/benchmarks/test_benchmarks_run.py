"""The benchmarks of training and decoding run on tiny sizes and write a section each. What they measure is not looked at."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from benchmarks import decoding, gpu, many_videos, matching, read_features, scaling, training_step
from benchmarks.synthetic_store import TINY_TEXT, write_synthetic_store

MODEL = ("--set", "width=32", "--set", "heads=2", "--set", "title_layers=1")


@pytest.fixture(scope="module")
def feats(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("feats") / "feats.h5"
    return write_synthetic_store(path, videos=40, frames=3, width=8, text=TINY_TEXT)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Runs a benchmark's main with ``--write``; returns the section that it wrote."""

    def run(main: Callable[[list[str]], None], heading: str, *words: object) -> str:
        results = tmp_path / "RESULTS.md"
        options = [*map(str, words), "--work", str(tmp_path / "work"), "--write", "--results", str(results)]
        monkeypatch.setattr(sys, "argv", ["benchmark.py", *options])
        main(options)
        name = heading.lower().replace(" ", "-")
        found = re.search(
            rf"^## {heading}\n<!-- {name}: written by the benchmark -->\n(.*)\n<!-- {name}: end -->$",
            results.read_text(encoding="utf-8"),
            re.DOTALL | re.MULTILINE,
        )
        assert found is not None
        assert found[1].startswith("`python benchmark.py ")
        return found[1]

    return run


def rows_of(section: str, table: int = 0) -> list[list[str]]:
    """Cells of a Markdown table's rows, which all have as many as its header."""
    tables = re.findall(r"(?:^\|.*\|\n?)+", section, re.MULTILINE)
    rows = [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in tables[table].splitlines()]
    lines = tables[table].splitlines()
    assert len({line.count("|") for line in lines}) == 1
    return rows[2:]


@pytest.mark.slow
def test_reading(run: Callable[..., str]) -> None:
    sizes = ("--videos", 40, "--frames", 3, "--width", 8, "--batch-size", 4, "--batches", 3, "--workers", 0, 1)
    section = run(read_features.main, "Reading features", *sizes, "--repetitions", 1)
    kinds = [tuple(row[:3]) for row in rows_of(section)]
    orders = ("random", "sequential")
    assert kinds == [(form, o, workers) for form in ("HDF5", "shards") for o in orders for workers in ("0", "1")]
    assert "files in the page cache" in section
    assert len(rows_of(section, 1)) == read_features.PROFILE_LINES


@pytest.mark.slow
def test_reading_cold(run: Callable[..., str]) -> None:
    sizes = ("--videos", 40, "--frames", 3, "--width", 8, "--batch-size", 4, "--batches", 3, "--workers", 0, "--cold")
    section = run(read_features.main, "Reading features from the disk", *sizes, "--repetitions", 1)
    assert "dropped from the page cache before every pass" in section
    assert len(rows_of(section)) == 4


def test_both_ways_of_reading_give_the_same(tmp_path: Path) -> None:
    from optsg.data.batching import collate
    from optsg.data.store import open_store

    shape = read_features.Shape(videos=12, frames=3, width=8)
    for name in ("read.h5", "read"):
        path = write_synthetic_store(tmp_path / name, text=TINY_TEXT, **vars(shape))
        mapped = read_features.MappedFeatures(path, shape)
        with open_store(path) as store:
            (rows, *_) = read_features.chosen_batches(store, "random", 5, 2)
            assert torch.equal(mapped(rows), collate(store, rows).frames)


def test_training_step(run: Callable[..., str], feats: Path) -> None:
    sizes = ("--sizes", "small", "--batch-size", 4, "--repetitions", 1, "--steps", 1)
    section = run(training_step.main, "Training step", "--feats", feats, *sizes, *MODEL)
    speeds = rows_of(section)
    assert [row[0] for row in speeds] == ["`small`, the paper's model", "`small`", "`small`, written plainly"]
    parts = rows_of(section, 1)
    assert all(float(cell.split()[0]) > 0 for row in parts for cell in row[1:])
    assert all(float(row[3]) >= 0 for row in rows_of(section, 2))


@pytest.mark.slow
def test_decoding(run: Callable[..., str], feats: Path) -> None:
    sizes = ("--sizes", "small", "--batch-size", 4, "--repetitions", 1)
    section = run(decoding.main, "Decoding", "--feats", feats, *sizes, *MODEL)
    assert [row[1] for row in rows_of(section)] == list(decoding.SHOWN.values())
    profiled = rows_of(section, 1)
    assert [row[1] for row in profiled] == [decoding.SHOWN[name] for name in decoding.WAYS]
    assert all(int(row[2].replace(",", "")) > 100 for row in profiled)


def test_matching(run: Callable[..., str]) -> None:
    section = run(matching.main, "Matching", "--batch-size", 8, "--repetitions", 2)
    assert len(rows_of(section)) == 2


def test_one_measurement_of_scaling(feats: Path) -> None:
    found = scaling.train_and_decode(feats)
    assert found["videos"] == 40
    assert found["tags"] > 40
    assert found["train_seconds"] > 0
    assert found["decode_seconds"] > 0


@pytest.mark.slow
def test_scaling(run: Callable[..., str]) -> None:
    sizes = ("--videos", 40, "--frames", 3, "--width", 8, "--factors", 1, 2, "--repetitions", 1)
    section = run(scaling.main, "Scaling", *sizes)
    assert [row[0] for row in rows_of(section)] == ["1× (40 videos)", "2× (80 videos)"]


@pytest.mark.slow
def test_many_videos(run: Callable[..., str]) -> None:
    section = run(many_videos.main, "Many videos", "--videos", 40, 80)
    rows = rows_of(section)
    assert [row[0] for row in rows] == ["40", "80", "each further million"]
    assert all(float(cell.replace(",", "")) > 0 for row in rows[:2] for cell in row[1:6])


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_without_a_gpu_it_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as raised:
        gpu.main([])
    assert raised.value.code == 2
    assert capsys.readouterr().err == (
        "no CUDA device here: benchmarks/gpu.py needs one (or --device cpu --tiny, to see that it runs)\n"
    )


@pytest.mark.slow
# torch.compile looks at both itself.
@pytest.mark.filterwarnings("ignore:The .grad attribute:UserWarning")
@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")
def test_gpu_on_the_cpu(run: Callable[..., str]) -> None:
    options = ("--device", "cpu", "--tiny", "--compile-backend", "eager", "--repetitions", 1)
    section = run(gpu.main, "GPU", *options)
    assert len(rows_of(section)) == 4
    assert len(rows_of(section, 1)) == 1
    assert len(rows_of(section, 2)) == len(decoding.SHOWN)
    assert len(rows_of(section, -2)) == 2
    assert [row[0] for row in rows_of(section, -1)] == ["1", "2"]
