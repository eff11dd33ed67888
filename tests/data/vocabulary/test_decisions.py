"""What a person accepted: read from a CSV whatever a spreadsheet made of it, and refused with its line where it makes no sense."""

from __future__ import annotations

from pathlib import Path

import pytest
from optsg.data.errors import ConfigError, InputError
from optsg.data.tag_list import parse_tag_list
from optsg.data.vocabulary.as_tag_list import vocabulary_lines
from optsg.data.vocabulary.decisions import Decisions, read_decisions
from optsg.data.vocabulary.proposal import Proposal, csv_line, csv_lines

HEADING = "kind,tag,into,accept\n"


def read(tmp_path: Path, text: str) -> Decisions:
    path = tmp_path / "accepted.csv"
    path.write_text(text, encoding="utf-8")
    return read_decisions(path)


def test_only_accepted_rows_count(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        f"{HEADING}spelling,cta,Cat,yes\nalias,Hund,dog,no\nalias,feline,cat,\none-off,misc,,Yes\nparent,cat,animal,YES\n",
    )
    assert found == Decisions(merged={"cta": "Cat"}, removed=frozenset({"misc"}), parents={"cat": "animal"})
    assert found.in_words() == "merged 1, taken away 1, put under others 1"


def test_a_spreadsheet_may_have_saved_it(tmp_path: Path) -> None:
    text = "\ufeffTag;Kind;note;Into;accept\r\n'=sum;spelling;x;'+sum;yes\r\n;;;;\r\n"
    assert read(tmp_path, text) == Decisions(merged={"=sum": "+sum"})


def test_names_are_followed_to_the_last_one(tmp_path: Path) -> None:
    rows = "spelling,kitti,kitty,yes\nalias,kitty,cat,yes\nparent,kitty,pet,yes\nalias,pet,house pet,yes\n"
    found = read(tmp_path, HEADING + rows)
    assert found.merged == {"kitti": "cat", "kitty": "cat", "pet": "house pet"}
    assert found.parents == {"cat": "house pet"}
    assert found.tags(["kitti", "lake", "Kitty", "pet"]) == ("cat", "house pet", "lake")


def test_a_tag_that_is_merged_into_its_parent_has_none(tmp_path: Path) -> None:
    assert read(tmp_path, f"{HEADING}parent,cat,animal,yes\nalias,cat,animal,yes\n") == Decisions(
        merged={"cat": "animal"}
    )


@pytest.mark.parametrize(
    ("rows", "error"),
    [
        (
            'alias,a,b,yes\nalias,"c,d,yes\nalias,e,f,yes\n',
            "row that begins on line 3: not CSV (unexpected end of data)",
        ),
        ("alias,a,b,yes,c\n", "line 2: 5 cells under 4 headings; a text with ',' needs double quotes around it"),
        ("alias,cat,dog,maybe\n", "line 2: accept is 'maybe'; expected yes, no or nothing"),
        ("synonym,cat,dog,yes\n", "line 2: the kind is 'synonym'; expected spelling, alias, parent, one-off"),
        ("alias,,dog,yes\n", "line 2: there is no tag in it"),
        ("alias,cat,,yes\n", "line 2: “cat” has nothing in the column into; say which tag it belongs to"),
        ("alias,Cat,cat ,yes\n", "line 2: “Cat” and “cat” are one tag already"),
        ("alias,a,b,yes\n\nalias,a,c,yes\n", "line 4: “a” is “c” here and “b” in line 2; keep one of them"),
        ("one-off,a,,yes\nalias,b,a,yes\n", "line 3: “a” is used here and taken away in line 2; keep one of them"),
        (
            "alias,kitty,cat,yes\nparent,kitty,pet,yes\nparent,cat,animal,yes\n",
            "line 4: once names are merged, “cat” is under “animal” here and under “pet” in line 3; keep one of them",
        ),
        (
            "alias,a,b,yes\nalias,b,c,yes\nalias,c,a,yes\n",
            "line 4: “a” comes back to itself by way of other lines; refuse one of them",
        ),
        (
            "parent,a,b,yes\nparent,c,a,yes\nalias,b,c,yes\n",
            "line 3: “a” comes back to itself by way of other lines; refuse one of them",
        ),
    ],
)
def test_what_makes_no_sense_is_refused_with_its_line(tmp_path: Path, rows: str, error: str) -> None:
    with pytest.raises(InputError) as raised:
        read(tmp_path, HEADING + rows)
    assert str(raised.value) == f"{tmp_path / 'accepted.csv'}, {error}"


