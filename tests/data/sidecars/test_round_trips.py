"""Every kind of file beside a video: read, written, written again without a change, and what others wrote stays."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from optsg.data.errors import InputError
from optsg.data.sidecars.files import BACKUP, read_beside, update_file
from optsg.data.sidecars.json_file import merged_json_tags, merged_metadata, read_json_tags
from optsg.data.sidecars.nfo import merged_nfo, read_nfo
from optsg.data.sidecars.text import merged_text_tags, read_text_tags
from optsg.data.sidecars.xmp import merged_xmp, read_xmp

TAGS = ["red panda", "Tom & Jerry", "a <b>", "猫", "zoo"]

EXIFTOOL = """<?xpacket begin='\ufeff' id='W5M0MpCehiHzreSzNTczkc9d'?>
<x:xmpmeta xmlns:x='adobe:ns:meta/' x:xmptk='Image::ExifTool 12.57'>
<rdf:RDF xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#'>

 <rdf:Description rdf:about=''
  xmlns:dc='http://purl.org/dc/elements/1.1/'>
  <dc:subject>
   <rdf:Bag>
    <rdf:li>animal</rdf:li>
    <rdf:li>cat</rdf:li>
   </rdf:Bag>
  </dc:subject>
  <dc:title>
   <rdf:Alt>
    <rdf:li xml:lang='x-default'>Our cat</rdf:li>
   </rdf:Alt>
  </dc:title>
 </rdf:Description>

 <rdf:Description rdf:about=''
  xmlns:lr='http://ns.adobe.com/lightroom/1.0/'>
  <lr:hierarchicalSubject>
   <rdf:Bag>
    <rdf:li>animal|cat</rdf:li>
   </rdf:Bag>
  </lr:hierarchicalSubject>
 </rdf:Description>
</rdf:RDF>
</x:xmpmeta>
<?xpacket end='w'?>"""

DIGIKAM = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="XMP Core 4.4.0-Exiv2">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about=""
    xmlns:digiKam="http://www.digikam.org/ns/1.0/"
    xmlns:xmp="http://ns.adobe.com/xap/1.0/"
    xmlns:dc="http://purl.org/dc/elements/1.1/"
   digiKam:ColorLabel="3"
   xmp:Rating="4">
   <!-- kept -->
   <digiKam:TagsList>
    <rdf:Seq>
     <rdf:li>holiday/beach</rdf:li>
    </rdf:Seq>
   </digiKam:TagsList>
   <dc:subject>
    <rdf:Bag>
     <rdf:li>beach</rdf:li>
    </rdf:Bag>
   </dc:subject>
  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>
<?xpacket end="w"?>
"""

DARKTABLE = """<?xml version="1.0" encoding="UTF-8"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="XMP Core 4.4.0-Exiv2">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about="" xmlns:darktable="http://darktable.sf.net/" darktable:xmp_version="5"/>
 </rdf:RDF>
</x:xmpmeta>
"""

KODI = """<?xml version="1.0" encoding="UTF-8" standalone="yes"?>
<!-- made by a scraper -->
<episodedetails>
    <title>Our cat &amp; the window</title>
    <genre>Family</genre>
    <tag>cat</tag>
    <actor>
        <name>Anna</name>
        <tag>not a tag of the video</tag>
    </actor>
</episodedetails>
https://www.example.org/a-link-that-Kodi-allows
"""

WRITERS: dict[str, tuple[Callable[..., bytes], Callable[..., Mapping[str, Any]]]] = {
    "txt": (merged_text_tags, read_text_tags),
    "xmp": (merged_xmp, read_xmp),
    "nfo": (merged_nfo, read_nfo),
    "json": (merged_json_tags, read_json_tags),
}
every_kind = pytest.mark.parametrize("kind", WRITERS)


