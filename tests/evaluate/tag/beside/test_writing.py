"""``optsg-tag --sidecar``, ``--format hf`` and CSV for spreadsheets, as a command writes them and as inputs read them."""

from __future__ import annotations

import codecs
import json
import threading
from pathlib import Path

import pytest
from click.testing import CliRunner
from optsg.data.errors import InputError, RunError
from optsg.data.inputs import open_inputs
from optsg.data.media import MediaItem
from optsg.data.predicted_tag import PredictedTag
from optsg.data.sidecars.files import BACKUP
from optsg.data.sidecars.xmp import merged_xmp, read_xmp
from optsg.data.tag_hierarchy import TagHierarchy
from optsg.evaluate.tag.beside.options import CSV_SEPARATORS, KINDS
from optsg.evaluate.tag.beside.sidecars import SidecarOptions, writers
from optsg.evaluate.tag.cli import main
from optsg.evaluate.tag.evidence import Evidence
from optsg.evaluate.tag.outputs.made_with import MadeWith
from optsg.evaluate.tag.outputs.output import SEPARATORS, open_output
from optsg.evaluate.tag.requests import TagRequests
from optsg.evaluate.tag.tag_files import tag_files
from optsg.evaluate.tag.tagged_file import TaggedFile
from optsg.evaluate.tag.with_parents import with_parents
from optsg.train.writing.tag_control import VideoTags

TAGS = ("animal/cat", "red panda", "Tom & Jerry")
MADE_WITH = MadeWith(run="fake", run_digest="sha256:00")


class OneList:
    """Gives every file the same tags."""

    name, system = "fake", "op-tsg"

    def __init__(self, *texts: str) -> None:
        self.tags = [PredictedTag(text=text, score=0.5, novel=False) for text in texts]

    def tag_many(self, requests, *, wishes=None, stop=None):  # noqa: ARG002
        for request in requests:
            title = request.item.title if isinstance(request.item, MediaItem) else ""
            yield [TaggedFile(path=request.path, title=title, tags=self.tags, sidecar=request.sidecar)]


def tag(folder: Path, out: Path, *texts: str, kinds=(), kind=None, tagger=None, said=None, **options):
    how = {name: options.pop(name) for name in ("csv_separator", "overwrite") if name in options}
    with open_output(out, kind, MADE_WITH, replace=options.get("replace", False), **how) as output:
        return tag_files(
            tagger or OneList(*(texts or TAGS)),
            TagRequests([folder], is_done=output.is_done),
            output,
            wishes=VideoTags(),
            sidecars=False,
            writers=writers(kinds, SidecarOptions(**options)),
            stop=threading.Event(),
            advance=lambda _: None,
            warn=[].append if said is None else said.append,
        )


@pytest.fixture
def media(tmp_path: Path) -> Path:
    made = tmp_path / "in"
    (made / "sub").mkdir(parents=True)
    for name in ("a.mp4", "sub/b.jpg"):
        (made / name).write_bytes(b"read, not decoded")
    return made


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def tags_read(folder: Path, **how) -> dict[str, tuple[str, ...]]:
    return {item.source: item.tags for item in open_inputs(folder, **how) if isinstance(item, MediaItem)}


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "vtt"])  # chapters are for players, and not read
def test_what_is_written_beside_files_is_read_again_and_a_second_time_changes_nothing(media, tmp_path, kind):
    counts = tag(media, tmp_path / "1.jsonl", kinds=[kind])
    assert (counts.tagged, counts.not_updated) == (2, 0)
    read = tags_read(media)
    assert set(read["a.mp4"]) == set(TAGS)
    assert set(read["sub/b.jpg"]) == (set() if kind == "nfo" else set(TAGS)), "Kodi has no .nfo of pictures"
    before = contents(media)
    tag(media, tmp_path / "2.jsonl", kinds=[kind])
    assert contents(media) == before
    assert len(before) == (3 if kind == "nfo" else 4)


