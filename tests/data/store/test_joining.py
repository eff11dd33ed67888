"""Finished stores of parts to one store: what it holds, in which order, and what is refused."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from optsg.data.corpus_part import CorpusPart
from optsg.data.errors import StoreError, StoreWriteError
from optsg.data.media import Failure
from optsg.data.store import open_store, row_blocks
from optsg.data.store.merging.merge import merge_parts, merge_stores
from optsg.data.store.schema import TextModelTables, VideoFeatures
from optsg.data.store.verification import verify_store

from tests.data.inputs.odd_videos import all_arrays, as_version_1, odd_failures, odd_videos, write_part
from tests.tiny_world import tiny_header, tiny_text_tables, tiny_videos, write_tiny_store

VIDEOS = [*tiny_videos(25), *odd_videos(), *(replace(video, id=f"{video.id}/2") for video in tiny_videos(12, seed=4))]
FAILURES = odd_failures()


def never(*_: object) -> TextModelTables:
    raise AssertionError("no text encoder is needed")


def merge(paths: Sequence[Path], out: Path, **options: Any) -> list[str]:
    return merge_stores(paths, out, make_text=never, **options)


def stores_of_parts(folder: Path, of: int, *, suffixes: Sequence[str] = (".h5",), **header: Any) -> list[Path]:
    """Stores of all parts of the videos and failures, their forms by turns."""
    paths = []
    folder.mkdir(exist_ok=True)
    for number in range(1, of + 1):
        part = CorpusPart(numbers=(number,), of=of)
        videos = [video for video in VIDEOS if part.holds(video.id)]
        failures = [failure for failure in FAILURES if part.holds(failure.id)]
        path = folder / f"{number}{suffixes[number % len(suffixes)]}"
        paths.append(write_tiny_store(path, videos, failures=failures, part=str(part), **header))
    return paths


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Stores of four parts in both forms."""
    return stores_of_parts(tmp_path_factory.mktemp("parts"), 4, suffixes=(".h5", ""))


