"""Chapters of WebVTT beside a video, and what is there of others stays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from optsg.data.errors import InputError
from optsg.data.predicted_tag import PredictedTag
from optsg.evaluate.tag.beside.sidecars import SidecarOptions, writers
from optsg.evaluate.tag.segments import Segment
from optsg.evaluate.tag.tagged_file import TaggedFile


def tagged(folder: Path, name: str = "v.mp4", **segments: list[tuple[float, float]]) -> TaggedFile:
    path = folder / name
    path.touch()
    return TaggedFile(
        path=name,
        tags=[PredictedTag(text=text.replace("_", " "), score=0.5, novel=False) for text in segments],
        segments=[tuple(Segment(start=a, end=b, score=1.0) for a, b in spans) for spans in segments.values()],
        sidecar=path.with_suffix(".info.json"),
    )


def write(one: TaggedFile) -> bool:
    (writer,) = writers(["vtt"], SidecarOptions())
    return writer(one)


def test_a_cue_for_each_span_of_the_same_tags(tmp_path: Path) -> None:
    odd: dict[str, Any] = {"R&D <b> -->": [(2, 4)]}
    one = tagged(tmp_path, cat=[(0, 4), (3700.5, 3701)], **odd, nothing=[])
    assert write(one)
    assert (tmp_path / "v.chapters.vtt").read_text(encoding="utf-8") == (
        "WEBVTT\n\nNOTE Tags by optsg-tag\n"
        "\n00:00:00.000 --> 00:00:02.000\ncat\n"
        "\n00:00:02.000 --> 00:00:04.000\ncat, R&amp;D &lt;b&gt; --&gt;\n"
        "\n01:01:40.500 --> 01:01:41.000\ncat\n"
    )
    assert not write(one)
    assert write(tagged(tmp_path, cat=[(0, 1)]))


def test_times_are_rounded_to_the_nearest_thousandth(tmp_path: Path) -> None:
    assert write(tagged(tmp_path, cat=[(1.0006, 59.9996), (64.001, 65)]))
    times = [line for line in (tmp_path / "v.chapters.vtt").read_text(encoding="utf-8").split("\n") if "-->" in line]
    assert times == ["00:00:01.001 --> 00:01:00.000", "00:01:04.001 --> 00:01:05.000"]


def test_what_another_wrote_stays(tmp_path: Path) -> None:
    there = tmp_path / "v.chapters.vtt"
    there.write_text("WEBVTT\n\n00:00.000 --> 00:01.000\nIntro\n", encoding="utf-8")
    before = there.read_bytes()
    with pytest.raises(InputError) as raised:
        write(tagged(tmp_path, cat=[(0, 1)]))
    assert str(raised.value) == (
        f"{there}: it holds chapters or subtitles that optsg-tag did not write; it was left as it is"
    )
    assert there.read_bytes() == before


def test_pictures_and_files_that_failed_have_none(tmp_path: Path) -> None:
    assert not write(tagged(tmp_path, "p.jpg", cat=[]))
    assert not write(TaggedFile(path="v.mp4", error="v.mp4: it is damaged", sidecar=tmp_path / "v.info.json"))
    assert not list(tmp_path.glob("*.vtt"))
