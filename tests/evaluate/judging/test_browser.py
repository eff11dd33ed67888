"""The page in a real Chromium: keyboard alone, two annotators, a reload, a restart, a phone, light and dark."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from optsg.evaluate.judging.answers import AnswerFile
from optsg.evaluate.judging.sources import MediaBytes

from tests.evaluate.judging.conftest import Serve

pytest.importorskip("playwright.sync_api", reason="playwright is not installed (pip install -e '.[dev]')")
from playwright.sync_api import Browser, Page, Response, expect, sync_playwright

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
PHONE = {"width": 390, "height": 844}

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on PATH (apt-get install chromium)")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as driver:
        program = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"], timeout=120_000)
        yield program
        program.close()


@pytest.fixture
def media(tmp_path: Path, ffmpeg: str) -> dict[int, MediaBytes]:
    """The same clip for videos a and b; that of d was not found."""
    path = tmp_path / "clip.webm"
    source = "testsrc=size=160x90:rate=10:duration=4"
    subprocess.run(
        [ffmpeg, "-v", "error", "-f", "lavfi", "-i", source, "-c:v", "libvpx", "-deadline", "realtime", str(path)],
        check=True,
    )
    clip = MediaBytes(path=path, offset=0, size=path.stat().st_size, type="video/webm")
    return {0: clip, 1: clip}


def sign_in(page: Page, url: str, name: str) -> None:
    page.goto(url)
    page.keyboard.type(name)  # the field has the focus
    page.keyboard.press("Enter")
    expect(page.locator("#work")).to_be_visible()


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

        first = page.locator("#tag").text_content()
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
        while page.locator("video").count() == 0:
            page.keyboard.press("ArrowRight")
        page.wait_for_function("document.querySelector('video').currentTime > 0.1")

        page.keyboard.press("Space")
        page.wait_for_function("document.querySelector('video').paused")
        before = page.evaluate("document.querySelector('video').currentTime")
        page.keyboard.press(".")
        page.wait_for_function(
            f"!document.querySelector('video').seeking && document.querySelector('video').currentTime > {before} + 0.9"
        )
        page.close()


def test_two_annotators_at_once(browser: Browser, serve: Serve, media: dict[int, MediaBytes], answers: AnswerFile):
    with serve(media) as server:
        ann, bo = (browser.new_context().new_page() for _ in range(2))
        sign_in(ann, server.url, "Ann")
        sign_in(bo, server.url, "Bo")
        for number in range(1, 6):
            press(ann, "1", f"{number} of 5 judged")
            press(bo, "2", f"{number} of 5 judged")
        for page in (ann, bo):
            page.context.close()

    assert set(answers.of_annotator("Ann").values()) == {"relevant"}
    assert set(answers.of_annotator("Bo").values()) == {"not"}
    assert len(answers.all()) == 10


def test_a_reload_and_a_restart_in_the_middle(
    browser: Browser, serve: Serve, media: dict[int, MediaBytes], answers: AnswerFile
):
    page = browser.new_page()
    with serve(media) as server:
        sign_in(page, server.url, "Ann")
        press(page, "1", "1 of 5 judged")
        press(page, "1", "2 of 5 judged")
        tag = page.locator("#tag").text_content()

        page.reload()
        expect(page.locator("#count")).to_have_text("2 of 5 judged")  # the name stands in the address
        expect(page.locator("#tag")).to_have_text(tag)

    page.keyboard.press("2")
    expect(page.locator("#trouble")).to_contain_text("Not saved. The server does not answer.")
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


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_in_light_and_dark(browser: Browser, serve: Serve, media: dict[int, MediaBytes], scheme: str):
    with serve(media) as server:
        context = browser.new_context(viewport=PHONE, color_scheme=scheme, has_touch=True, is_mobile=True)
        page = context.new_page()
        page.goto(server.url)
        assert not overflows(page)
        page.fill("#name", "A name that is long, " + "w" * 30)
        page.tap("button[type=submit]")
        expect(page.locator("#work")).to_be_visible()
        assert not overflows(page)
        assert (
            page.locator("[data-verdict]").last.bounding_box()["y"] < PHONE["height"] - 60
        )  # in reach without scrolling
        page.tap('[data-verdict="relevant"]')
        expect(page.locator("#count")).to_have_text("1 of 5 judged")
        assert (luminance(page) > 0.5) == (scheme == "light")
        page.goto(server.url + "results")
        assert not overflows(page)
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
        page.on("response", replies.append)
        sign_in(page, server.url, "Ann")
        told = [reply.text() for reply in replies if reply.url.endswith("questions")]
        addresses = [reply.url for reply in replies]
        shown = page.content()
        page.close()

    assert all(address.startswith(server.url) for address in addresses)
    assert len(told) == 1
    assert not any(word in told[0] for word in ("first", "second", "novel"))
    assert "novel" not in shown
