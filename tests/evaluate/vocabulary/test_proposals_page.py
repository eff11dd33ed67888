"""The page in a real Chromium, opened from disk: what is accepted there comes back as the same CSV; a phone, light and dark."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest
from optsg.data.vocabulary.decisions import Decisions, read_decisions
from optsg.data.vocabulary.proposal import Proposal, csv_lines
from optsg.evaluate.vocabulary.page import proposals_page
from playwright.sync_api import Browser, Page, expect

from tests.evaluate.legible import Scheme, every_look, every_width, flaws, shown

HOSTILE = '<img src=x onerror="document.title=1">", =1'
PROPOSALS = [
    Proposal(kind="spelling", tag="cta", into="cat", score=0.98, evidence="written alike 0.80", count_tag=1, count_into=1200),
    Proposal(kind="alias", tag=HOSTILE, into="'=x", score=0.7, evidence="</script><b>", count_tag=2, count_into=3),
    Proposal(kind="one-off", tag="misc", into="", score=0.6, evidence="used once", count_tag=1, count_into=0),
]  # fmt: skip


@pytest.fixture
def page_file(tmp_path: Path) -> Path:
    path = tmp_path / "proposals.html"
    path.write_text(proposals_page(PROPOSALS, source="<i>feats</i>.h5", tags=3210), encoding="utf-8")
    return path


def opened(browser: Browser, file: Path, scheme: Literal["light", "dark"] = "light", width: int = 1200) -> Page:
    page = browser.new_page(color_scheme=scheme, viewport={"width": width, "height": 800})
    page.on("console", lambda message: pytest.fail(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: pytest.fail(str(error)))
    page.goto(file.as_uri())
    return page


def save(page: Page, to: Path) -> str:
    with page.expect_download() as download:
        page.locator("#save").click()
    assert download.value.suggested_filename == "accepted.csv"
    download.value.save_as(to)
    return to.read_text(encoding="utf-8")


def test_texts_are_texts(page_file: Path) -> None:
    text = page_file.read_text(encoding="utf-8")
    assert "<img" not in text
    assert "</script><b>" not in text
    assert "&lt;i&gt;feats&lt;/i&gt;.h5" in text
    assert "http" not in text.replace("http-equiv", "")


def test_what_is_accepted_comes_back(browser: Browser, page_file: Path, tmp_path: Path) -> None:
    page = opened(browser, page_file)
    expect(page.locator("tbody tr")).to_have_count(3)
    untouched = save(page, tmp_path / "untouched.csv")
    assert untouched == "".join(csv_lines(PROPOSALS))
    page.get_by_role("button", name="yes: cta").click()
    page.get_by_role("button", name="no: misc").click()
    page.get_by_role("button", name=f"yes: {HOSTILE}", exact=True).click()
    expect(page.locator("#done")).to_have_text("2 accepted, 1 refused, 0 open")
    save(page, tmp_path / "accepted.csv")
    assert read_decisions(tmp_path / "accepted.csv") == Decisions(merged={"cta": "cat", HOSTILE.lower(): "'=x"})
    page.get_by_role("button", name="yes: cta").click()  # once more takes it back
    expect(page.locator("#done")).to_have_text("1 accepted, 1 refused, 1 open")
    page.close()


def test_all_that_are_shown_are_decided_together(browser: Browser, page_file: Path) -> None:
    page = opened(browser, page_file)
    page.locator("select[name=kind]").select_option("spelling")
    expect(page.locator("tbody tr:visible")).to_have_count(1)
    page.get_by_role("button", name="Accept all shown").click()
    expect(page.locator("#done")).to_have_text("1 accepted, 0 refused, 2 open")
    page.locator("select[name=kind]").select_option("")
    page.locator("input[name=text]").fill("MISC")
    expect(page.locator("form output")).to_have_text("1 shown")
    page.get_by_role("button", name="Refuse all shown").click()
    page.locator("input[name=text]").fill("")
    page.locator("input[name=open]").check()
    expect(page.locator("tbody tr:visible")).to_have_count(1)
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_cut_off_on_a_phone(browser: Browser, page_file: Path, scheme: Literal["light", "dark"]) -> None:
    page = opened(browser, page_file, scheme, width=360)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    for button in page.locator("tbody button").all():
        box = button.bounding_box()
        assert box is not None
        assert box["x"] + box["width"] <= 360
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert ground == {"light": "rgb(250, 249, 247)", "dark": "rgb(21, 23, 26)"}[scheme]
    page.close()


@every_width
@every_look
def test_it_can_be_read(browser: Browser, page_file: Path, width: int, scheme: Scheme) -> None:
    with shown(browser, page_file.as_uri(), width, scheme) as page:
        assert flaws(page) == []
        for button in page.locator("tbody button").all():
            button.click()
        assert flaws(page) == []


def test_a_page_without_proposals(browser: Browser, tmp_path: Path) -> None:
    path = tmp_path / "none.html"
    path.write_text(proposals_page([], source="feats.h5", tags=1), encoding="utf-8")
    page = opened(browser, path)
    expect(page.locator("main")).to_have_text("There is nothing to propose.")
    page.close()
