from __future__ import annotations

import tarfile
from pathlib import Path

from optsg.data.inputs.source_files import MediaBytes, SourceFinder


def test_a_file_below_the_first_folder_that_has_it(tmp_path: Path):
    for folder, content in (("one", b"1"), ("two", b"22")):
        (tmp_path / folder / "trips").mkdir(parents=True)
        (tmp_path / folder / "trips" / "lake.webm").write_bytes(content)
    (tmp_path / "two" / "only.mp4").write_bytes(b"333")
    finder = SourceFinder([tmp_path / "one", tmp_path / "two"])

    assert finder.find("trips/lake.webm") == MediaBytes(
        path=tmp_path / "one" / "trips" / "lake.webm", offset=0, size=1, type="video/webm"
    )
    found = finder.find("only.mp4")
    assert found is not None
    assert (found.size, found.type) == (3, "video/mp4")
    assert finder.find("gone.mp4") is None


def test_a_member_of_a_shard(sample_dir: Path):
    found = SourceFinder([sample_dir]).find("test.tar/002a-20e3.mp4")

    assert found is not None
    with found.path.open("rb") as file, tarfile.open(found.path) as tar:
        file.seek(found.offset)
        member = tar.extractfile("002a-20e3.mp4")
        assert member is not None
        assert file.read(found.size) == member.read()
    assert SourceFinder([sample_dir]).find("test.tar/gone.mp4") is None


def test_a_source_that_leads_out_or_is_no_picture_is_not_found(tmp_path: Path):
    (tmp_path / "secret.mp4").write_bytes(b"x")
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "notes.txt").write_bytes(b"x")
    (tmp_path / "videos" / "bad.tar").write_bytes(b"no shard")
    finder = SourceFinder([tmp_path / "videos"])

    for source in (
        "../secret.mp4",
        str(tmp_path / "secret.mp4"),
        "a/../../secret.mp4",
        "notes.txt",
        "bad.tar/a.mp4",
        "",
        "a\0.mp4",
    ):
        assert finder.find(source) is None
