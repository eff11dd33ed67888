"""The tables as text, Markdown and HTML, for measures that are given."""

from __future__ import annotations

import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pytest
from optsg.data.predicted_tag import PredictedTag
from optsg.data.tag_table import TagTable
from optsg.evaluate.report.page import asset
from optsg.evaluate.scores.evaluation import Cost, evaluate_items, write_metrics
from optsg.evaluate.scores.predictions import ItemPrediction, write_predictions
from optsg.evaluate.tables.case_studies import Case, JudgedTag, judge_tags
from optsg.evaluate.tables.charts import BLUE, INK, LINES, Line, heat_map, sweep_plot
from optsg.evaluate.tables.documents import html, pictures
from optsg.evaluate.tables.grid import INSTEAD, SYSTEMS, TABLES, Table
from optsg.evaluate.tables.invocation import Invocation
from optsg.evaluate.tables.markdown import escape, markdown
from optsg.evaluate.tables.measures import Measures, RowMeasures, RunMeasures, Spread, margin
from optsg.evaluate.tables.plan import Plan
from optsg.evaluate.tables.prompt_orders import Decoded, PromptOrders
from optsg.evaluate.tables.results import Results, Section
from optsg.evaluate.tables.text_tables import TextTable, headline, spread_text, table_texts
from optsg.train.loop.saved_states import TrainingProgress, finish_state
from optsg.train.systems.op_tsg import NIL_BIAS
from optsg.train.systems.tuned_scalar import Decision

SVG = "{http://www.w3.org/2000/svg}"
COUNTS = {"cat": 90, "dog": 5, "owl": 5}


def item(number: int, true: str, predicted: str) -> ItemPrediction:
    tags = tuple(PredictedTag(text=tag, score=0.5, novel=tag not in COUNTS) for tag in predicted.split())
    return ItemPrediction(id=str(number), title=f"video {number}", true=tuple(true.split()), tags=tags)


def write_run(folder: Path, items: list[ItemPrediction]) -> None:
    """What evaluation leaves of a run that predicted this for test and validation."""
    counts = np.array(list(COUNTS.values()))
    keys = tuple(COUNTS)
    TagTable(keys=keys, spellings=keys, counts=counts, tokens=((1,), (2,), (3,))).save(_made(folder) / "tag_table.json")
    evaluation = evaluate_items(
        items,
        COUNTS,
        run="r",
        split="test",
        system="op-tsg",
        decision=Decision(scalar=NIL_BIAS, value=0.0),
        spellings={},
        cost=Cost(seconds=2.0, tags_per_second=250.4, device="a chip", threads=1, trained_parameters=12_340_000),
    )
    for split in ("val", "test"):
        write_metrics(folder / "eval" / split / "metrics.json", evaluation)
        write_predictions(folder / "eval" / split / "predictions.jsonl", items)
    finish_state(folder, TrainingProgress(seconds=150.0))


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder


GOOD = [item(0, "cat dog", "cat dog"), item(1, "cat owl", "cat owl"), item(2, "cat moon", "cat moon")]
POOR = [item(0, "cat dog", "cat"), item(1, "cat owl", "cat dog"), item(2, "cat moon", "dog sun")]


@pytest.fixture
def measures(plan: Callable[..., Plan], tmp_path: Path) -> tuple[Measures, tuple[Table, ...]]:
    """Seeds 0 and 1: op-tsg is right, asy is not, bin has one seed only, the others none."""
    tables = tuple(table for table in TABLES if table.key in ("1", "3", "4"))
    grid = plan(tables=tables, seeds=(0, 1))
    names = ("op-tsg-seed-0", "op-tsg-seed-1", "asy-seed-0", "asy-seed-1", "bin-seed-0", "op-tsg-prompts-5-seed-0")
    for name in names:
        write_run(tmp_path / name, POOR if name[:3] == "asy" else GOOD)
    return Measures(grid, tmp_path, set(names)), grid.tables


