from __future__ import annotations

import base64
import hashlib
import html.parser
import re

import pytest
from optsg.data.predicted_tag import PredictedTag
from optsg.evaluate.report.report import render_report, write_report
from optsg.evaluate.report.samples import CHOSEN_SAMPLES, SPREAD_SAMPLES, choose_samples, judge
from optsg.evaluate.report.sections import frequency_bins
from optsg.evaluate.scores.evaluation import Evaluation, evaluate_items
from optsg.evaluate.scores.predictions import ItemPrediction
from optsg.evaluate.scores.saved import TrainingHistory
from optsg.train.systems.op_tsg import NIL_BIAS
from optsg.train.systems.tuned_scalar import Decision

JPEG = b"\xff\xd8\xff\xe0 a picture"
HOSTILE = "<script>alert('x')</script>\"><img src=x onerror=alert(1)>"
TRAIN_COUNTS = {"cat": 60, "dog": 5, "tree": 1, HOSTILE.casefold(): 4}
HISTORY = TrainingHistory(
    (
        {"epoch": 1.0, "train_loss": 4.0, "val_loss": 4.5, "val_full_f1": 0.1, "val_example_f1": 0.2},
        {"epoch": 2.0, "train_loss": 2.0, "val_loss": 3.5, "val_full_f1": 0.3, "val_example_f1": 0.4},
    )
)

VOID = {"meta", "img", "input", "br", "link"}