@every_kind
def test_a_new_file_gives_its_tags_back_and_a_second_write_changes_no_byte(kind):
    write, read = WRITERS[kind]
    made = write(None, TAGS)
    assert read(made)["tags"] == TAGS
    assert write(made, TAGS) == made
    assert write(made, [tag.upper() for tag in TAGS[::-1]]) == made, "another case, another order: the same tags"


@every_kind
def test_new_tags_come_behind_those_that_are_there_unless_they_are_replaced(kind):
    write, read = WRITERS[kind]
    first = write(None, ["cat", "lake"])
    both = write(first, ["Lake", "dog"])
    assert read(both)["tags"] == ["cat", "lake", "dog"]
    replaced = write(both, ["dog"], replace=True)
    assert read(replaced)["tags"] == ["dog"]
    assert write(replaced, ["dog"], replace=True) == replaced


# --- NAME.txt


def test_text_keeps_its_line_end_and_its_spelling():
    assert merged_text_tags(b"1girl, long hair,\r\n", ["smile"]) == b"1girl, long hair, smile\r\n"
    assert merged_text_tags(b"cat", ["dog"]) == b"cat, dog"


def test_underscores_are_spaces_where_the_file_writes_so():
    danbooru = b"1girl, long_hair, ^_^, red_panda\n"
    assert read_text_tags(danbooru) == {"tags": ["1girl", "long hair", "^_^", "red panda"]}
    assert merged_text_tags(danbooru, ["blue sky", "long hair"]) == b"1girl, long_hair, ^_^, red_panda, blue_sky\n"
    made = merged_text_tags(None, ["red panda"], underscores=True)
    assert made == b"red_panda\n"
    assert read_text_tags(made) == {"tags": ["red panda"]}
    assert read_text_tags(b"snake_case, red panda") == {"tags": ["snake_case", "red panda"]}


@pytest.mark.parametrize("caption", ["A cat sits at the window, looking out.", "a photo of two cats on a red sofa"])
def test_a_caption_is_a_title_and_no_tag_spoils_it(caption):
    assert read_text_tags(caption.encode()) == {"title": caption}
    with pytest.raises(InputError, match="holds a sentence"):
        merged_text_tags(caption.encode(), ["cat"])
    assert merged_text_tags(caption.encode(), ["cat"], replace=True).strip() == b"cat"


def test_an_empty_text_is_filled_and_commas_within_tags_do_not_cut_them():
    assert read_text_tags(b" \n") == {}
    assert merged_text_tags(b"", ["cat"]) == b"cat\n"
    assert merged_text_tags(None, ["New York, NY"]) == b"New York NY\n"
    latin = "Müller, Äpfel".encode("latin-1")
    assert read_text_tags(latin) == {}
    with pytest.raises(InputError, match="not UTF-8"):
        merged_text_tags(latin, ["cat"])


# --- XMP


@pytest.mark.parametrize(
    "tags", [["red, white", "dog"], ["红，白", "赤、白"], ["St. Bernard", "dog"], ["one two three four five six"]]
)
@pytest.mark.parametrize("underscores", [False, True])
def test_a_second_write_of_any_tags_changes_no_byte(tags, underscores):
    written = merged_text_tags(None, tags, underscores=underscores)
    assert merged_text_tags(written, tags, underscores=underscores) == written


@pytest.mark.parametrize("encoding", ["ISO-8859-1", "windows-1252", "us-ascii"])
def test_tags_are_read_again_from_a_document_in_another_encoding(encoding):
    head = f'<?xml version="1.0" encoding="{encoding}"?>\n'
    tags = ["Käse", "猫", "a & b"]
    for kind, text in (("nfo", "<movie>\n</movie>"), ("xmp", DARKTABLE.partition("\n")[2])):
        merge, read = WRITERS[kind]
        written = merge(f"{head}{text}".encode(), tags)
        assert written.isascii()
        assert read(written)["tags"] == tags
        assert merge(written, tags) == written