def test_table_1_for_given_measures(measures: tuple[Measures, tuple[Table, ...]]) -> None:
    systems, margins, costs = table_texts(measures[1][0], measures[0], 2)
    rows = {row[0].strip(): row[1:] for row in systems.rows if not row[0].startswith(" ")}
    assert list(rows) == [row.label for row in (*SYSTEMS, *INSTEAD)]
    perfect = "100.0 ± 0.0"
    assert rows["op-tsg"] == ("2 of 2", *[perfect, perfect, f"{perfect} (100.0–100.0)"] * 4)
    assert rows["order-free"] == ("0 of 2", *["–"] * 12)
    assert rows["bin"][:2] == ("1 of 2", "100.0")
    # asy: cat P 1 R 2/3 F1 4/5; dog 0; owl 0. cat alone is common: it holds 90 of 100 occurrences.
    assert [cell.split(" (")[0] for cell in rows["asy"][1:10]] == [
        f"{value} ± 0.0" for value in ("33.3", "22.2", "26.7", "0.0", "0.0", "0.0", "100.0", "66.7", "80.0")
    ]
    paper = [row for row in systems.rows if row[0].startswith("  paper")]
    assert len(paper) == 2 * (len(SYSTEMS) - 1)
    assert paper[0] == (
        "  paper, CREATE-210K", "", "21.1", "28.8", "22.4", "14.9", "17.1", "14.6", "39.4", "63.4", "45.5", "38.6", "39.6", "39.1",
    )  # fmt: skip
    assert [row[:3] for row in margins.rows] == [
        ("full F1", "bin", "+0.0 (+0.0 to +0.0)"),
        ("rare F1", "bin", "+0.0 (+0.0 to +0.0)"),
    ]
    assert [row[3] for row in margins.rows] == ["+2.3", "+3.3"]
    assert costs.rows[5] == ("op-tsg", "12.34 M", "2.5 ± 0.0", "250 ± 0", "2.0 ± 0.0", "100.0 ± 0.0")
    assert costs.rows[2] == ("order-free", *["–"] * 5)


def test_novel_tags_for_given_measures(measures: tuple[Measures, tuple[Table, ...]]) -> None:
    novel = table_texts(measures[1][1], measures[0], 2)[0]
    rows = {row[0]: row[1:] for row in novel.rows}
    assert rows["op-tsg"] == (
        "2 of 2", "0.33 ± 0.00", "1.0 ± 0.0", "1 ± 0", "100.0 ± 0.0", "100.0 ± 0.0", "0.30", "7.04 %"
    )  # fmt: skip
    assert rows["asy"][1:] == ("0.33 ± 0.00", "0.0 ± 0.0", "1 ± 0", "0.0 ± 0.0", "0.0 ± 0.0", "–", "0.00 %")


def rates_table(*rows: tuple[str, ...]) -> TextTable:
    return TextTable(columns=("system", "runs", "full P", "full R", "full F1", "training minutes"), rows=rows)


def test_the_best_of_a_column_is_marked_and_the_paper_does_not_compete() -> None:
    table = rates_table(
        ("bin", "3 of 3", "35.6 ± 0.3", "–", "45.0 ± 0.5 (34.7–42.6)", "4.1 ± 1.1"),
        ("  paper, CREATE-210K", "", "99.0", "99.0", "99.0", ""),
        ("asy", "3 of 3", "35.1", "44.6", "36.9", "4.4"),
        ("op-tsg", "3 of 3", "35.6", "–", "45.0 ± 0.9", "10.5"),
    )
    # Two are best as they are shown; one value alone is not better than another.
    assert table.best == {(0, 2), (3, 2), (0, 4), (3, 4), (0, 5)}
    assert table.detailed == {2, 3}
    assert rates_table(("bin", "", "1.0", "1.0", "1.0", "1.0"), ("asy", "", "1.0", "1.0", "1.0", "1.0")).best == set()


