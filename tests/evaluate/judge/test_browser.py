"""The page in a real Chromium: keyboard alone, two annotators, a reload, a restart, a phone, light and dark."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pytest
from optsg.data.inputs.source_files import MediaBytes
from optsg.evaluate.judge.answers import Answer, AnswerFile
from playwright.sync_api import Browser, Page, Response, ViewportSize, expect

from tests.evaluate.judge.conftest import Serve
from tests.evaluate.legible import Scheme, every_look, every_width, flaws, shown

PHONE: ViewportSize = {"width": 390, "height": 844}
PATIENCE_S = 30.0

expect.set_options(timeout=1000 * PATIENCE_S)


@pytest.fixture
def media(clip_factory: Callable[..., Path]) -> dict[int, MediaBytes]:
    """The same clip for videos a and b; that of d was not found."""
    path = clip_factory("clip.webm", duration=4.0, size=(160, 90), codec="vp9")
    clip = MediaBytes(path=path, offset=0, size=path.stat().st_size, type="video/webm")
    return {0: clip, 1: clip}


def sign_in(page: Page, url: str, name: str) -> None:
    page.goto(url)
    page.keyboard.type(name)  # the field has the focus
    page.keyboard.press("Enter")
    expect(page.locator("#work")).to_be_visible()


def until(page: Page, script: str) -> None:
    """Waits until a script gives true. The page's policy forbids Playwright's own way, which is to compile in the page."""
    end = time.monotonic() + PATIENCE_S
    while not page.evaluate(script):
        assert time.monotonic() < end, f"never true: {script}"
        page.wait_for_timeout(50)


def to_the_video(page: Page) -> None:
    while page.locator("video").count() == 0:
        page.keyboard.press("ArrowRight")
    until(page, "document.querySelector('video').currentTime > 0.1")


def press(page: Page, key: str, count: str) -> None:
    page.keyboard.press(key)
    expect(page.locator("#count")).to_have_text(count)


def test_by_keyboard_alone_to_the_end_and_back(
    browser: Browser, serve: Serve, media: dict[int, MediaBytes], answers: AnswerFile
):
    with serve(media) as server:
        page = browser.new_page()
        problems: list[str] = []
        page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: problems.append(str(error)))
        sign_in(page, server.url, "Ann")

        first = page.locator("#tag").inner_text()
        press(page, "1", "1 of 5 judged")
        press(page, "z", "0 of 5 judged")
        expect(page.locator("#tag")).to_have_text(first)
        for number, key in enumerate("12312", start=1):
            press(page, key, f"{number} of 5 judged")
        expect(page.locator("#done-head")).to_have_text("All 5 tags are judged. Thank you.")
        assert sorted(answers.of_annotator("Ann").values()) == ["not", "not", "relevant", "relevant", "unsure"]

        page.keyboard.press("ArrowLeft")  # the last one again, to change it
        expect(page.locator('[data-verdict="not"]')).to_have_attribute("aria-pressed", "true")
        page.locator('[data-verdict="unsure"]').focus()
        page.keyboard.press("Space")  # on a button it presses the button
        expect(page.locator("#done")).to_be_visible()
        assert sorted(answers.of_annotator("Ann").values()) == ["not", "relevant", "relevant", "unsure", "unsure"]
        page.close()

    assert [text for text in problems if "404" not in text] == []  # the still of a video that has none


def test_the_video_plays_seeks_and_pauses(browser: Browser, serve: Serve, media: dict[int, MediaBytes]):
    with serve(media) as server:
        page = browser.new_page()
        sign_in(page, server.url, "Ann")
        to_the_video(page)

        page.keyboard.press("Space")
        until(page, "document.querySelector('video').paused")
        before = page.evaluate("document.querySelector('video').currentTime")
        page.keyboard.press("." if before < 2 else ",")
        until(
            page,
            "!document.querySelector('video').seeking && "
            f"Math.abs(document.querySelector('video').currentTime - {before}) > 0.9",
        )
        assert page.evaluate("document.querySelector('video').muted")
        page.keyboard.press("m")
        until(page, "!document.querySelector('video').muted")
        page.close()


def test_after_a_click_the_space_bar_is_for_the_video(
    browser: Browser, serve: Serve, media: dict[int, MediaBytes], answers: AnswerFile
):
    with serve(media) as server:
        page = browser.new_page()
        sign_in(page, server.url, "Ann")
        to_the_video(page)
        page.click('[data-verdict="not"]')
        expect(page.locator("#count")).to_have_text("1 of 5 judged")
        page.keyboard.press("Space")
        page.wait_for_timeout(200)
        expect(page.locator("#count")).to_have_text("1 of 5 judged")
        page.close()

    assert list(answers.of_annotator("Ann").values()) == ["not"]


def test_two_annotators_at_once(browser: Browser, serve: Serve, media: dict[int, MediaBytes], answers: AnswerFile):
    with serve(media) as server:
        ann, bo = (browser.new_context().new_page() for _ in range(2))
        sign_in(ann, server.url, "Ann")
        sign_in(bo, server.url, "Bo")
        for number in range(1, 6):
            ann.keyboard.press("1")  # neither waits for the other
            bo.keyboard.press("2")
            for page in (ann, bo):
                expect(page.locator("#count")).to_have_text(f"{number} of 5 judged")
        for page in (ann, bo):
            page.context.close()

    assert set(answers.of_annotator("Ann").values()) == {"relevant"}
    assert set(answers.of_annotator("Bo").values()) == {"not"}
    assert len(answers.all()) == 10


def test_one_annotator_after_the_other_on_one_machine(
    browser: Browser, serve: Serve, media: dict[int, MediaBytes], answers: AnswerFile
):
    with serve(media) as server:
        page = browser.new_page()
        sign_in(page, server.url, "Ann")
        press(page, "1", "1 of 5 judged")
        expect(page.locator("#last")).to_have_text(re.compile(r"^Saved “.+”: relevant$"))
        page.locator("#work .who").focus()
        page.keyboard.press("Enter")
        expect(page.locator("#name")).to_be_focused()
        page.keyboard.type("Bo")
        page.keyboard.press("Enter")
        expect(page.locator("#work .who")).to_contain_text("Bo")
        expect(page.locator("#count")).to_have_text("0 of 5 judged")
        expect(page.locator("#last")).to_be_empty()
        page.keyboard.press("z")
        expect(page.locator("#last")).to_have_text("There is nothing to take back.")
        press(page, "3", "1 of 5 judged")
        page.close()

    assert [list(answers.of_annotator(name).values()) for name in ("Ann", "Bo")] == [["relevant"], ["unsure"]]


def test_a_reload_and_a_restart_in_the_middle(
    browser: Browser, serve: Serve, media: dict[int, MediaBytes], answers: AnswerFile
):
    page = browser.new_page()
    with serve(media) as server:
        sign_in(page, server.url, "Ann")
        press(page, "1", "1 of 5 judged")
        press(page, "1", "2 of 5 judged")
        tag = page.locator("#tag").inner_text()

        page.reload()
        expect(page.locator("#count")).to_have_text("2 of 5 judged")  # the name stands in the address
        expect(page.locator("#tag")).to_have_text(tag)

    page.keyboard.press("2")
    expect(page.locator("#trouble")).to_contain_text("Not saved. The server does not answer.")
    expect(page.locator("#last")).to_be_empty()
    expect(page.locator("#count")).to_have_text("2 of 5 judged")
    assert len(answers.all()) == 2

    with serve(media) as server:
        sign_in(page, server.url, "Ann")
        expect(page.locator("#count")).to_have_text("2 of 5 judged")
        expect(page.locator("#tag")).to_have_text(tag)
        press(page, "2", "3 of 5 judged")
        page.keyboard.press("z")
        expect(page.locator("#tag")).to_have_text(tag)  # taken back after the restart
        page.close()
    assert len(answers.all()) == 2


@every_width
@every_look
def test_it_can_be_read(browser: Browser, serve: Serve, media: dict[int, MediaBytes], width: int, scheme: Scheme):
    with serve(media) as server, shown(browser, server.url, width, scheme) as page:
        assert flaws(page) == []
        sign_in(page, server.url, "Ann")
        for verdict in range(1, 4):
            assert flaws(page) == []
            press(page, str(verdict), f"{verdict} of 5 judged")
        page.keyboard.press("ArrowLeft")
        assert flaws(page) == []
        page.goto(server.url + "results")
        expect(page.locator("svg[role=img]").first).to_be_visible()
        assert flaws(page) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_in_light_and_dark(
    browser: Browser, serve: Serve, media: dict[int, MediaBytes], scheme: Literal["light", "dark"]
):
    with serve(media) as server:
        context = browser.new_context(viewport=PHONE, color_scheme=scheme, has_touch=True, is_mobile=True)
        page = context.new_page()
        page.goto(server.url)
        assert not overflows(page)
        page.fill("#name", "A name that is long, " + "w" * 30)
        page.tap("button[type=submit]")
        expect(page.locator("#work")).to_be_visible()
        assert not overflows(page)
        for button in page.locator("#work button").all():  # in reach without scrolling
            expect(button).to_be_in_viewport(ratio=1)
        page.tap('[data-verdict="relevant"]')
        expect(page.locator("#count")).to_have_text("1 of 5 judged")
        assert (luminance(page) > 0.5) == (scheme == "light")
        page.goto(server.url + "results")
        assert not overflows(page)
        assert (luminance(page) > 0.5) == (scheme == "light")
        context.close()


def overflows(page: Page) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"))


def luminance(page: Page) -> float:
    """Of the page's background, 0 to 1."""
    colour = page.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)")
    return float(sum(colour)) / 3 / 255


