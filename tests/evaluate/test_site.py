"""The documentation as a site that is opened from disk."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.evaluate.legible import Scheme, every_look, every_width, flaws, shown

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("documentation") / "site"
    build = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--site-dir", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True)
    return folder


@pytest.mark.slow
def test_the_search_works_from_disk_and_fetches_nothing(browser: Browser, site: Path) -> None:
    fetched: list[str] = []
    page = browser.new_page()
    page.on("request", lambda request: fetched.append(request.url))
    page.goto((site / "index.html").as_uri())
    page.evaluate("document.querySelector('#__search').click()")
    page.fill(".md-search__input", "chapters")
    page.keyboard.press("Space")
    page.wait_for_selector(".md-search-result__item", timeout=30_000)
    assert "When a tag holds" in page.inner_text(".md-search-result")
    page.close()
    assert [url for url in fetched if not url.startswith(("file:", "data:", "blob:"))] == []


@pytest.mark.slow
@every_width
@every_look
def test_every_page_can_be_read(browser: Browser, site: Path, width: int, scheme: Scheme) -> None:
    """Tables and code that are wider than a page scroll within it."""
    pages = sorted(site.rglob("*.html"))
    assert len(pages) > 30
    found = {}
    for path in pages:
        with shown(browser, path.as_uri(), width, scheme) as page:
            found[path.relative_to(site).as_posix()] = flaws(page)
    assert {path: seen for path, seen in found.items() if seen} == {}


def test_words_of_the_drawing_do_not_overlap_in_a_wide_typeface(browser: Browser) -> None:
    page = browser.new_page(viewport={"width": 1300, "height": 1250})
    page.set_content((ROOT / "docs" / "architecture.svg").read_text(encoding="utf-8"))
    page.add_style_tag(content="text { font-family: 'DejaVu Sans', Verdana, sans-serif !important }")
    assert [flaw for flaw in flaws(page) if flaw.startswith("labels")] == []
    page.close()
