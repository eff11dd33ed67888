"""Evidence as people read it: seconds and words."""

from __future__ import annotations

from optsg.data.word_pieces import TitleTokenizer
from optsg.evaluate.tag.evidence import Evidence, TagEvidence, evidence_for_people

from tests.tiny_world import tiny_tokenizer

TOKENIZER = TitleTokenizer(tiny_tokenizer())
TITLE = "Cats zoo"  # [CLS] cat ##s z ##o ##o [SEP]


def test_words_have_the_shares_of_their_pieces_and_special_tokens_none() -> None:
    assert len(TOKENIZER.encode_titles([TITLE])[0]) == 7
    found = TagEvidence(visual=(0.25, 0.75), tokens=(0.4, 0.1, 0.2, 0.1, 0.0, 0.0, 0.2))
    evidence = evidence_for_people(found, times=[0.0, 1.04], title=TITLE, tokenizer=TOKENIZER)
    assert evidence.frames == ((0.0, 0.25), (1.04, 0.75))
    assert [(word, round(share, 6)) for word, share in evidence.words] == [("Cats", 0.75), ("zoo", 0.25)]
    assert (evidence.second, evidence.word) == (1.04, "Cats")
    assert evidence.to_json() == {
        "frames": [[0.0, 0.25], [1.04, 0.75]],
        "words": [["Cats", 0.75], ["zoo", 0.25]],
    }


def test_nothing_is_evidence_of_nothing() -> None:
    none = evidence_for_people(TagEvidence(visual=(0.0,), tokens=()), times=[0.0], title="", tokenizer=TOKENIZER)
    assert (none.second, none.word) == (None, None)
    assert none == Evidence(frames=((0.0, 0.0),), words=())


def test_the_patches_of_an_image_are_no_seconds() -> None:
    found = TagEvidence(visual=(0.5, 0.5), tokens=(0.0, 1.0, 0.0))
    evidence = evidence_for_people(found, times=[], title="cat", tokenizer=TOKENIZER)
    assert (evidence.frames, evidence.words) == ((), (("cat", 1.0),))
