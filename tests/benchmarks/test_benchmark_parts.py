"""What the benchmarks are built from: alternation, the clock of parts, synthetic stores, prescribed decoding."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
import torch
from optsg.data.store import open_store
from optsg.data.store.verification import verify_store
from optsg.data.word_pieces import EOS, NIL, PAD, SEPARATOR
from optsg.train.writing.reading import split_tags

from benchmarks.alternating import Timing, Timings, alternate
from benchmarks.decoding import prepare, ways
from benchmarks.part_clock import PartClock
from benchmarks.results_file import write_results
from benchmarks.scripted_output import Script
from benchmarks.synthetic_store import TINY_TEXT, write_synthetic_store


def test_runs_take_turns() -> None:
    order: list[str] = []
    timings = alternate({name: lambda name=name: order.append(name) for name in "ab"}, 3)  # type: ignore[misc]
    assert order == ["a", "b"] * 4
    assert [len(runs) for runs in timings.runs.values()] == [3, 3]


def test_ratios_are_taken_within_a_repetition() -> None:
    timing = lambda wall: Timing(wall=wall, cpu=wall)  # noqa: E731
    timings = Timings({"a": [timing(2), timing(30)], "b": [timing(1), timing(10)]})
    assert timings.wall("a") == 16
    assert str(timings.ratio("a", "b")) == "2.50 (2.00 … 3.00)"


def test_parts_add_up_and_the_inner_one_counts() -> None:
    class Owner:
        @staticmethod
        def inner() -> None:
            time.sleep(0.02)

        @staticmethod
        def outer() -> None:
            time.sleep(0.01)
            Owner.inner()

    clock = PartClock()
    with clock.watching({(Owner, "inner"): "inner", (Owner, "outer"): "outer"}):
        Owner.outer()
    Owner.outer()
    assert 0.02 <= clock.seconds["inner"] < clock.seconds["outer"] + 0.02 < 0.1
    assert clock.seconds["outer"] >= 0.01


def test_a_block_is_replaced_and_text_around_it_stays(tmp_path: Path) -> None:
    path = tmp_path / "RESULTS.md"
    for block in ("first", "second"):
        write_results("Training step", block, path)
    write_results("Decoding", "third", path)
    text = path.read_text(encoding="utf-8")
    assert "first" not in text
    assert text.index("second") < text.index("## Decoding") < text.index("third")


@pytest.mark.parametrize("name", ["feats.h5", "feats"])
def test_synthetic_stores_are_whole(tmp_path: Path, name: str) -> None:
    path = write_synthetic_store(tmp_path / name, videos=30, frames=3, width=8, text=TINY_TEXT)
    assert verify_store(path).problems == []
    with open_store(path) as store:
        assert (len(store.indices("train")), len(store.indices("val"))) == (27, 3)
        assert {len(store.frames(row)) for row in range(30)} == {3}
        counts = [len(store.tags(row)) for row in range(30)]
        assert min(counts) >= 2
        pieces = [len(store.tag_tokens(tag)) for tag in range(len(store.tag_keys))]
        assert set(pieces) == {1, 2}
    assert [entry.name for entry in tmp_path.iterdir()] == [name]


def test_what_is_there_already_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "feats.h5"
    path.write_text("mine")
    assert write_synthetic_store(path, videos=3).read_text() == "mine"


def test_every_way_of_decoding_writes_the_script(tmp_path: Path) -> None:
    path = write_synthetic_store(tmp_path / "feats.h5", videos=30, frames=3, width=8, text=TINY_TEXT)
    settings = ("width=32", "heads=2", "title_layers=1")
    with open_store(path) as store:
        prepared = prepare(store, "small", 6, settings, torch.device("cpu"), torch.float32)
        found = {name: way() for name, way in ways(prepared).items() if not name.startswith("encoding")}
        wanted = [_tags(row) for row in prepared.script.sequence.tolist()]
    for name in ("cached", "uncached", "parallel"):
        written = found[name]
        rows = zip(written.tokens.tolist(), written.log_probs.tolist(), written.nil_probs.tolist(), strict=True)
        assert [[list(tag.ids) for tag in split_tags(*row)] for row in rows] == wanted
    assert [_tags(row[1:]) for row in found["generate"].tolist()] == wanted


def _tags(tokens: list[int]) -> list[list[int]]:
    tags: list[list[int]] = [[]]
    for token in tokens:
        if token in (EOS, PAD):
            break
        if token == SEPARATOR:
            tags.append([])
        elif token != NIL:
            tags[-1].append(token)
    return [tag for tag in tags if tag]


def test_script_counts_tags_and_tokens() -> None:
    tags = [np.array([1, 2], np.int32), np.array([], np.int32)]
    script = Script.of(tags, {1: [7, 8], 2: [9]}, 3, torch.device("cpu"))
    assert script.sequence.tolist() == [
        [7, 8, SEPARATOR, 9, SEPARATOR, NIL, EOS],
        [NIL, SEPARATOR, NIL, SEPARATOR, NIL, EOS, PAD],
    ]
    assert script.slots[0].tolist() == [[7, 8, SEPARATOR], [9, SEPARATOR, PAD], [NIL, PAD, PAD]]
    assert (script.tags, script.tokens) == (2, 13)