def test_all_kinds_at_once_speak_of_the_same_tags(media, tmp_path):
    tag(media, tmp_path / "1.jsonl", kinds=KINDS)
    assert {frozenset(tags) for tags in tags_read(media).values()} == {frozenset(TAGS)}
    assert (media / "sub/b.jpg.xmp").is_file()


def test_what_others_wrote_stays_and_is_kept_before_the_first_change(media, tmp_path):
    (media / "a.txt").write_text("own tag\n", encoding="utf-8")
    (media / "a.txt").chmod(0o640)
    tag(media, tmp_path / "1.jsonl", "new", kinds=["txt"])
    assert (media / "a.txt").read_text(encoding="utf-8") == "own tag, new\n"
    assert (media / f"a.txt{BACKUP}").read_text(encoding="utf-8") == "own tag\n"
    tag(media, tmp_path / "2.jsonl", "other", kinds=["txt"], replace=True, underscores=True)
    assert (media / "a.txt").read_text(encoding="utf-8") == "other\n"
    assert (media / f"a.txt{BACKUP}").read_text(encoding="utf-8") == "own tag\n"


@pytest.mark.parametrize(
    ("kind", "name"), [("txt", "a.TXT"), ("json", "a.JSON"), ("nfo", "a.NFO"), ("xmp", "a.mp4.XMP")]
)
def test_a_file_with_an_upper_case_suffix_gets_the_tags_and_no_second_one_beside_it(media, tmp_path, kind, name):
    tag(media, tmp_path / "1.jsonl", kinds=[kind])
    (media / name.replace(kind.upper(), kind)).rename(media / name)
    tag(media, tmp_path / "2.jsonl", "new", kinds=[kind])
    assert {*TAGS, "new"} == set(tags_read(media)["a.mp4"])
    assert not [path for path in contents(media) if path.startswith("a.") and path.endswith(f".{kind}")]


def test_what_cannot_be_merged_is_left_said_and_counted(media, tmp_path):
    caption = "A cat sits at the window, looking out."
    (media / "a.txt").write_text(caption, encoding="utf-8")
    said: list[str] = []
    counts = tag(media, tmp_path / "1.jsonl", "new", kinds=["txt"], said=said)
    assert (media / "a.txt").read_text(encoding="utf-8") == caption
    assert (counts.tagged, counts.not_updated) == (2, 1)
    assert "a.txt: it holds a sentence and no list of tags; it was left as it is" in said[0]
    assert "1 files beside others not updated" in counts.sentence(Path("1.jsonl"))


def test_a_backup_is_no_file_that_is_skipped(media):
    (media / f"a.txt{BACKUP}").write_text("x", encoding="utf-8")
    assert TagRequests([media]).count() == 2
    said: list[str] = []
    list(TagRequests([media], warn=said.append))
    assert said == []


def test_a_name_that_two_files_share_is_of_neither(media, tmp_path):
    (media / "a.webm").write_bytes(b"another")
    said: list[str] = []
    counts = tag(media, tmp_path / "1.jsonl", kinds=["txt", "xmp"], said=said)
    assert not (media / "a.txt").exists()
    assert (media / "a.mp4.xmp").is_file()
    assert (media / "a.webm.xmp").is_file()
    assert counts.not_updated == 2
    assert "a.txt would be of a.mp4 and a.webm" in said[0]


def test_a_thumbnail_does_not_keep_its_video_from_files_of_that_name(media, tmp_path):
    (media / "a.JPG").write_bytes(b"the picture of a.mp4")
    (media / "a.webp").write_bytes(b"another one")
    kinds = ["txt", "json", "nfo", "vtt"]
    assert tag(media, tmp_path / "1.jsonl", kinds=kinds).not_updated == 0
    assert all((media / f"a{suffix}").is_file() for suffix in (".txt", ".json", ".nfo", ".chapters.vtt"))
    items = {item.source: item for item in open_inputs(media) if isinstance(item, MediaItem)}
    assert set(TAGS) <= set(items["a.mp4"].tags)
    (write,) = writers(["txt"], SidecarOptions())
    thumbnail = TaggedFile(path="a.JPG", tags=OneList("other").tags, sidecar=media / "a.info.json")
    with pytest.raises(InputError, match=r"a\.txt would be of a\.JPG and "):
        write(thumbnail)


