"""Titles, tags, ids and paths of anybody's making: they stay text, in the page, in its pictures and in Markdown."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token
from optsg.data.metrics import tag_groups
from optsg.data.predicted_tag import PredictedTag
from optsg.evaluate.scores.predictions import ItemPrediction
from optsg.evaluate.tables.case_studies import Case, case_studies, judge_tags
from optsg.evaluate.tables.charts import Line, sweep_plot
from optsg.evaluate.tables.documents import html, pictures
from optsg.evaluate.tables.grid import TABLES
from optsg.evaluate.tables.invocation import Invocation
from optsg.evaluate.tables.markdown import escape, markdown
from optsg.evaluate.tables.measures import Measures, Spread
from optsg.evaluate.tables.plan import Plan
from optsg.evaluate.tables.prompt_orders import Decoded, PromptOrders
from optsg.evaluate.tables.results import Results, Section
from optsg.evaluate.tables.text_tables import TextTable
from playwright.sync_api import Browser, Dialog

from tests.evaluate.tables.test_documents import write_run

HARMLESS = "word"
LONG = "a" * 5000
HOSTILE = {
    "script": "<script>alert(1)</script>",
    "end of a style": "</style></svg><img src=x onerror=alert(1)>",
    "quotes": '"\' onmouseover="alert(1)" x=\'',
    "entities": "&lt;b&gt; &amp; &#60;i&#62; &copy",
    "CDATA and comments": "]]> <![CDATA[ <!-- --> --!>",
    "right to left": "שלום \u202egnp.exe عربي",
    "control characters": "a\x00b\x1b[31mc\x7f\x85\r\n\u2028d\ufeff\uffff\ufffe",
    "surrogate": "\udc80.mp4",
    "a long word": LONG,
    "pipes": "a | b || \\| c |",
    "lines": "first\n\n# heading\n- item\n| --- |\n```\n<b>",
    "backticks": "`` ` ```` code`",
    "emphasis": "*a* _b_ __c__ ~~d~~ **e** ___f___",
    "links": "[a](javascript:alert(1)) ![b](http://e.example/p.png) <http://e.example> http://e.example www.e.example",
    "reference": "[a]: http://e.example 'title'",
    "heading": "# heading",
    "rule": "---",
    "list": "1. one",
    "bullet": "+ one",
    "only a sign": "-",
    "nothing": "",
}

GITHUB = MarkdownIt("commonmark").enable(["table", "strikethrough"])

every_text = pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())


def results_of(text: str) -> Results:
    """Documents with every kind of part, and this text wherever a store, a run or a path may bring one in."""
    judged = judge_tags([text, f"{text} 2"], set(), tag_groups({}, set()), set())
    orders = PromptOrders(
        id=text,
        title=text,
        true=[text, text],
        decoded=[Decoded("natural order", list(enumerate(judged))), Decoded("shuffled, 1", [])],
        similarity=np.linspace(-1, 1, 8).reshape(4, 2),
    )
    line = Line("full", [Spread(1, None), Spread(2, 0.5)])
    invocation = Invocation(
        feats=Path(f"{text}.h5".replace("\0", "")),
        out=Path("out"),
        seeds=(0,),
        size="small",
        settings=(text,),
        pretrained=(),
        quick=False,
    )
    section = Section(
        key="4",
        title="Table 4",
        headline=f"the best other system, {text}",
        command=invocation.command("4"),
        note="n",
        tables=[TextTable(columns=("run", text), rows=((text, text), (f"  {text}", text)), caption="Cost")],
        plot=sweep_plot("N", text, [text, text], [line] * 3),
    )
    return Results(
        facts=[("Data", text)],
        sections=[section],
        orders=orders,
        cases=[Case(text, text, judged, {"asy": judged, "op-tsg": []})],
        missing=[f"{text}: not trained"],
    )


def test_predictions_of_hostile_videos_become_cases(plan: Callable[..., Plan], tmp_path: Path) -> None:
    """From the run folders to the page: every video is shown once, under its own texts."""
    texts = [text for text in HOSTILE.values() if text]
    for system, said in (("op-tsg", texts), ("asy", texts[::-1])):
        items = [
            ItemPrediction(
                id=f"{number} {text}",
                title=text,
                true=(text, "cat"),
                tags=(
                    PredictedTag(text=other, score=0.5, novel=True),
                    PredictedTag(text="cat", score=0.4, novel=False),
                ),
            )
            for number, (text, other) in enumerate(zip(texts, said, strict=True))
        ]
        write_run(tmp_path / f"{system}-seed-0", items)
    grid = plan(tables=[table for table in TABLES if table.key == "1"])
    measures = Measures(grid, tmp_path, {"op-tsg-seed-0", "asy-seed-0"})
    cases = case_studies(measures)
    assert 3 <= len(cases) <= 6
    assert {case.id for case in cases} <= {f"{number} {text}" for number, text in enumerate(texts)}
    page = html(replace(results_of(HARMLESS), cases=cases))
    assert page.count('<article class="card">') == len(cases)
    found = skeleton(page)
    assert {part[0] for part in found.parts if isinstance(part, tuple)} == {
        part[0] for part in skeleton(html(results_of(HARMLESS))).parts if isinstance(part, tuple)
    }
    assert all(shown(case.title) in found.text for case in cases)


class Skeleton(HTMLParser):
    """Everything but text: elements with their attributes, their ends, and whatever else a page can hold."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[object] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        described = [(name, value if name != "aria-label" else None) for name, value in attrs]
        self.parts.append((tag, described))

    def handle_endtag(self, tag: str) -> None:
        self.parts.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_comment(self, data: str) -> None:
        self.parts.append(("comment", data))

    def handle_decl(self, decl: str) -> None:
        self.parts.append(("declaration", decl))

    def handle_pi(self, data: str) -> None:
        self.parts.append(("instruction", data))

    def unknown_decl(self, data: str) -> None:
        self.parts.append(("unknown", data))