def test_exiftool_paths_and_flat_tags_are_one_tag_each():
    assert read_xmp(EXIFTOOL.encode()) == {"tags": ["animal/cat"], "title": "Our cat"}
    path = "<rdf:li>animal|cat</rdf:li>"  # Lightroom also writes the parents by themselves
    with_parent = EXIFTOOL.replace(path, f"<rdf:li>Animal</rdf:li>{path}").encode()
    assert read_xmp(with_parent) == {"tags": ["animal/cat"], "title": "Our cat"}


def test_what_exiftool_wrote_stays_around_new_tags():
    made = merged_xmp(EXIFTOOL.encode(), ["Animal/Cat", "animal/dog", "lake"], separator="/").decode()
    expected = EXIFTOOL.replace(
        "    <rdf:li>cat</rdf:li>\n",
        "    <rdf:li>cat</rdf:li>\n    <rdf:li>dog</rdf:li>\n    <rdf:li>lake</rdf:li>\n",
    ).replace("    <rdf:li>animal|cat</rdf:li>\n", "    <rdf:li>animal|cat</rdf:li>\n    <rdf:li>animal|dog</rdf:li>\n")
    assert made == expected
    assert read_xmp(made.encode())["tags"] == ["animal/cat", "animal/dog", "lake"]
    assert merged_xmp(made.encode(), ["lake", "animal/dog"], separator="/").decode() == made


def test_what_digikam_wrote_stays_and_paths_are_added_with_their_namespace():
    made = merged_xmp(DIGIKAM.encode(), ["holiday|beach", "sun"], separator="|").decode()
    assert 'digiKam:ColorLabel="3"' in made
    assert "<!-- kept -->" in made
    assert "<rdf:li>holiday/beach</rdf:li>" in made
    assert read_xmp(made.encode())["tags"] == ["holiday/beach", "sun"]
    assert 'xmlns:lr="http://ns.adobe.com/lightroom/1.0/"' in made
    assert merged_xmp(made.encode(), ["sun"]).decode() == made
    before, _, after = DIGIKAM.partition("   <dc:subject>")
    assert made.startswith(before)
    assert made.endswith(after.partition("</dc:subject>\n")[2])


def test_an_empty_description_is_opened():
    made = merged_xmp(DARKTABLE.encode(), ["cat"]).decode()
    assert 'darktable:xmp_version="5">' in made
    assert made.count("rdf:Description") == 2
    assert read_xmp(made.encode()) == {"tags": ["cat"]}


def test_a_document_in_one_line_stays_one():
    line = "".join(
        part.strip() + (" " if part.endswith("=''") else "")
        for part in EXIFTOOL.replace("\n  xmlns", " xmlns").split("\n")
    )
    made = merged_xmp(line.encode(), ["dog"]).decode()
    assert "\n" not in made
    assert read_xmp(made.encode())["tags"] == ["animal/cat", "dog"]


def test_a_document_without_a_place_for_tags_is_left():
    with pytest.raises(InputError, match="no rdf:Description"):
        merged_xmp(b"<x/>", ["cat"])


def test_tags_of_a_region_are_none_of_the_picture():
    bag = "<dc:subject><rdf:Bag><rdf:li>a face</rdf:li></rdf:Bag></dc:subject>"
    region = f"<dc:relation><rdf:Bag><rdf:li><rdf:Description>{bag}</rdf:Description></rdf:li></rdf:Bag></dc:relation>"
    old = DIGIKAM.replace("<!-- kept -->", region)
    assert read_xmp(old.encode("utf-8"))["tags"] == ["beach"]
    written = merged_xmp(old.encode("utf-8"), ["a face", "cat"])
    assert read_xmp(written)["tags"] == ["beach", "a face", "cat"]
    assert region in written.decode("utf-8")
    alone = merged_xmp(old.replace("<rdf:li>beach</rdf:li>", "").encode("utf-8"), ["a face"])
    assert read_xmp(alone)["tags"] == ["a face"]


