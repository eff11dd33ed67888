"""What the check of pages finds, for pages made to have each flaw."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.evaluate.legible import flaws, shown

TEMPLATE = "<!doctype html><body style='margin: 0; font: 16px serif; background: #fff; color: #000'>{}"
DRAWING = "<svg viewBox='0 0 300 100' width='300'><text x='10' y='{}'>one</text><text x='20' y='50'>two</text></svg>"


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ("plain", []),
        ("<small style='font-size: 11px'>small</small>", ['11.0 px: "small"']),
        ("<svg viewBox='0 0 600 20' width='300'><text y='15'>drawn</text></svg>", ['8.0 px: "drawn"']),
        ("<p style='color: #999'>faint</p>", ['contrast 2.85: "faint"']),
        ("<p style='opacity: .4'>faded</p>", ['contrast 2.85: "faded"']),
        ("<b class='spoken' style='font-size: 1px'>heard</b><p hidden style='font-size: 1px'>hidden</p>", []),
        (DRAWING.format(50), ['labels overlap: "one" and "two"']),
        (DRAWING.format(90), []),
        ("<div style='width: 500px'>wide</div>", ["wider than the window: 500"]),
        (f"<div style='overflow: hidden'><pre>{'x' * 99}</pre></div>", [f'code is cut off: "{"x" * 40}"']),
        (f"<pre style='overflow: auto'>{'x' * 99}</pre>", []),
    ],
)
def test_each_flaw_is_found(browser: Browser, tmp_path: Path, body: str, found: list[str]) -> None:
    path = tmp_path / "page.html"
    path.write_text(TEMPLATE.format(body), encoding="utf-8")
    with shown(browser, path.as_uri(), 390, "light") as page:
        assert flaws(page) == found