def test_no_xmp_or_nfo_is_made_to_say_nothing(media, tmp_path):
    kinds = ["xmp", "nfo"]
    before = sorted(media.iterdir())
    tag(media, tmp_path / "1.jsonl", kinds=kinds, tagger=OneList())
    assert sorted(media.iterdir()) == before
    tag(media, tmp_path / "2.jsonl", "cat", kinds=kinds)
    tag(media, tmp_path / "3.jsonl", kinds=kinds, tagger=OneList(), replace=True)
    assert "tags" not in read_xmp((media / "a.mp4.xmp").read_bytes())
    assert b"<tag>" not in (media / "a.nfo").read_bytes()


def test_an_xmp_that_two_files_share_gets_the_tags_of_neither(media, tmp_path):
    shared = media / "a.xmp"
    shared.write_bytes(merged_xmp(None, ["there before"]))
    before = shared.read_bytes()
    (media / "a.webm").write_bytes(b"another")
    assert tag(media, tmp_path / "1.jsonl", "new", kinds=["xmp"]).not_updated == 0
    assert shared.read_bytes() == before
    assert (media / "a.mp4.xmp").is_file()
    assert (media / "a.webm.xmp").is_file()
    for name in ("a.webm", "a.webm.xmp", "a.mp4.xmp"):
        (media / name).unlink()
    tag(media, tmp_path / "2.jsonl", "new", kinds=["xmp"])
    assert read_xmp(shared.read_bytes())["tags"] == ["there before", "new"]
    assert not (media / "a.mp4.xmp").exists()


def test_a_file_that_could_not_be_tagged_gets_nothing(tmp_path):
    (write,) = writers(["txt"], SidecarOptions())
    failed = TaggedFile(path="a.mp4", error="it is bad", sidecar=tmp_path / "a.info.json")
    assert not write(failed)
    assert not write(TaggedFile(path="shard.tar/a.mp4", tags=OneList("x").tags))
    assert list(tmp_path.iterdir()) == []


# --- metadata.jsonl


def test_metadata_of_hugging_face_is_merged_and_read_again(media):
    out = media / "metadata.jsonl"
    out.write_text('{"file_name":"a.mp4",  "text": "own", "tags": ["mine"]}\n', encoding="utf-8")
    tag(media, out, "new", kind="hf")
    assert tags_read(media) == {"a.mp4": ("mine", "new"), "sub/b.jpg": ("new",)}
    rows = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert rows[0] == {"file_name": "a.mp4", "text": "own", "tags": ["mine", "new"]}
    assert rows[1] == {"file_name": "sub/b.jpg", "tags": ["new"], "scores": [0.5]}
    before = contents(media)
    assert f"metadata.jsonl{BACKUP}" in before
    assert not any("unfinished" in name for name in before)
    tag(media, out, "new", kind="hf")
    assert contents(media) == before
    tag(media, out, "other", kind="hf", replace=True)
    assert tags_read(media) == {"a.mp4": ("other",), "sub/b.jpg": ("other",)}


def test_a_table_that_lies_elsewhere_is_refused_before_anything_is_tagged(media, tmp_path):
    (tmp_path / "other").mkdir()

    class Unasked(OneList):
        def tag_many(self, requests, **_):
            for request in requests:
                raise AssertionError(f"{request.path} was about to be tagged")
            yield []

    with pytest.raises(RunError, match="lies outside of"):
        tag(media, tmp_path / "other/metadata.jsonl", kind="hf", tagger=Unasked())