def test_what_is_said_of_a_tag_is_not_lost():
    said = '<rdf:li rdf:parseType="Resource"><rdf:value>beach</rdf:value><dc:source>me</dc:source></rdf:li>'
    old = DIGIKAM.replace("<rdf:li>beach</rdf:li>", said).encode("utf-8")
    assert read_xmp(old)["tags"] == ["beach"]
    assert merged_xmp(old, ["beach"]) == old
    with pytest.raises(InputError, match=r"^its subject says more of its tags than their names$"):
        merged_xmp(old, ["cat"])


def test_one_tag_in_an_attribute_is_read_and_left():
    attribute = DARKTABLE.replace(
        "xmlns:darktable", 'xmlns:dc="http://purl.org/dc/elements/1.1/" dc:subject="cat" xmlns:darktable'
    )
    assert read_xmp(attribute.encode()) == {"tags": ["cat"]}
    assert merged_xmp(attribute.encode(), ["cat"]) == attribute.encode()
    with pytest.raises(InputError, match="attribute"):
        merged_xmp(attribute.encode(), ["dog"])


BOMB = '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]><x>&b;</x>'
OUTSIDE = '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><movie><tag>&a;</tag></movie>'


@pytest.mark.parametrize(
    "text", [BOMB, OUTSIDE, "<x", "<x></y>", "<x>\ud800</x>", "", "<a>" * 50_000, "<a>" * 999 + "</a>" * 999]
)
@pytest.mark.parametrize("kind", ["xmp", "nfo"])
def test_xml_that_is_none_or_would_do_harm_is_refused(kind, text):
    write, read = WRITERS[kind]
    data = text.encode("utf-8", "surrogatepass")
    with pytest.raises(InputError):
        write(data, ["cat"])
    if data:
        with pytest.raises(InputError):
            read(data)


# --- .nfo


def test_kodi_keeps_everything_around_its_tags():
    assert read_nfo(KODI.encode()) == {"tags": ["cat"], "title": "Our cat & the window"}
    made = merged_nfo(KODI.encode(), ["Cat", "dog"]).decode()
    assert made == KODI.replace("    <tag>cat</tag>\n", "    <tag>cat</tag>\n    <tag>dog</tag>\n")
    without = KODI.replace("    <tag>cat</tag>\n", "")
    assert merged_nfo(without.encode(), ["dog"]).decode() == without.replace(
        "</actor>\n", "</actor>\n    <tag>dog</tag>\n"
    )


def test_tags_in_several_places_become_one_list():
    apart = KODI.replace("    <actor>", "    <year>2020</year>\n    <tag>dog</tag>\n    <actor>")
    made = merged_nfo(apart.encode(), ["owl"])
    assert read_nfo(made)["tags"] == ["cat", "dog", "owl"]
    assert b"<year>2020</year>" in made


def test_a_new_nfo_names_its_title_and_a_link_alone_has_no_tags():
    assert read_nfo(merged_nfo(None, ["cat"], title="A & B")) == {"tags": ["cat"], "title": "A & B"}
    assert read_nfo(b"https://www.example.org/title/1\n") == {}
    assert read_nfo("https://www.example.org/title/1\n".encode("utf-16")) == {}


@pytest.mark.parametrize("coding", ["utf-16-le", "utf-16-be"])
def test_an_nfo_in_utf_16_is_refused_and_not_taken_for_a_link(coding):
    with pytest.raises(InputError, match="it is not UTF-8"):
        read_nfo(("\ufeff" + KODI).encode(coding))


# --- JSON


@pytest.mark.parametrize("form", [{"indent": 4}, {}, {"indent": 2, "ensure_ascii": False}])
def test_json_keeps_its_form_keys_and_order(form):
    values = {"caption": "our cät", "url": "https://www.example.org/1.jpg", "key": "0001", "width": 3}
    made = merged_json_tags(json.dumps(values, **form).encode(), ["cat"])
    assert made == json.dumps({**values, "tags": ["cat"]}, **form).encode()
    assert read_json_tags(made) == {"tags": ["cat"], "title": "our cät"}


