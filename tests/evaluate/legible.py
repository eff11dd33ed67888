"""Whether a page can be read: at a desk and on a phone, in light and in the dark."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, Page

Scheme = Literal["light", "dark"]

FLAWS = (Path(__file__).parent / "flaws.js").read_text(encoding="utf-8")
SMALLEST = 12
"""Pixels of the smallest letter."""

every_look = pytest.mark.parametrize("scheme", ["light", "dark"])
every_width = pytest.mark.parametrize("width", [1280, 390])


@contextmanager
def shown(browser: Browser, address: str, width: int, scheme: Scheme) -> Iterator[Page]:
    """The page at an address in a window of this width."""
    page = browser.new_page(viewport={"width": width, "height": 850}, color_scheme=scheme)
    page.goto(address)
    yield page
    page.close()


def flaws(page: Page) -> list[str]:
    """Too small or too faint text, labels of a drawing that overlap, code that is cut off, a page wider than the window."""
    found: list[str] = page.evaluate(FLAWS, SMALLEST)
    return found
