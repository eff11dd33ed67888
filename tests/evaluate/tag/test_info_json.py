"""Tags in ``NAME.info.json`` beside a file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from optsg.data.errors import InputError
from optsg.data.predicted_tag import PredictedTag
from optsg.evaluate.tag.tag_files import update_info_json
from optsg.evaluate.tag.tagged_file import TaggedFile

from tests.evaluate.tag.fake_tagger import FakeTagger, run_all

TAG = PredictedTag(text="猫", score=0.25, novel=False, prompt=3)
ROW = {"tag": "猫", "score": 0.25, "novel": False, "prompt": 3}
OURS = {"run": "small-1", "system": "op-tsg", "tags": [ROW]}
YT_DLP: dict[str, Any] = {
    "id": "x",
    "title": "é \U0001f600 \udc00",
    "tags": ["own"],
    "formats": [{"fps": 29.97, "filesize": 123456789012345678901, "url": None}],
    "nested": {"n": 1e300, "empty": {}, "list": []},
}


def update(place: Path, tag: PredictedTag = TAG, **changes: Any) -> bool:
    values: dict[str, Any] = {"path": "a.mp4", "tags": [tag], "sidecar": place, **changes}
    return update_info_json(TaggedFile(**values), run="small-1", system="op-tsg")


@pytest.fixture
def sidecar(tmp_path: Path) -> Path:
    path = tmp_path / "a.info.json"
    path.write_text(json.dumps(YT_DLP))
    return path


def test_all_other_keys_stay_in_their_order(sidecar: Path) -> None:
    assert update(sidecar)
    read = json.loads(sidecar.read_text(encoding="utf-8"))
    assert read == {**YT_DLP, "optsg_tags": OURS}
    assert list(read) == [*YT_DLP, "optsg_tags"]
    assert [path.name for path in sidecar.parent.iterdir()] == ["a.info.json"]


def test_it_is_not_touched_where_it_says_the_same(sidecar: Path) -> None:
    update(sidecar)
    before = sidecar.stat()
    assert not update(sidecar)
    assert (sidecar.stat().st_mtime_ns, sidecar.stat().st_ino) == (before.st_mtime_ns, before.st_ino)
    assert update(sidecar, PredictedTag(text="dog", score=0.5, novel=True, prompt=None))
    assert json.loads(sidecar.read_text())["optsg_tags"]["tags"][0]["tag"] == "dog"


@pytest.mark.parametrize("mode", [0o600, 0o664, 0o444])
def test_it_keeps_its_mode_and_owner(sidecar: Path, mode: int) -> None:
    sidecar.chmod(mode)
    before = sidecar.stat()
    assert update(sidecar)
    after = sidecar.stat()
    assert (after.st_mode, after.st_uid, after.st_gid) == (before.st_mode, before.st_uid, before.st_gid)


def test_a_link_stays_one(sidecar: Path, tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    sidecar.rename(tmp_path / "cache" / "blob")
    sidecar.symlink_to("cache/blob")
    assert update(sidecar)
    assert sidecar.is_symlink()
    assert json.loads((tmp_path / "cache" / "blob").read_text())["optsg_tags"] == OURS


def test_one_that_is_not_there_is_made(tmp_path: Path) -> None:
    assert update(tmp_path / "new.info.json")
    assert json.loads((tmp_path / "new.info.json").read_text(encoding="utf-8")) == {"optsg_tags": OURS}


@pytest.mark.parametrize(
    ("content", "error"),
    [
        ("[", r"is not JSON \(.*\); it was left as it is$"),
        ("[" * 100_000, r"is not JSON \(.*\); it was left as it is$"),
        ("[1]", "is not a JSON object, which is what yt-dlp --write-info-json writes; it was left as it is$"),
    ],
)
def test_what_is_no_json_object_is_left_as_it_is(sidecar: Path, content: str, error: str) -> None:
    sidecar.write_text(content)
    with pytest.raises(InputError, match=error):
        update(sidecar)
    assert sidecar.read_text() == content


@pytest.mark.parametrize("step", ["replace", "write_text", "chmod"])
def test_a_failure_on_the_way_leaves_what_was_there(sidecar: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    before = sidecar.read_bytes()

    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, step, fail)
        with pytest.raises(InputError) as raised:
            update(sidecar)
    message = f"{sidecar} cannot be written: No space left on device; an earlier one is kept"
    assert str(raised.value) == message
    assert sidecar.read_bytes() == before
    assert [path.name for path in sidecar.parent.iterdir()] == ["a.info.json"]


def test_what_could_not_be_tagged_changes_nothing(sidecar: Path) -> None:
    before = sidecar.read_bytes()
    assert not update(sidecar, error="a.mp4: it is bad")
    assert not update(sidecar, sidecar=None)
    assert sidecar.read_bytes() == before


def test_a_thumbnail_beside_its_video_does_not_speak_for_it(sidecar: Path, tmp_path: Path) -> None:
    (tmp_path / "a.webm").touch()
    assert not update(sidecar, path=str(tmp_path / "a.webp"))
    assert update(sidecar, path=str(tmp_path / "a.webm"))
    assert update(tmp_path / "b.info.json", path=str(tmp_path / "b.webp")), "a picture without a video has its own"


def test_files_of_one_stem_have_one_each(tmp_path: Path) -> None:
    for name in ("IMG_1.jpg", "IMG_1.PNG", "clip.mp4", "clip.webm", "clip.jpg"):
        (tmp_path / name).touch()
        assert not (tmp_path / name).with_suffix(".info.json").exists()
    for name in ("IMG_1.jpg", "IMG_1.PNG", "clip.mp4", "clip.webm", "clip.jpg"):
        update((tmp_path / name).with_suffix(".info.json"), path=str(tmp_path / name))
    assert sorted(path.name for path in tmp_path.glob("*.info.json")) == [
        *("IMG_1.PNG.info.json", "IMG_1.jpg.info.json", "clip.mp4.info.json", "clip.webm.info.json"),
    ]


def test_on_the_way_again_only_what_is_not_done_is_updated(folder: Path, tmp_path: Path) -> None:
    """A kill can come after files were updated and before the output says so."""
    out = tmp_path / "out.jsonl"
    with pytest.raises(InterruptedError):
        run_all(folder, out, FakeTagger(), sidecars=True, advance=_interrupt)
    assert len(list(folder.glob("*.info.json"))) == 4
    out.write_bytes(b"")
    before = {path: path.stat().st_mtime_ns for path in folder.glob("*.info.json")}
    counts = run_all(folder, out, FakeTagger(), sidecars=True)
    assert (counts.tagged, counts.failed, counts.not_updated) == (26, 4, 0)
    assert {path: path.stat().st_mtime_ns for path in before} == before
    updated = {path.name.removesuffix(".info.json") for path in folder.glob("*.info.json")}
    assert updated == {f"{number:03}" for number in range(30) if number % 7 != 6}


def test_one_that_cannot_be_updated_is_a_warning_and_the_others_go_on(folder: Path, tmp_path: Path) -> None:
    rows = [f'{{"file_name": "{number}.png"}}' for number in ("003", "004")]
    (folder / "metadata.jsonl").write_text(
        "\n".join(rows)
    )  # where a row speaks for a file, nobody reads .info.json before
    (folder / "003.info.json").mkdir()
    (folder / "004.info.json").write_text("{")
    warnings: list[str] = []
    out = tmp_path / "out.jsonl"
    counts = run_all(folder, out, FakeTagger(), sidecars=True, warn=warnings.append)
    assert [warning.split(" ")[0] for warning in warnings] == [str(folder / f"00{n}.info.json") for n in (3, 4)]
    assert counts.sentence(out) == f"{out}: 26 tagged, 4 could not be read; 2 files beside others not updated"
    assert (folder / "004.info.json").read_text() == "{"
    assert json.loads((folder / "005.info.json").read_text())["optsg_tags"]["run"] == "fake"


def _interrupt(_: int) -> None:
    raise InterruptedError