def test_json_that_is_something_else_is_refused():
    for text in ("[1]", "{", '{"tags": "cat"}', '{"tags": [1]}'):
        with pytest.raises(InputError):
            merged_json_tags(text.encode(), ["cat"])


def test_metadata_of_hugging_face_keeps_rows_columns_and_lines():
    lines = [
        '{"file_name":"a.jpg", "text": "own",   "tags": ["cat"]}',
        "",
        '{"file_name": "b.jpg", "n": 1}',
        '{"file_name": "c.jpg"}',
    ]
    old = "\n".join(lines).encode()
    rows = [
        {"file_name": "a.jpg", "tags": ["CAT"]},
        {"file_name": "b.jpg", "tags": ["dog"]},
        {"file_name": "d.jpg", "title": "D", "tags": ["é"]},
    ]
    made = merged_metadata(old, rows).decode().splitlines()
    assert made[0] == lines[0]
    assert made[1] == ""
    assert json.loads(made[2]) == {"file_name": "b.jpg", "n": 1, "tags": ["dog"]}
    assert made[3] == lines[3]
    assert json.loads(made[4]) == {"file_name": "d.jpg", "title": "D", "tags": ["é"]}
    again = "".join(f"{line}\n" for line in made).encode()
    assert merged_metadata(again, rows) == again
    with pytest.raises(InputError, match="line 2"):
        merged_metadata(b'{"file_name": "a"}\n[1]\n', rows)


# --- files


def test_metadata_of_hugging_face_knows_a_file_by_any_name_and_keeps_odd_texts():
    rows = [{"file_name": "b/a.jpg", "title": "one\u2028two\x85three", "tags": ["new"]}]
    made = merged_metadata(None, rows)
    assert merged_metadata(made, rows) == made
    old = '{"file_name": "./b//a.jpg", "title": "x\u2028y", "tags": ["old"]}\r\n\n{"tags": []}'
    lines = merged_metadata(old.encode("utf-8"), rows).decode("utf-8").split("\n")
    assert json.loads(lines[0]) == {"file_name": "./b//a.jpg", "title": "x\u2028y", "tags": ["old", "new"]}
    assert lines[1:] == ["", '{"tags": []}', ""]


def test_every_row_of_a_file_gets_its_tags():
    old = b'{"file_name": "a.png", "text": "one"}\n{"file_name": "./a.png", "text": "two"}\n'
    made = merged_metadata(old, [{"file_name": "a.png", "tags": ["cat"]}])
    assert [json.loads(line)["tags"] for line in made.splitlines()] == [["cat"], ["cat"]]
    assert merged_metadata(made, [{"file_name": "a.png", "tags": ["cat"]}]) == made


def test_only_line_feeds_end_a_row_of_metadata():
    rows: list[dict[str, Any]] = [
        {"file_name": "a.png", "title": "two\u2028lines\x85"},
        {"file_name": "b.png", "tags": ["x"]},
    ]
    old = "\r\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    made = merged_metadata(old.encode(), [{"file_name": "a.png", "tags": ["cat"]}]).decode()
    assert [json.loads(line) for line in made.split("\n") if line] == [{**rows[0], "tags": ["cat"]}, rows[1]]
    assert merged_metadata(made.encode(), []).decode() == made
    assert merged_metadata(f"{old}\r\n".encode(), []).decode() == old.replace("\r", "") + "\n"
    assert merged_metadata(b"", []) == b""