def test_what_tables_say_in_a_sentence(measures: tuple[Measures, tuple[Table, ...]]) -> None:
    systems, novel, sweep = (headline(table, measures[0]) for table in measures[1])
    assert systems == (
        "op-tsg reaches a full F1 of 100.0 %, level with the best other system, bin; "
        "the interval of the difference, +0.0 to +0.0, includes 0."
    )
    assert novel == ("bin finds 100.0 % of the true tags that training never saw, and so does op-tsg.")
    assert sweep == "There is nothing to compare: 0 of 7 rows have finished runs."


def test_a_difference_says_whether_its_interval_excludes_nothing(plan: Callable[..., Plan], tmp_path: Path) -> None:
    grid = plan(tables=[table for table in TABLES if table.key in ("1", "3", "4", "7")])
    sweep = ("op-tsg-paper-prompts-5-seed-0", "op-tsg-paper-prompts-50-seed-0")
    others = ("asy-seed-0", "frequency-first-seed-0", sweep[0])
    for name, items in (("op-tsg-seed-0", GOOD), (sweep[1], GOOD), *((name, POOR) for name in others)):
        write_run(tmp_path / name, items)

    def said(key: str, *names: str) -> str:
        table = next(table for table in grid.tables if table.key == key)
        return headline(table, Measures(grid, tmp_path, set(names)))

    beaten = said("1", "op-tsg-seed-0", "asy-seed-0")
    assert beaten.startswith("op-tsg reaches a full F1 of 100.0 %, 73.3 points above the best other system, asy; the")
    assert beaten.endswith(" excludes 0.")
    assert said("1", "op-tsg-seed-0") == (
        "op-tsg reaches a full F1 of 100.0 %; no other system has a finished run to compare it with."
    )
    assert said("1", "asy-seed-0") == "There is nothing to compare: op-tsg has no finished run."
    ablations = said("7", "op-tsg-seed-0", "frequency-first-seed-0")
    assert ablations.startswith(
        "Of 11 rows 2 have finished runs; of these “op-tsg, beyond the paper” has the highest full F1, 100.0 %, "
        "73.3 points above the next, “B frequency-first”; the interval of the difference, "
    )
    assert said("4", *sweep).startswith(
        "Of 7 rows 2 have finished runs; of these “prompts 50” has the highest full F1, "
    )
    assert said("3", "op-tsg-seed-0", "asy-seed-0") == (
        "op-tsg finds 100.0 % of the true tags that training never saw; next comes asy with 0.0 %."
    )
    assert said("3", "asy-seed-0") == "No system finds a true tag that training never saw."
    assert said("3") == "There is nothing to compare: no system has a finished run."


def test_the_margin_is_to_the_best_other_row(tmp_path: Path) -> None:
    for name, items in (("ours", GOOD), ("poor", POOR), ("poorer", [item(0, "cat dog owl moon", "")])):
        write_run(tmp_path / name, items)
    ours, poor = (RowMeasures([RunMeasures(tmp_path / name)]) for name in ("ours", "poor"))
    found = margin("full", ours, {"poor": poor, "nobody": RowMeasures([])})
    assert found is not None
    assert (found.other, round(found.points, 1)) == ("poor", 73.3)
    assert found.low <= found.points <= found.high
    assert margin("full", ours, {"nobody": RowMeasures([])}) is None


@pytest.mark.parametrize(
    ("spread", "text"),
    [
        (None, "–"),
        (Spread(38.64, None), "38.6"),
        (Spread(38.64, 1.49), "38.6 ± 1.5"),
        (Spread(38.64, 1.49, 36.0, 41.27), "38.6 ± 1.5 (36.0–41.3)"),
    ],
)
def test_cells(spread: Spread | None, text: str) -> None:
    assert spread_text(spread) == text