class Page(html.parser.HTMLParser):
    """Parses a page, fails on tags that do not match, and keeps elements, their text and their classes."""

    def __init__(self, document: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.texts: list[tuple[str, str]] = []
        self.feed(document)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append((self.open[-1] if self.open else "", data))

    def named(self, name: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.elements if tag == name]

    def text_of(self, name: str) -> list[str]:
        return [text for tag, text in self.texts if tag == name]


def tag(text: str, score: float = 0.5, *, novel: bool = False) -> PredictedTag:
    return PredictedTag(text=text, score=score, novel=novel, prompt=7)


def evaluation_of(items: list[ItemPrediction]) -> Evaluation:
    spellings = {key: key.capitalize() if key != HOSTILE.casefold() else HOSTILE for key in TRAIN_COUNTS}
    return evaluate_items(
        items,
        TRAIN_COUNTS,
        run="runs/<a>",
        split="test",
        system="op-tsg",
        decision=Decision(scalar=NIL_BIAS, value=1.5),
        spellings=spellings,
    )


CAT = ItemPrediction(
    id="cat1",
    title="a cat",
    true=("Cat", "Moon", "Tree"),
    tags=(tag("Cat", 0.91), tag("Dog", 0.4), tag("moon", 0.3, novel=True), tag("cattish", 0.2, novel=True)),
)
EVIL = ItemPrediction(
    id=HOSTILE, title=HOSTILE, true=(HOSTILE, "Dog"), tags=(tag(HOSTILE), tag(HOSTILE + "2", novel=True))
)


def report(items: list[ItemPrediction], history: TrainingHistory = HISTORY, thumbnail: bytes = JPEG) -> str:
    return render_report(
        evaluation_of(items),
        history=history,
        facts=[("Run", HOSTILE), ("Split", "test")],
        thumbnail=lambda _: thumbnail,
    )


def test_the_page_is_well_formed_and_loads_nothing_from_elsewhere():
    document = report([CAT, EVIL])
    page = Page(document)
    assert document.startswith('<!doctype html>\n<html lang="en">')
    assert page.named("link") == []
    assert all("src" not in attributes for attributes in page.named("script"))
    assert [image["src"] for image in page.named("img")] == [
        "data:image/jpeg;base64," + base64.b64encode(JPEG).decode()
    ] * 2
    assert [link["href"] for link in page.named("a")] == [
        "#metrics",
        "#frequency",
        "#samples",
        "#errors",
        "#confusion",
        "#worst",
        "#training",
        "#tags",
        "#about",
    ]
    sections = {section["id"] for section in page.named("section")}
    assert sections == {"metrics", "frequency", "samples", "errors", "confusion", "worst", "training", "tags", "about"}
    assert not re.search(r"https?://|@import|url\(", document)


def test_the_browser_is_told_to_load_nothing_and_to_run_our_script_only():
    page = Page(report([CAT]))
    digest = base64.b64encode(hashlib.sha256("".join(page.text_of("script")).encode()).digest()).decode()
    policy = next(meta["content"] for meta in page.named("meta") if meta.get("http-equiv") == "Content-Security-Policy")
    assert policy == f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"


def test_hostile_text_stays_text_wherever_it_stands():
    document = report([CAT, EVIL])
    page = Page(document)
    assert len(page.named("script")) == 1
    assert len(page.named("img")) == 2
    assert not [attributes for _, attributes in page.elements for name in attributes if name.startswith("on")]
    assert "<script>alert" not in document
    # id, title, two annotated or predicted chips, the tag table and the facts show it as it is.
    assert sum(text == HOSTILE for _, text in page.texts) >= 5
    assert page.text_of("h1") == ["runs/<a>"]


def test_correct_wrong_novel_and_missed_tags_differ_by_colour_and_by_sign():
    document = report([CAT])
    for kind, sign, text in (
        ("correct", "✓", "Cat"),
        ("wrong", "✗", "Dog"),
        ("novel", "✦", "cattish"),
        ("missed", "○", "Tree"),
    ):
        pattern = (
            rf'<span class="sign" aria-hidden="true">{sign}</span><span class="spoken">{kind}: </span>'
            rf'<span dir="auto">{text}</span>(<span class="score">[0-9.]+</span>)?</span>'
        )
        assert re.search(pattern, document), kind
    assert re.search(
        r'✓</span><span class="sign" aria-hidden="true">✦</span><span class="spoken">correct: </span><span dir="auto">moon',
        document,
    )
    assert '<span class="score">0.91</span>' in document
    assert "Score 0.910, prompt 7" in document


def test_verdicts():
    assert [verdict for _, verdict in judge(CAT)] == ["correct", "wrong", "correct", "novel"]


def test_the_training_curves_mark_the_best_epoch():
    document = report([CAT])
    assert "Loss: training from 4 to 2; validation from 4.5 to 3.5" in document
    assert "Validation F1: per tag, all tags from 10 to 30; per video from 20 to 40" in document
    assert document.count("best: 2") == 2


def test_a_run_without_a_log_says_so_instead_of_drawing():
    document = report([CAT], history=TrainingHistory(()))
    assert "The run folder has no log.jsonl with finished epochs." in document
    Page(document)


@pytest.mark.parametrize("thumbnail", [b"", b"<svg onload=alert(1)>"])
def test_what_is_no_jpeg_is_not_shown(thumbnail):
    page = Page(report([CAT], thumbnail=thumbnail))
    assert page.named("img") == []
    assert "no picture" in page.text_of("div")


def test_the_tag_table_lists_every_full_tag_with_its_numbers():
    table = report([CAT]).partition('id="tag-table"')[2].partition("</table>")[0]
    rows = re.findall(r'<tr><th scope="row" dir="auto">(.*?)</th>(.*?)</tr>', table)
    assert [name for name, _ in rows] == ["Cat", "Tree"]
    values = re.findall(r'data-value="([^"]*)"', rows[0][1])
    assert values == ["60", "1", "1", "1", "1", "1", "1"]
    assert re.findall(r'<button type="button" data-column="(\d)"', table) == [str(number) for number in range(9)]


def test_the_report_of_nothing_still_opens():
    page = Page(report([ItemPrediction(id="a", title="", true=(), tags=())], history=TrainingHistory(())))
    assert "(no title)" in page.text_of("h4")


def many_items(count: int) -> list[ItemPrediction]:
    return [
        ItemPrediction(
            id=f"v{number}",
            title="",
            true=("Moon",),
            tags=(tag("Dog", number / 1000), tag("moon", number / 2000, novel=True)),
        )
        for number in range(count)
    ]


def test_samples_are_the_same_every_time_and_none_is_shown_twice():
    items = many_items(200)
    groups = choose_samples(items)
    assert [len(group.items) for group in groups] == [SPREAD_SAMPLES, CHOSEN_SAMPLES, CHOSEN_SAMPLES]
    assert groups == choose_samples(list(reversed(items)))
    shown = [item.id for group in groups for item in group.items]
    assert len(set(shown)) == len(shown)
    best = sorted(
        (item for item in items if item.id not in {i.id for i in groups[0].items}), key=lambda item: -item.tags[0].score
    )
    assert groups[1].items == tuple(best[:CHOSEN_SAMPLES])


def test_groups_without_videos_are_left_out():
    groups = choose_samples([ItemPrediction(id="a", title="", true=("cat",), tags=(tag("cat"),))])
    assert [group.title for group in groups] == ["A fair sample"]


def test_frequency_bins_hold_every_tag_once():
    rows = evaluation_of([CAT, ItemPrediction(id="d", title="", true=("Dog",), tags=())]).per_tag
    assert [(name, [row.key for row in tags]) for name, tags in frequency_bins(rows)] == [
        ("1", ["tree"]), ("3–5", ["dog"]), ("51–100", ["cat"]),
    ]  # fmt: skip


def test_the_report_is_written_whole(tmp_path):
    write_report(
        tmp_path / "eval" / "report.html",
        render_report(evaluation_of([CAT]), history=HISTORY, facts=[], thumbnail=lambda _: b""),
    )
    assert (tmp_path / "eval" / "report.html").read_text(encoding="utf-8").endswith("</html>\n")
    assert [path.name for path in (tmp_path / "eval").iterdir()] == ["report.html"]