def test_a_file_is_kept_before_its_first_change_and_not_touched_without_one(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"cat\n")
    path.chmod(0o640)

    def add(*tags):
        return update_file(path, lambda old: merged_text_tags(old, tags))

    assert add("dog")
    assert add("owl")
    assert path.read_bytes() == b"cat, dog, owl\n"
    assert (tmp_path / f"a.txt{BACKUP}").read_bytes() == b"cat\n"
    assert path.stat().st_mode & 0o777 == 0o640
    before = path.stat()
    assert not add("cat")
    assert path.stat().st_mtime_ns == before.st_mtime_ns
    assert sorted(one.name for one in tmp_path.iterdir()) == ["a.txt", f"a.txt{BACKUP}"]


def test_a_new_file_needs_no_backup_and_a_link_stays_one(tmp_path):
    (tmp_path / "real").mkdir()
    link = tmp_path / "b.txt"
    (tmp_path / "real/b.txt").write_bytes(b"cat\n")
    link.symlink_to(tmp_path / "real/b.txt")
    assert update_file(link, lambda old: merged_text_tags(old, ["dog"]))
    assert link.is_symlink()
    assert update_file(tmp_path / "c.txt", lambda old: merged_text_tags(old, ["dog"]))
    assert not (tmp_path / f"c.txt{BACKUP}").exists()


def test_what_cannot_be_changed_is_left_and_said(tmp_path):
    path = tmp_path / "a.nfo"
    path.write_text(BOMB, encoding="utf-8")
    with pytest.raises(InputError, match=r"a\.nfo: it is not XML that is read here .*; it was left as it is"):
        update_file(path, lambda old: merged_nfo(old, ["cat"]))
    assert path.read_text(encoding="utf-8") == BOMB
    assert list(tmp_path.iterdir()) == [path]


def test_files_beside_speak_together(tmp_path):
    (tmp_path / "a.jpg.xmp").write_text(EXIFTOOL, encoding="utf-8")
    (tmp_path / "a.txt").write_text("lake, cat", encoding="utf-8")
    (tmp_path / "a.json").write_text(json.dumps({"caption": "Second title", "tags": ["json"]}), encoding="utf-8")
    paths = [tmp_path / name for name in ("a.json", "a.jpg.xmp", "a.txt")]
    assert read_beside(paths) == {"tags": ["json", "animal/cat", "lake", "cat"], "title": "Second title"}


def test_the_caption_that_img2dataset_writes_twice_is_a_title(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps({"caption": "cat, window"}), encoding="utf-8")
    (tmp_path / "a.txt").write_text("cat, window", encoding="utf-8")
    assert read_beside([tmp_path / "a.json", tmp_path / "a.txt"]) == {"title": "cat, window"}


def test_a_caption_beside_a_title_is_no_list_of_tags(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps({"title": "Home", "caption": "cat, window"}), encoding="utf-8")
    (tmp_path / "a.txt").write_text("cat, window", encoding="utf-8-sig")
    assert read_beside([tmp_path / "a.json", tmp_path / "a.txt"]) == {"title": "Home"}


def test_a_bad_file_is_named(tmp_path):
    (tmp_path / "a.json").write_bytes(b"{")
    with pytest.raises(InputError, match=r"a\.json: it is not JSON"):
        read_beside([Path(tmp_path / "a.json")])


def test_half_of_a_surrogate_pair_stays_what_it_is():
    made = merged_json_tags(b'{"caption": "\\ud800", "tags": ["cat"]}', ["dog"])
    assert json.loads(made) == {"caption": "\ud800", "tags": ["cat", "dog"]}
    assert merged_json_tags(made, ["dog"]) == made
    with pytest.raises(InputError, match="it is not UTF-8"):
        merged_metadata(b"\xff\n", [{"file_name": "a.mp4", "tags": ["cat"]}])
    rows = merged_metadata(
        b'{"file_name": "a.mp4", "title": "\\udc00", "tags": []}\n', [{"file_name": "a.mp4", "tags": ["cat"]}]
    )
    assert json.loads(rows)["title"] == "\udc00"