def test_a_sweep_draws_what_there_is() -> None:
    lines = [
        Line(name, [Spread(30.0 + number, 1.0), None, Spread(33.0, None)])
        for number, name in enumerate(("full", "rare", "common"))
    ]
    picture = sweep_plot("N", "prompts", ["5", "8 < 9", "10"], lines)
    assert picture is not None
    root = ElementTree.fromstring(picture)
    assert len(root.findall(".//{*}use")) == 6 + 2 * 3  # a mark for each point, two ends for each spread
    strokes = [
        path.attrib["style"] for path in root.findall(".//{*}g/{*}path[@d]") if "stroke: #" in path.attrib["style"]
    ]
    for colour, _, _ in LINES:
        assert sum(f"stroke: {colour}" in stroke for stroke in strokes) == 2  # the line, and the bar of its spread
    assert {"5", "8 < 9", "10", "prompts", "full", "rare", "common"} <= {text.text for text in root.iter(SVG + "text")}
    assert root.attrib["aria-label"] == "N: full 5: 30.0, 10: 33.0; rare 5: 31.0, 10: 33.0; common 5: 32.0, 10: 33.0"
    assert sweep_plot("N", "prompts", ["5", "8"], [Line("full", [Spread(1, None), None])] * 3) is None


def orders() -> PromptOrders:
    tags = [(3, JudgedTag("cat", "common")), (0, JudgedTag("<b>", "novel"))]
    return PromptOrders(
        id="v1",
        title="a cat",
        true=["cat", "a tag with far too many letters to show"],
        decoded=[Decoded("natural order", tags), Decoded("shuffled, 1", [])],
        similarity=np.linspace(-1, 1, 8).reshape(4, 2),
    )


def test_the_heat_map_has_a_cell_for_each_pair() -> None:
    root = ElementTree.fromstring(heat_map(orders()))
    styles = [path.attrib["style"] for path in root.iter(SVG + "path")]
    cells = [style for style in styles if f"fill: {BLUE}" in style]
    assert len(cells) == 4 * 2
    assert sum(f"stroke: {INK}" in style for style in styles) == 2  # each tag's best prompt
    depths = [float(style.partition("opacity: ")[2].partition(";")[0] or 1) for style in cells]
    assert (min(depths), max(depths)) == (0.04, 1.0)
    assert [text.text for text in root.iter(SVG + "text")] == ["0", "1", "2", "3", "cat", "a tag with far too ma…"]


def test_pictures_are_the_same_every_time_and_do_not_follow_anybodys_settings() -> None:
    def drawn() -> tuple[str | None, str]:
        lines = [Line(name, [Spread(30.0, 1.0), Spread(33.0, None)]) for name in ("full", "rare", "common")]
        return sweep_plot("N", "prompts", ["5", "8"], lines), heat_map(orders())

    before = drawn()
    with matplotlib.rc_context({"text.usetex": True, "svg.fonttype": "path", "font.size": 30, "figure.dpi": 17}):
        assert drawn() == before
        assert matplotlib.rcParams["font.size"] == 30


def test_every_colour_of_a_picture_is_another_in_the_dark() -> None:
    lines = [Line(name, [Spread(30.0, 1.0), Spread(33.0, None)]) for name in ("full", "rare", "common")]
    for picture in (sweep_plot("N", "prompts", ["5", "8"], lines), heat_map(orders())):
        assert picture is not None
        root = ElementTree.fromstring(picture)
        sheet = "".join(style.text or "" for style in root.iter(SVG + "style"))
        dark = sheet.partition("(prefers-color-scheme: dark)")[2]
        drawn = {style for part in root.iter() for style in re.findall(r"\w+: #\w+", part.get("style", ""))}
        assert len(drawn) >= 3
        assert [style for style in drawn if f'[style*="{style}"]' not in dark] == []


def test_the_pages_style_leaves_pictures_alone() -> None:
    name = ElementTree.fromstring(heat_map(orders())).attrib["class"]
    assert f".{name} " in asset("picture.css")
    assert not re.search(rf"\.{name}\b", asset("report.css") + asset("tables.css"))