def test_files_that_are_no_such_table(tmp_path: Path) -> None:
    path = tmp_path / "accepted.csv"
    with pytest.raises(InputError, match=r"accepted.csv cannot be read: No such file or directory$"):
        read_decisions(path)
    with pytest.raises(
        InputError, match=r"line 1: there is no column 'accept'; expected the headings kind, tag, into, accept$"
    ):
        read(tmp_path, "kind,tag,into\n")
    with pytest.raises(InputError, match=r"line 1: 2 columns are called 'accept'; keep one of them$"):
        read(tmp_path, "kind,tag,into,accept,Accept\nalias,a,b,yes,no\n")
    path.write_bytes(b"kind,tag,into,accept\nalias,\xff,b,yes\n")
    with pytest.raises(InputError, match=r"accepted.csv cannot be read: it is not UTF-8 text$"):
        read_decisions(path)


ODD = ('a, "b"', "=1+1", "'quoted", "ünï ✓", "!wow", "a -> b", "x/y", "<b>&")


def test_every_tag_comes_back_from_its_row(tmp_path: Path) -> None:
    proposals = [
        Proposal(kind="alias", tag=tag, into=f"{tag} s", score=0.5, evidence="=x", count_tag=1, count_into=2)
        for tag in ODD
    ]
    heading, *lines = csv_lines(proposals)
    assert heading == "kind,tag,into,score,evidence,count_tag,count_into,accept\n"
    assert lines[1] == "alias,'=1+1,'=1+1 s,0.500,'=x,1,2,\n"
    accepted = [csv_line((*proposal.cells(), "yes")) for proposal in proposals]
    assert read(tmp_path, heading + "".join(accepted)) == Decisions(merged={tag: f"{tag} s" for tag in ODD})


def test_a_vocabulary_reads_as_the_list_that_it_is() -> None:
    decisions = Decisions(
        merged={"kitty, k": "Cat", "cta": "Cat"},
        removed=frozenset({"misc"}),
        parents={"cat": "animal", "animal": "nature"},
    )
    lines = list(vocabulary_lines(["Cat", "kitty, k", "misc", "!wow", "cta", "Lake"], decisions))
    assert lines == [
        *("nature/animal/Cat", "nature/animal", "nature", "\\!wow", "Lake"),
        *("Cat -> nature/animal/Cat", "animal -> nature/animal"),
        *('"kitty, k" -> nature/animal/Cat', "cta -> nature/animal/Cat"),
        "!misc",
    ]
    found = parse_tag_list(lines, "made")
    assert found.closed
    assert found.resolve("CTA") == found.resolve("kitty, k") == found.resolve("cat") == "nature/animal/Cat"
    assert (found.resolve("!wow"), found.resolve("misc"), found.resolve("owl")) == ("!wow", None, None)


def test_paths_keep_their_parents_and_other_marks_are_taken_where_tags_have_the_first() -> None:
    lines = list(vocabulary_lines(["animal/cat", "animal"], Decisions(parents={"animal/cat": "animal"})))
    assert lines == ["animal/cat", "animal"]
    lines = list(vocabulary_lines(["AC/DC", "band"], Decisions(parents={"ac/dc": "band"})))
    assert lines == ["band|AC/DC", "band", "AC/DC -> band|AC/DC"]


def test_an_alias_of_a_tag_with_an_arrow_cannot_be_written() -> None:
    with pytest.raises(ConfigError) as raised:
        list(vocabulary_lines(["a -> b", "x"], Decisions(merged={"x": "a -> b"})))
    assert str(raised.value) == "“x” cannot become an alias of “a -> b”: a list of tags has no way to write -> there"