def test_a_table_that_nobody_can_read_is_refused_before_anything_is_tagged(media):
    out = media / "metadata.jsonl"
    out.write_text('{"file_name": "a.mp4"}\n{"file_name": \n', encoding="utf-8")
    before = contents(media)
    with pytest.raises(RunError) as refused:
        tag(media, out, kind="hf")
    assert str(refused.value).startswith(f"{out}: line 2 is not JSON (")
    assert str(refused.value).endswith("; it was left as it is")
    assert contents(media) == before


# --- CSV for spreadsheets


@pytest.mark.parametrize("separator", CSV_SEPARATORS)
def test_a_spreadsheet_opens_the_table_and_so_do_inputs(media, tmp_path, separator, monkeypatch):
    monkeypatch.chdir(tmp_path)
    out = tmp_path / "tags.csv"
    tag(Path("in"), out, csv_separator=separator)
    data = out.read_bytes()
    assert data.startswith(codecs.BOM_UTF8 + b"path" + SEPARATORS[separator].encode() + b"title")
    assert tags_read(media, metadata=out) == {"a.mp4": TAGS, "sub/b.jpg": TAGS}
    (media / "c.mp4").write_bytes(b"new")
    counts = tag(Path("in"), out)
    assert (counts.tagged, counts.skipped) == (1, 2), "the table is gone on with in its own form"
    assert out.read_bytes().startswith(data)
    assert len(tags_read(media, metadata=out)) == 3


def test_without_a_separator_the_table_is_as_ever(media, tmp_path):
    tag(media, tmp_path / "tags.csv")
    assert (tmp_path / "tags.csv").read_bytes().startswith(b"path,title,")


# --- parents


CAT, LAKE = (Evidence(frames=((0.0, 1.0),), words=((word, 1.0),)) for word in ("cat", "lake"))


def test_parents_are_given_with_their_childrens_scores_less_what_is_blocked():
    tags = [PredictedTag(text=text, score=0.5, novel=False) for text in ("animal/cat", "place/lake")]
    tagged, slash = TaggedFile(path="a.mp4", tags=tags, evidence=[CAT, LAKE]), TagHierarchy(separator="/")
    found = with_parents(tagged, slash, VideoTags(), ["place"])
    assert [one.text for one in found.tags] == ["animal", "animal/cat", "place/lake"]
    assert list(found.evidence) == [None, CAT, LAKE]
    found = with_parents(tagged, slash, VideoTags(forbidden=("Animal",)))
    assert [one.text for one in found.tags] == ["place", "animal/cat", "place/lake"]
    assert with_parents(tagged, TagHierarchy(), VideoTags()) is tagged


# --- the command line


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--replace",), "--replace is of --sidecar"),
        (("--underscores",), "--underscores is of --sidecar txt"),
        (("--sidecar", "doc"), "'doc' is not one of"),
        (("--csv-separator", "tab", "--out", "x.jsonl"), "--csv-separator is of CSV"),
    ],
)
def test_options_about_nothing_are_refused(media, tmp_path, monkeypatch, options, said):
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, [str(media), "--untrained", *options])
    assert result.exit_code in (1, 2)
    assert said in result.stderr


def test_names_of_separators_are_those_of_the_output():
    assert tuple(SEPARATORS) == CSV_SEPARATORS


def test_a_damaged_file_beside_fails_its_own_file_alone(media):
    (media / "a.nfo").write_text("<movie>", encoding="utf-8")
    found = list(open_inputs(media))
    assert [type(one).__name__ for one in found] == ["Failure", "MediaItem"]
    assert "a.nfo: it is not XML" in found[0].error  # type: ignore[union-attr]
    with pytest.raises(InputError):
        writers(["nfo"], SidecarOptions())[0](TaggedFile(path="a.mp4", sidecar=media / "a.info.json"))