def some_results() -> Results:
    text = TextTable(columns=("system", "F1 | x"), rows=(("op-tsg", "38.6"), ("  paper", "32.2")))
    plot = sweep_plot("N", "prompts", ["5", "8"], [Line("full", [Spread(1, None), Spread(2, 0.5)])] * 3)
    sections = [
        Section(key=table.key, title=table.title, headline=f"{table.key} says < it", command=f"optsg-tables --tables {table.key}", note="n", tables=[text], plot=plot if table.kind == "sweep" else None)
        for table in TABLES
    ]  # fmt: skip
    case = Case("v", "<script>alert(1)</script>", [JudgedTag("cat", "common")], {"asy": [JudgedTag("dog", "wrong")]})
    return Results(
        facts=[("Data", "feats_1.h5")], sections=sections, orders=orders(), cases=[case], missing=["x: not trained"]
    )


class Outline(HTMLParser):
    """Ids, open elements, and addresses that a browser would fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.open: list[str] = []
        self.fetched: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.ids += [values["id"] or ""] if "id" in values else []
        self.fetched += [
            str(values[name]) for name in ("src", "href") if name in values and not str(values[name]).startswith("#")
        ]
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_whole_and_holds_every_table() -> None:
    document = html(some_results())
    outline = Outline()
    outline.feed(document)
    assert outline.open == []
    assert outline.fetched == []
    assert {f"table-{table.key}" for table in TABLES} | {"figure-3", "figure-4"} <= set(outline.ids)
    assert "<script" not in document
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in document
    assert "prefers-color-scheme: dark" in document
    assert document.count('<p class="verdict">') == document.count(" says &lt; it") == len(TABLES)
    main = document.partition("<main>")[2]
    assert 'id="figure-4"' in main.partition('id="about"')[0]
    missing = main.partition('id="missing"')[2]
    assert "<details>" in missing.partition("x: not trained")[0]


def test_markdown_holds_every_table_and_shows_pictures_that_are_written() -> None:
    results = some_results()
    text = "".join(markdown(results))
    for table in TABLES:
        assert f"## {table.title}\n\n{table.key} says \\< it\n\n```sh\noptsg-tables --tables {table.key}\n```" in text
    assert "| system | F1 \\| x |\n| --- | ---: |\n| op-tsg | 38.6 |\n| paper | 32.2 |\n" in text
    assert set(pictures(results)) == {"table-4.svg", "table-5.svg", "table-6.svg", "figure-3.svg"}
    for name in pictures(results):
        assert f"]({name})" in text
    assert "- natural order: 3: ✓ cat, 0: ✦ \\<b\\>\n- shuffled, 1: no tags\n" in text
    assert "- asy: ✗ dog\n" in text
    assert text.endswith("\n## What is missing\n\n- x: not trained\n")
    assert text.count(" says \\< it\n") == len(TABLES)


def test_text_cannot_become_markup() -> None:
    assert escape("a|b *c* [d](e)\n`f` <g>") == "a\\|b \\*c\\* \\[d\\](e) \\`f\\` \\<g\\>"


def test_verdicts() -> None:
    from optsg.data.metrics import tag_groups

    groups = tag_groups(COUNTS, {"cat", "dog", "owl"})
    judged = judge_tags(["Cat", "dog", "owl", "moon", "sun"], {"cat", "dog", "moon"}, groups, COUNTS)
    assert [tag.verdict for tag in judged] == ["common", "rare", "wrong", "unseen", "novel"]


def test_a_command_can_be_pasted() -> None:
    made = Invocation(
        feats=Path("my feats.h5"), out=Path("r"), seeds=(0, 1), size="small", settings=("epochs=3",), pretrained=(), quick=True
    )  # fmt: skip
    assert made.command("4") == (
        "optsg-tables --feats 'my feats.h5' --out r --tables 4 --seeds 0,1 --size small --set epochs=3 --quick"
    )
