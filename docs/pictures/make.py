"""Makes the pictures of the documentation: what the commands show for the sample data, at a fixed size and in light colours.

``make pictures`` calls it after ``make demo``. Pages are taken in Chromium, the terminal by Rich's SVG of what the commands write.
"""

from __future__ import annotations

import argparse
import io
import os
import re
import shlex
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, ViewportSize, sync_playwright
from rich.console import Console
from rich.text import Text

HERE = Path(__file__).resolve().parent
DESK: ViewportSize = {"width": 1120, "height": 650}
PHONE: ViewportSize = {"width": 390, "height": 780}
SHOWN_CLIPS = ("1f3a2", "1f980")
"""Clips of the test split that the terminal shows."""
ROOM = 20
"""Pixels above what is shown first, and below what is shown last."""
NAVIGATION = 40
"""Height of the line of links that stays in sight."""
QUALITY = 88
TERMINAL_COLUMNS = 70
"""Few, so that a phone shows letters that can be read."""
WEB_FONTS = re.compile(r"(?s)@font-face \{.*?\}")
"""Rich's picture would fetch them."""


def main() -> None:
    """Writes every picture beside this file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True, help="run folder, evaluated on test with --evidence")
    parser.add_argument("--feats", type=Path, required=True, help="its feature store")
    parser.add_argument("--inputs", type=Path, required=True, help="the sample data that the store was made from")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _lay_out(folder, given.run, given.feats, given.inputs)
        (HERE / "terminal.svg").write_text(terminal(folder), encoding="utf-8")
        with sync_playwright() as driver:
            program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
            browser = driver.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
            report(browser, folder)
            judge(browser, folder)
            browser.close()


def _lay_out(folder: Path, run: Path, feats: Path, inputs: Path) -> None:
    """A working folder with short names, for commands show the paths that they are given."""
    (folder / "runs").mkdir()
    (folder / "data").mkdir()
    (folder / "runs" / "emoji").symlink_to(run.resolve())
    (folder / "data" / "sample").symlink_to(inputs.resolve())
    (folder / "feats.h5").symlink_to(feats.resolve())
    with tarfile.open(inputs / "test.tar") as shard:
        clips = [member for member in shard if Path(member.name).stem in SHOWN_CLIPS]
        shard.extractall(folder / "videos", clips, filter="data")


def terminal(folder: Path) -> str:
    """The SVG of a terminal in which clips are extracted and one of them is tagged."""
    console = Console(record=True, width=TERMINAL_COLUMNS, file=io.StringIO(), force_terminal=True)
    lines = (
        "optsg-extract videos --out videos.h5 --preset small",
        f"optsg-tag videos/{SHOWN_CLIPS[0]}.mp4 --run runs/emoji",
    )
    for line in lines:
        console.print(Text(f"$ {line}", style="bold"))
        console.print(Text(_output(folder, line).rstrip("\n")))
    return WEB_FONTS.sub("", console.export_svg(title="optsg", unique_id="terminal"))


def _output(folder: Path, line: str) -> str:
    """What a command writes."""
    name, *words = shlex.split(line)
    environment = {**os.environ, "COLUMNS": str(TERMINAL_COLUMNS)}
    done = subprocess.run(  # noqa: S603  the command lines stand above
        [_program(name), *words], cwd=folder, env=environment, text=True, check=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )  # fmt: skip
    return done.stdout


def _program(name: str) -> str:
    return str(Path(sys.executable).parent / name)


def report(browser: Browser, folder: Path) -> None:
    """The top of a report, and on a phone the card of one video with its evidence."""
    _output(folder, "optsg-report runs/emoji --feats feats.h5 --inputs data/sample --out report.html")
    page = browser.new_page(viewport=DESK, color_scheme="light")
    page.goto((folder / "report.html").as_uri())
    following = page.locator("#frequency").bounding_box()
    assert following is not None
    page.set_viewport_size({"width": DESK["width"], "height": round(following["y"]) - ROOM})
    _take(page, "report.webp")
    page.close()
    page = browser.new_page(viewport=PHONE, color_scheme="light")
    page.goto((folder / "report.html").as_uri())
    resting_on_frames = page.locator("button.tag:not([data-frames^='0 '])")
    card = page.locator(".card", has=page.locator(".strip img")).filter(has=resting_on_frames).first
    card.locator(resting_on_frames).first.focus()
    card.evaluate("(card, room) => scrollTo(0, scrollY + card.getBoundingClientRect().top - room)", ROOM + NAVIGATION)
    _take(page, "report-phone.webp")
    page.close()


def judge(browser: Browser, folder: Path) -> None:
    """One question of the judge page."""
    with _judging(folder) as address:
        page = browser.new_page(viewport=DESK, color_scheme="light")
        page.goto(address)
        page.keyboard.type("Ann")
        page.keyboard.press("Enter")
        page.locator("#stage video").wait_for()
        page.wait_for_timeout(1500)
        _take(page, "judge.webp")
        page.close()


@contextmanager
def _judging(folder: Path) -> Iterator[str]:
    """The address of a page that asks about the run's novel tags."""
    line = "optsg-judge --run runs/emoji --videos data/sample --answers answers.sqlite"
    name, *words = shlex.split(line)
    with subprocess.Popen([_program(name), *words], cwd=folder, text=True, stdout=subprocess.PIPE) as server:  # noqa: S603
        try:
            assert server.stdout is not None
            yield next(line.split()[1] for line in server.stdout if line.startswith("judge:"))
        finally:
            server.terminate()


def _take(page: Page, name: str) -> None:
    """What is in sight, as WebP."""
    with Image.open(io.BytesIO(page.screenshot())) as picture:
        picture.convert("RGB").save(HERE / name, quality=QUALITY, method=6)


if __name__ == "__main__":
    main()