def skeleton(document: str) -> Skeleton:
    parser = Skeleton()
    parser.feed(document)
    parser.close()
    return parser


def shown(text: str) -> str:
    """The text as a document can hold it."""
    return re.sub("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]", "\ufffd", text)


@every_text
def test_a_page_has_our_elements_and_attributes_alone(text: str) -> None:
    expected, found = skeleton(html(results_of(HARMLESS))), skeleton(html(results_of(text)))
    assert found.parts == expected.parts
    assert shown(text) in found.text
    html(results_of(text)).encode("utf-8")


@every_text
def test_pictures_are_whole(text: str) -> None:
    def names(picture: str) -> list[tuple[str, list[str]]]:
        return [(part.tag, sorted(part.attrib)) for part in ElementTree.fromstring(picture).iter()]

    expected = pictures(results_of(HARMLESS))
    for name, picture in pictures(results_of(text)).items():
        assert names(picture) == names(expected[name])


@every_text
def test_texts_do_not_turn_round_what_stands_beside_them(text: str) -> None:
    """Inside a line of ours every foreign text is an isolate: ``bdi``, or an element with ``dir``."""
    document = html(results_of(text))
    figure = document.partition('id="figure-3"')[2].partition("</p>")[0]
    assert figure.count("<bdi>") == figure.count("</bdi>") == 4
    assert "\u202e" not in re.sub(r"<bdi>[^<]*</bdi>", "", figure)


def outline(text: str) -> list[tuple[str, str]]:
    """Markdown's tokens as GitHub reads them, without their text."""

    def flat(tokens: list[Token]) -> list[Token]:
        return [part for token in tokens for part in (token, *(token.children or ()))]

    plain = ("text", "text_special", "inline", "softbreak")
    return [
        (token.type, token.markup if token.type != "fence" else "")
        for token in flat(GITHUB.parse(text))
        if token.type not in plain
    ]


@every_text
def test_markdown_has_our_markup_alone(text: str) -> None:
    document = "".join(markdown(results_of(text)))
    document.encode("utf-8")
    assert outline(document) == outline("".join(markdown(results_of(HARMLESS))))
    without_code = re.sub(r"(?ms)^(`{3,})sh$.*?^\1$", "", document)
    rows = [line for line in without_code.splitlines() if line.startswith("| ")]
    assert len(rows) == 4
    assert {len(re.findall(r"(?<!\\)(?:\\\\)*\|", row)) for row in rows} == {3}


@every_text
def test_text_comes_back_from_markdown_as_it_was(text: str) -> None:
    if not text:
        return
    tokens = GITHUB.parse(f"{escape(text)}\n")
    inside = [child for token in tokens for child in token.children or ()]
    assert {child.type for child in inside} <= {"text", "text_special"}
    expected = re.sub("[\u202a-\u202e\u2066-\u2069]", "\ufffd", shown(" ".join(text.split())))
    assert "".join(child.content for child in inside) == expected


@pytest.mark.parametrize("text", ["http://e.example", "HTTPS://e.example", "www.e.example", "a@e.example"])
def test_addresses_are_not_made_into_links(text: str) -> None:
    """GitHub makes links of these three beginnings and of the sign."""
    assert not re.search(r"(?i)(https?|ftp)://|www\.|(?<!\\)@", escape(text))


def test_our_own_cells_stay_readable() -> None:
    for cell in (
        "38.6 ± 1.5 (36.0–41.3)",
        "+2.3",
        "-0.4 (-1.0 to +0.2)",
        "7.04 %",
        "feats_1.h5",
        "nil_weight=0.1",
        "–",
    ):
        assert escape(cell) == cell


@pytest.fixture
def opened(browser: Browser, tmp_path: Path) -> Callable[[str], tuple[int, list[str]]]:
    """Opens the page of a text as on a phone: how wide it is, and which dialogs came up."""

    def open_page(text: str) -> tuple[int, list[str]]:
        path = tmp_path / "tables.html"
        path.write_text(html(results_of(text)), encoding="utf-8")
        page = browser.new_page(viewport={"width": 390, "height": 800})
        dialogs: list[str] = []

        def dismiss(dialog: Dialog) -> None:
            dialogs.append(dialog.message)
            dialog.dismiss()

        page.on("dialog", dismiss)
        page.goto(path.as_uri())
        width = page.evaluate("document.documentElement.scrollWidth")
        page.close()
        return width, dialogs

    return open_page


@pytest.mark.parametrize("name", ["script", "end of a style", "quotes", "a long word", "right to left"])
def test_a_browser_shows_it_and_runs_nothing(opened: Callable[[str], tuple[int, list[str]]], name: str) -> None:
    assert opened(HOSTILE[name]) == (390, [])
