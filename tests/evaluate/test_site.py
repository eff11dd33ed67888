"""The documentation as a site that is opened from disk."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from playwright.sync_api import Browser

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
def test_the_search_works_from_disk_and_fetches_nothing(browser: Browser, tmp_path: Path) -> None:
    build = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--site-dir", str(tmp_path / "site")]
    subprocess.run(build, cwd=ROOT, check=True)
    fetched: list[str] = []
    page = browser.new_page()
    page.on("request", lambda request: fetched.append(request.url))
    page.goto((tmp_path / "site" / "index.html").as_uri())
    page.evaluate("document.querySelector('#__search').click()")
    page.fill(".md-search__input", "chapters")
    page.keyboard.press("Space")
    page.wait_for_selector(".md-search-result__item", timeout=30_000)
    assert "When a tag holds" in page.inner_text(".md-search-result")
    page.close()
    assert [url for url in fetched if not url.startswith(("file:", "data:", "blob:"))] == []
