"""Files beside others are found whatever their suffix's case and their name's Unicode form are."""

from __future__ import annotations

import json
import unicodedata

import pytest
from optsg.data.inputs import open_inputs
from optsg.data.media import MediaItem
from optsg.data.sidecars.file_names import as_spelt, file_spellings, unicode_forms
from optsg.evaluate.tag.requests import TagRequests

XMP = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:subject><rdf:Bag><rdf:li>cat</rdf:li></rdf:Bag>'
    "</dc:subject></rdf:Description></rdf:RDF></x:xmpmeta>"
)
NFO = "<movie><title>See</title><tag>cat</tag></movie>"
COMPOSED, DECOMPOSED = (unicodedata.normalize(form, "épée") for form in ("NFC", "NFD"))


def test_a_name_comes_first_and_each_spelling_once():
    assert file_spellings("a.xmp") == ["a.xmp", "a.XMP"]
    assert file_spellings("A.XMP") == ["A.XMP"]
    assert unicode_forms(DECOMPOSED) == [DECOMPOSED, COMPOSED]
    assert set(file_spellings(f"{COMPOSED}.nfo")) == {
        f"{name}.{suffix}" for name in (COMPOSED, DECOMPOSED) for suffix in ("nfo", "NFO")
    }


@pytest.mark.parametrize(
    ("beside", "text"),
    [
        ("IMG_1.XMP", XMP),
        ("IMG_1.JPG.XMP", XMP),
        ("IMG_1.TXT", "cat"),
        ("IMG_1.JSON", '{"tags": ["cat"]}'),
        ("IMG_1.NFO", NFO),
    ],
)
def test_an_upper_case_suffix_hides_no_tags(tmp_path, beside, text):
    (tmp_path / "IMG_1.JPG").touch()
    (tmp_path / beside).write_text(text, encoding="utf-8")
    inputs = open_inputs(tmp_path)
    (item,) = inputs
    assert isinstance(item, MediaItem)
    assert item.tags == ("cat",)
    assert f"1 file beside (.{beside.rpartition('.')[2].lower()})" in inputs.description


@pytest.mark.parametrize(("media", "beside"), [(COMPOSED, DECOMPOSED), (DECOMPOSED, COMPOSED)])
def test_accents_as_one_character_or_two_are_one_name(tmp_path, media, beside):
    for name in ("a", "b"):
        (tmp_path / f"{name}-{media}.mp4").touch()
    (tmp_path / f"a-{beside}.nfo").write_text(NFO, encoding="utf-8")
    (tmp_path / f"b-{beside}.info.json").write_text(json.dumps({"title": "Site", "tags": ["dog"]}), encoding="utf-8")
    items = [item for item in open_inputs(tmp_path) if isinstance(item, MediaItem)]
    assert [(item.title, item.tags) for item in items] == [("See", ("cat",)), ("Site", ("dog",))]
    requests = TagRequests([tmp_path / f"a-{media}.mp4", tmp_path / f"b-{media}.mp4"])
    assert [request.item.title for request in requests if isinstance(request.item, MediaItem)] == ["See", "Site"]


def test_the_caption_of_an_upper_case_json_is_not_a_list_of_tags(tmp_path):
    (tmp_path / "A.JPG").touch()
    (tmp_path / "A.JSON").write_text('{"caption": "a cat, asleep"}', encoding="utf-8")
    (tmp_path / "A.TXT").write_text("a cat, asleep", encoding="utf-8")
    (item,) = open_inputs(tmp_path)
    assert isinstance(item, MediaItem)
    assert (item.title, item.tags) == ("a cat, asleep", ())


def test_the_spelling_that_is_there_is_the_one_to_change(tmp_path):
    assert as_spelt(tmp_path / "a.xmp") == tmp_path / "a.xmp"
    (tmp_path / "a.XMP").touch()
    assert as_spelt(tmp_path / "a.xmp").samefile(tmp_path / "a.XMP")