def test_nothing_is_fetched_from_elsewhere_and_no_run_is_named(
    browser: Browser, serve: Serve, media: dict[int, MediaBytes]
):
    with serve(media) as server:
        page = browser.new_page()
        replies: list[Response] = []
        page.on("response", lambda reply: replies.append(reply))
        sign_in(page, server.url, "Ann")
        told = [reply.text() for reply in replies if reply.url.endswith("questions")]
        addresses = [reply.url for reply in replies]
        shown = page.content()
        page.close()

    assert all(address.startswith(server.url) for address in addresses)
    assert len(told) == 1
    assert not any(word in told[0] for word in ("first", "second", "novel"))
    assert "novel" not in shown


def test_the_results_page_sorts_searches_and_saves(
    browser: Browser, serve: Serve, media: dict[int, MediaBytes], answers: AnswerFile
):
    for annotator in ("Ann", "Bo"):
        answers.save(Answer(video="b", tag="puppy", annotator=annotator, verdict="relevant"))
    with serve(media) as server:
        page = browser.new_page()
        problems: list[str] = []
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.goto(server.url + "results")
        expect(page.locator("#gain tbody tr").first).to_contain_text(
            "8.33 %"
        )  # a quarter of b's four tags, of three videos

        page.get_by_role("button", name="Relevant", exact=True).click()
        expect(page.locator("#tag-table tbody th").first).to_have_text("puppy")
        page.fill("#tag-table-filter", "kit")
        expect(page.locator("label.search output")).to_have_text("1 tag")
        with page.expect_download() as download:
            page.get_by_text("Save as CSV").click()
        assert download.value.path().read_text(encoding="utf-8").startswith("video,title,tag,")
        page.close()

    assert problems == []
