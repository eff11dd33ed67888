"""The warning where the tokenizer does not know many of the pieces of titles or tags."""

from __future__ import annotations

from optsg.extract.encoders.character_text_encoder import CharacterTextEncoder
from optsg.extract.growing_store import UnknownPieces


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
