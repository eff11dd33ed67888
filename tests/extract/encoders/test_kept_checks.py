"""What was found out about a tower: kept once, found again, never trusted where it says something else."""

from __future__ import annotations

import json
import shutil
import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from optsg.extract.encoders import image_encoder
from optsg.extract.encoders.chunks import ChunkedForward, ChunkPlan, quickest_plan
from optsg.extract.encoders.image_encoder import open_image_encoder, parse_image_encoder
from optsg.extract.encoders.kept_checks import cache_folder, keep, read_kept
from optsg.extract.encoders.tower_record import CheckedTower


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("OPTSG_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_a_second_opening_checks_nothing(cache: Path, tiny_timm_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = parse_image_encoder(str(tiny_timm_folder))
    first = open_image_encoder(spec, device="cpu")
    assert len(list(cache.rglob("*.json"))) == 1
    monkeypatch.setattr(image_encoder, "_check", lambda *_: pytest.fail("checked again"))
    again = open_image_encoder(spec, device="cpu")
    pixels = torch.zeros(3, *first.plan.crop, 3, dtype=torch.uint8)
    assert again.spec() == first.spec()
    assert torch.equal(again.encode_frames(pixels), first.encode_frames(pixels))


@pytest.fixture(scope="module")
def found_once(tiny_timm_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A cache folder with what was found out about the tower, and the tower's description."""
    folder = tmp_path_factory.mktemp("found") / "cache"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPTSG_CACHE", str(folder))
        opened = open_image_encoder(parse_image_encoder(str(tiny_timm_folder)), device="cpu")
    return folder, opened.spec()


@pytest.mark.parametrize("damage", [b"", b"[" * 100_000, b"[]", b"null", b"\xff", b'{"key": 1, "found": {}}'])
def test_a_damaged_file_is_as_none_and_is_replaced(
    found_once: tuple[Path, dict[str, Any]], cache: Path, tiny_timm_folder: Path, damage: bytes
) -> None:
    spec, (folder, expected) = parse_image_encoder(str(tiny_timm_folder)), found_once
    shutil.copytree(folder, cache)
    (path,) = cache.rglob("*.json")
    whole = json.loads(path.read_bytes())
    path.write_bytes(damage)
    assert open_image_encoder(spec, device="cpu").spec() == expected
    assert json.loads(path.read_bytes())["key"] == whole["key"]


@pytest.mark.parametrize(
    ("where", "value"),
    [
        ("format", "float8"),
        ("folds", 1),
        ("plan", {"pictures": 0, "threads": 1}),
        ("plan", {"pictures": 4}),
        ("plan", 3),
    ],
)
def test_what_no_check_finds_is_not_believed(where: str, value: object) -> None:
    findings: dict[str, Any] = {
        "format": "float32",
        "folds": True,
        "fuses": False,
        "plan": {"pictures": 4, "threads": 1},
    }
    found: dict[str, Any] = {"findings": findings, "frame_dim": 8, "patches": 4, "patch_dim": 8}
    assert CheckedTower.from_json(found) is not None
    assert CheckedTower.from_json({**found, "findings": {**findings, where: value}}) is None
    assert CheckedTower.from_json({**found, "frame_dim": -1}) is None
    assert CheckedTower.from_json(None) is None


def test_a_folder_that_cannot_be_written_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_timm_folder: Path
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("OPTSG_CACHE", str(tmp_path / "file"))
    assert open_image_encoder(parse_image_encoder(str(tiny_timm_folder)), device="cpu").frame_dim > 0


def test_an_empty_variable_keeps_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPTSG_CACHE", "")
    assert cache_folder() is None
    keep({"a": 1}, {"b": 2})
    assert read_kept({"a": 1}) is None


def test_the_folder_is_the_users_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("OPTSG_CACHE")
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "optsg"


def test_many_at_once_leave_one_whole_file(cache: Path) -> None:
    key = {"tower": "one"}
    threads = [threading.Thread(target=keep, args=(key, {"number": number})) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (found,) = [read_kept(key)]
    assert found is not None
    assert found["number"] in range(16)
    assert [path.suffix for path in (cache / "image-towers").iterdir()] == [".json"]


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("size", [1, 4, 32])
def test_chunks_give_every_row_in_its_place(threads: int, size: int) -> None:
    before = torch.get_num_threads()
    run = ChunkedForward(ChunkPlan(pictures=size, threads=threads))
    for count in (1, 3, 9):
        pixels = torch.arange(float(count * 2)).view(count, 2)
        assert torch.equal(run(lambda chunk: chunk * 2, pixels), pixels * 2)
    assert torch.get_num_threads() == before


def test_a_plan_is_found_that_is_quick() -> None:
    """Something that costs the same whatever is in a call is quickest with many pictures."""
    import time

    def forward(chunk: torch.Tensor) -> torch.Tensor:
        time.sleep(0.01)
        return chunk

    assert quickest_plan(forward, torch.zeros(8, 1), threads=1).pictures == 32