def test_in_input_order_parts_become_the_store_of_a_single_extraction_bit_by_bit(
    tmp_path: Path, parts: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = write_tiny_store(tmp_path / "whole.h5", VIDEOS, failures=FAILURES)
    names = [*(video.id for video in VIDEOS), *(failure.id for failure in FAILURES)]
    told: list[int] = []
    out = tmp_path / "out.h5"
    assert merge(parts[::-1], out, input_order=iter(names), progress=told.append) == []
    assert all_arrays(out) == all_arrays(whole)
    assert sum(told) == len(VIDEOS)
    for rows in (1, 7):
        monkeypatch.setattr(row_blocks, "BLOCK_ROWS", rows)
        monkeypatch.setattr("optsg.data.store.merging.merge.TEXT_BATCH", rows)
        merge(parts, out, input_order=names, overwrite=True)
        assert all_arrays(out) == all_arrays(whole)
    monkeypatch.undo()
    merge(parts, tmp_path / "folder", input_order=names)
    write_tiny_store(tmp_path / "whole", VIDEOS, failures=FAILURES)
    for file in (tmp_path / "whole").iterdir():
        if file.suffix == ".tar":
            assert (tmp_path / "folder" / file.name).read_bytes() == file.read_bytes()
    assert verify_store(out).problems == verify_store(tmp_path / "folder").problems == []


def test_of_spellings_that_are_used_as_often_the_first_one_among_the_inputs_counts(tmp_path: Path) -> None:
    early, late = (replace(video, tags=tags) for video, tags in zip(tiny_videos(2), [("CAT",), ("Cat",)], strict=True))
    paths = [write_tiny_store(tmp_path / f"{video.id}.h5", [video]) for video in (late, early)]
    for name, order, spelling in (("given.h5", [early.id, late.id], "CAT"), ("stores.h5", None, "Cat")):
        merge(paths, tmp_path / name, input_order=order)
        with open_store(tmp_path / name) as store:
            assert store.tag_spellings == [spelling]


def test_without_the_inputs_the_order_is_by_part_and_row(tmp_path: Path, parts: list[Path]) -> None:
    merge([parts[2], parts[0], parts[3], parts[1]], tmp_path / "out.h5")
    ordered: list[str] = []
    for path in parts:
        with open_store(path) as store:
            ordered += store.ids()
    by_id = {video.id: video for video in VIDEOS}
    expected = write_tiny_store(tmp_path / "expected.h5", [by_id[name] for name in ordered])
    with open_store(tmp_path / "out.h5") as store, open_store(expected) as other:
        assert store.ids() == other.ids()
        assert store.tag_keys == other.tag_keys
        assert store.header.part is None
        np.testing.assert_array_equal(store.tag_embeddings, other.tag_embeddings)
        assert {failure.id for failure in store.failures} == {failure.id for failure in FAILURES}


def test_missing_parts_are_said_recorded_and_can_join_later(tmp_path: Path) -> None:
    paths = stores_of_parts(tmp_path / "parts", 5)
    some = [paths[0], paths[2], paths[3]]
    assert merge(some, tmp_path / "some.h5") == ["parts 2 and 5 of 5 are missing"]
    with open_store(tmp_path / "some.h5") as store:
        assert store.header.part == "1,3,4/5"
    assert merge([tmp_path / "some.h5", paths[1]], tmp_path / "more.h5") == ["part 5 of 5 is missing"]
    assert merge([tmp_path / "more.h5", paths[4]], tmp_path / "all.h5") == []
    with open_store(tmp_path / "all.h5") as store:
        assert (store.header.part, len(store)) == (None, len(VIDEOS))


def test_parts_are_ordered_as_numbers(tmp_path: Path) -> None:
    videos = tiny_videos(6)
    paths = [
        write_tiny_store(tmp_path / f"{number}.h5", [videos[place]], part=f"{number}/12")
        for place, number in enumerate((10, 2, 11))
    ]
    merge(paths, tmp_path / "out.h5")
    with open_store(tmp_path / "out.h5") as store:
        assert store.ids() == [videos[place].id for place in (1, 0, 2)]
        assert store.header.part == "2,10,11/12"


def test_what_holds_of_one_store_alone_is_not_said_of_the_merged_one(tmp_path: Path) -> None:
    """Part 1 and other videos are no part of a corpus, and encoders that one command named were no preset there."""
    videos = tiny_videos(4)
    one = write_tiny_store(tmp_path / "one.h5", videos[:2], part="1/2", preset="small")
    other = write_tiny_store(tmp_path / "other.h5", videos[2:])
    assert merge([one, other], tmp_path / "out.h5") == ["part 2 of 2 is missing"]
    with open_store(tmp_path / "out.h5") as store:
        assert (store.header.part, store.header.preset) == (None, None)


def test_stores_without_parts_keep_their_order_and_version_1_is_read(tmp_path: Path) -> None:
    videos = tiny_videos(9)
    one = as_version_1(write_tiny_store(tmp_path / "b.h5", videos[4:], preset="small"))
    other = write_tiny_store(tmp_path / "a", videos[:4], created="2026-02-02T00:00:00+00:00", preset="small")
    merge([one, other], tmp_path / "out")
    with open_store(tmp_path / "out") as store:
        assert store.ids() == [video.id for video in [*videos[4:], *videos[:4]]]
        assert (store.header.created, store.header.preset) == ("2026-02-02T00:00:00+00:00", "small")
    assert verify_store(tmp_path / "out").problems == []


def test_a_merged_store_can_be_added_to(tmp_path: Path, parts: list[Path]) -> None:
    merge(parts, tmp_path / "out.h5")
    new = [replace(video, id=f"{video.id}/new", tags=(*video.tags, "newt")) for video in tiny_videos(3)]
    part = write_part(tmp_path / "new.part", new)
    merge_parts([part], tmp_path / "out.h5", tiny_header(), tiny_text_tables(), base=tmp_path / "out.h5")
    with open_store(tmp_path / "out.h5") as store:
        assert store.ids()[-3:] == [video.id for video in new]
    assert verify_store(tmp_path / "out.h5").problems == []


def refused(paths: Sequence[Path], out: Path, message: str) -> None:
    with pytest.raises(StoreError, match=f"^{re.escape(message)}$"):
        merge(paths, out)
    assert not out.exists()
    assert not list(out.parent.glob("*.tmp"))


def test_other_settings_are_refused(tmp_path: Path) -> None:
    a = write_tiny_store(tmp_path / "a.h5", tiny_videos(2))
    b = write_tiny_store(tmp_path / "b.h5", tiny_videos(2), image_encoder={"kind": "tiny", "name": "other"})
    message = "image_encoder.name: 'other' ≠ 'tiny'"
    refused([a, b], tmp_path / "out", f"{b} was made with other settings than {a} (its own ≠ those of {a}): {message}")


def test_pictures_made_otherwise_are_refused(tmp_path: Path) -> None:
    a = write_tiny_store(tmp_path / "a.h5", tiny_videos(4)[:2])
    b = write_tiny_store(tmp_path / "b.h5", tiny_videos(4)[2:], decoding=2)
    message = (
        f"{b} and {a} were made by versions of optsg that make other pictures of some files (decoding 2 and 1); extract "
        f"{a} again with this version"
    )
    refused([a, b], tmp_path / "out.h5", message)


def changed_text(**changes: Any) -> TextModelTables:
    return replace(tiny_text_tables(), **changes)


@pytest.mark.parametrize("name", ["text/weights", "text/config", "text/nil_embedding"])
def test_other_text_models_are_refused(tmp_path: Path, name: str) -> None:
    tables = tiny_text_tables()
    text = {
        "text/weights": changed_text(weights={k: v + 1 for k, v in tables.weights.items() if v.dtype == np.float32}),
        "text/config": changed_text(config_json="{}"),
        "text/nil_embedding": changed_text(nil_embedding=tables.nil_embedding + np.float32(0.5)),
    }[name]
    a = write_tiny_store(tmp_path / "a.h5", tiny_videos(4)[:2])
    b = write_tiny_store(tmp_path / "b.h5", tiny_videos(4)[2:], text_tables=text)
    same = "extract both with the same versions of optsg and transformers"
    refused([a, b], tmp_path / "out.h5", f"{b} and {a} hold different text models ({name}); {same}")


def test_embeddings_may_differ_by_rounding_and_no_more(tmp_path: Path) -> None:
    videos = [replace(video, tags=("cat", "dog")) for video in tiny_videos(4)]
    embed = tiny_text_tables().tag_embeddings
    a = write_tiny_store(tmp_path / "a.h5", videos[:2])
    for name, shift in (("close", 1e-7), ("far", 1e-2)):
        text = changed_text(tag_embeddings=lambda tags, shift=shift: embed(tags) + np.float32(shift))
        b = write_tiny_store(tmp_path / f"{name}.h5", videos[2:], text_tables=text)
        if name == "close":
            merge([a, b], tmp_path / "out.h5")
            with open_store(tmp_path / "out.h5") as store, open_store(a) as first:
                np.testing.assert_array_equal(store.tag_embeddings, first.tag_embeddings)
        else:
            message = f"{a} and {b} have different embeddings of the tag 'cat'; their text models differ"
            refused([a, b], tmp_path / "other.h5", message)


def test_overlap_is_refused(tmp_path: Path) -> None:
    def store(name: str, videos: Sequence[VideoFeatures], failed: Sequence[str] = ()) -> Path:
        failures = [Failure(id=name, source=name, stage="decode", error="no") for name in failed]
        return write_tiny_store(tmp_path / name, videos, failures=failures)

    videos = tiny_videos(6)
    a, b = store("a.h5", videos[:3], ["x"]), store("b.h5", videos[2:5])
    advice = "merge stores of different inputs"
    refused([a, b], tmp_path / "out.h5", f"{a} and {b} overlap: the id 'video-2' is in both; {advice}")
    c = store("c.h5", videos[3:], ["video-0", "x"])
    refused(
        [a, c],
        tmp_path / "out.h5",
        f"{a} and {c} overlap: the id 'video-0' is in both (2 ids are in two stores); {advice}",
    )


def test_parts_that_do_not_go_together_are_refused(tmp_path: Path) -> None:
    videos = tiny_videos(6)
    a = write_tiny_store(tmp_path / "a.h5", videos[:2], part="1/2")
    b = write_tiny_store(tmp_path / "b.h5", videos[2:4], part="2/3")
    c = write_tiny_store(tmp_path / "c.h5", videos[4:], part="1,2/2")
    first = "each set of parts by itself first"
    refused([a, b], tmp_path / "o.h5", f"{a} is part 1 of 2 and {b} is part 2 of 3; merge {first}")
    refused([a, c], tmp_path / "o.h5", f"{a} and {c} are both part 1 of 2; merge each part once, and {first}")


def test_nothing_to_merge_and_taken_names_are_refused(tmp_path: Path) -> None:
    a = write_tiny_store(tmp_path / "a.h5", [], part="1/2")
    b = write_tiny_store(tmp_path / "b.h5", tiny_videos(2), part="2/2")
    refused([a], tmp_path / "out.h5", f"there is no video in {a}; nothing was merged")
    merge([a, b], tmp_path / "out.h5")
    for out, message in (
        (b, f"{b} is one of the stores to merge; choose another name"),
        (
            tmp_path / "out.h5",
            f"{tmp_path / 'out.h5'} exists already; choose another name, or add --overwrite to replace it",
        ),
    ):
        with pytest.raises(StoreWriteError, match=f"^{re.escape(message)}$"):
            merge([a, b], out)
