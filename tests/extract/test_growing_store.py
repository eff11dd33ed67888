"""The warning where the tokenizer does not know many of the pieces of titles or tags; what interrupted runs left."""

from __future__ import annotations

from pathlib import Path

from optsg.extract.encoders.character_text_encoder import CharacterTextEncoder
from optsg.extract.growing_store import UnknownPieces
from optsg.extract.parts import DoneInputs, PartFolder

from tests.tiny_world import tiny_header, tiny_videos


def counted(titles: list[str], tags: list[str]) -> UnknownPieces:
    """Texts cut by a tokenizer that knows ASCII alone."""
    unknown = UnknownPieces({"name": "bert-base-uncased"})
    tables = unknown.counting(CharacterTextEncoder(32).tables([]))
    assert tables.title_tokens(titles) == CharacterTextEncoder(32).tables([]).title_tokens(titles)
    tables.tag_tokens(tags)
    return unknown


def test_more_than_one_percent_is_a_warning_with_the_shares_and_what_to_do() -> None:
    unknown = counted(["abcdefg你", "", "x" * 30 + "猫狗"], ["猫", "abc"])
    assert unknown.shares() == {"titles": 3 / 40, "tags": 1 / 4}
    assert unknown.warning() == (
        "7.5% of the word pieces of titles and 25.0% of those of tags are unknown to the tokenizer of bert-base-uncased; "
        "they are lost for the model: choose another preset (--preset clip-zh for Chinese) or --text-encoder characters"
    )


def test_one_percent_itself_is_no_warning_and_a_little_more_is() -> None:
    assert counted(["a" * 33] * 9 + ["猫狗你"], ["abc"]).warning() is None  # 3 of 300
    assert counted(["a" * 33] * 8 + ["猫狗你"], ["abc"]).warning() is not None  # 3 of 267
    assert counted(["abc"], ["a"] * 49 + ["猫"]).warning() is not None


def test_nothing_at_all_is_no_share_and_no_warning() -> None:
    unknown = counted([], [])
    assert unknown.shares() == {"titles": 0.0, "tags": 0.0}
    assert unknown.warning() is None


def test_a_run_that_goes_on_keeps_all_parts_and_the_date_of_the_first(tmp_path: Path) -> None:
    """Also where somebody took a damaged part away; files that are newer than the date are looked at again."""
    parts = PartFolder(tmp_path / "feats.h5")
    header = parts.open(tiny_header(), DoneInputs())
    videos = tiny_videos(4)
    for video in videos[:3]:
        with parts.new_part(header) as writer:
            writer.append(video)
    first, *others = parts.complete()
    first.unlink()
    unfinished = parts.path / "part-000003.h5.tmp"
    unfinished.touch()
    done = DoneInputs()
    again = parts.open(tiny_header(created="2026-02-02T00:00:00+00:00"), done)
    assert again.created == header.created
    assert not unfinished.exists()
    assert done.videos == {video.id for video in videos[1:3]}
    with parts.new_part(again) as writer:
        writer.append(videos[3])
    assert [*others, parts.path / "part-000003.h5"] == parts.complete()


def test_failures_of_inputs_that_have_features_by_now_are_not_counted() -> None:
    done = DoneInputs(videos={"a", "b"}, failed={("a", "a.mp4"), ("c", "c.mp4")}, unread={"b", "d"})
    done.settle(retry_failed=False)
    assert len(done) == 4
