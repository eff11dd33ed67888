"""``tables.html`` in a browser, opened from disk."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from optsg.evaluate.tables.charts import Line, sweep_plot
from optsg.evaluate.tables.documents import html
from optsg.evaluate.tables.measures import Spread
from optsg.evaluate.tables.results import Results, Section
from optsg.evaluate.tables.text_tables import GROUPS, RATES, TextTable
from playwright.sync_api import Browser, expect

from tests.evaluate.legible import Scheme, every_look, every_width, flaws, shown
from tests.evaluate.tables.test_documents import some_results

CELL = "38.8 ± 0.5 (34.7–42.6)"


def full_results() -> Results:
    """As wide as they get: every rate of every group, a sweep, names of the longest settings."""
    rates = tuple(f"{group} {rate}" for group in (*GROUPS, "example") for rate in RATES)
    systems = TextTable(
        columns=("system", "runs", *rates),
        rows=(
            ("bin", "3 of 3", *["35.6 ± 0.3", "50.3 ± 1.4", CELL] * 4),
            ("  paper, CREATE-210K", "", *["21.1", "28.8", "22.4"] * 4),
            ("op-tsg, the paper's setting", "3 of 3", *["36.9 ± 0.3", "40.1 ± 2.5", "45.0 ± 0.9 (41.2–48.3)"] * 4),
        ),
    )
    groups = TextTable(
        columns=("run", "runs", *(name for group in GROUPS for name in (f"{group} F1", f"paper {group}"))),
        rows=tuple(
            (name, "3 of 3", *[cell, "32.2"] * 3)
            for name, cell in (("decoding=parallel, copy_title=true, tag_head=true", CELL), ("both", "36.6"))
        ),
        caption="Cost",
    )
    lines = [Line(group, [Spread(10.0 * n, 1.0), Spread(12.0 * n, 0.5)]) for n, group in enumerate(GROUPS, 1)]
    section = Section(
        key="1",
        title="Tables 1 and 2: systems",
        headline="op-tsg reaches a full F1 of 45.0 %, 6.2 points above the best other system, bin.",
        command=f"optsg-tables --feats feats.h5 --out results --tables 1 {'--set prompts=12 ' * 9}",
        note="Percent.",
        tables=[systems, groups],
        plot=sweep_plot("N", "prompts", ["5", "8"], lines),
    )
    return replace(some_results(), sections=[section], missing=["op-tsg-paper, seeds 0, 1 and 2: not trained"] * 30)


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    path: Path = tmp_path_factory.mktemp("page") / "tables.html"
    path.write_text(html(full_results()), encoding="utf-8")
    return path.as_uri()


@every_width
@every_look
def test_it_can_be_read(browser: Browser, address: str, width: int, scheme: Scheme) -> None:
    with shown(browser, address, width, scheme) as page:
        assert flaws(page) == []
        page.locator(".switch input").check()
        page.locator("details summary").click()
        assert flaws(page) == []


def test_f1_fits_a_desk_and_precision_and_recall_come_with_the_switch(browser: Browser, address: str) -> None:
    with shown(browser, address, 1280, "light") as page:
        fits = "[...document.querySelectorAll('.wide')].map(box => box.scrollWidth <= box.clientWidth)"
        assert page.evaluate(fits) == [True, True]
        detailed = page.locator("th.detailed")
        expect(detailed.first).to_be_hidden()
        page.get_by_label("precision (P) and recall (R) too").focus()
        page.keyboard.press("Space")
        expect(page.locator("th.detailed:visible")).to_have_count(detailed.count())
        assert detailed.all_inner_texts() == [f"{group} {rate}" for group in (*GROUPS, "example") for rate in "PR"]


def test_names_stay_in_sight_and_the_best_is_said(browser: Browser, address: str) -> None:
    with shown(browser, address, 390, "light") as page:
        table = page.locator(".wide").first
        table.evaluate("box => box.scrollLeft = 200")
        left = "cell => cell.getBoundingClientRect().left"
        assert table.locator("tbody th").first.evaluate(left) == table.evaluate(left)
        best = table.locator("td:visible", has=page.locator("b"))
        assert best.all_text_contents() == ["best: 45.0 ± 0.9 (41.2–48.3)"] * 4


def test_what_is_missing_comes_last_and_folded(browser: Browser, address: str) -> None:
    with shown(browser, address, 1280, "light") as page:
        assert page.locator("main > section").last.get_attribute("id") == "missing"
        expect(page.locator("#missing li").first).to_be_hidden()
        page.locator("#missing summary").press("Enter")
        expect(page.locator("#missing li:visible")).to_have_count(30)
