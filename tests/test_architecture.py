"""The tree draws the architecture: what a reader may rely on when looking for a thing."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.measure_tree import crowded_folders, flat_files, import_circles, long_functions, python_files

ROOT = Path(__file__).resolve().parent.parent
EMPTY_NAMES = {"build", "common", "helpers", "misc", "session", "util", "utils"}
MARKUP = re.compile(
    r"</?(html|head|body|div|span|p|a|table|t[rdh]|svg|path|script|style|section|details|h[1-6])\b[^\n]*>"
)
OUTSIDE = re.compile(r"\b(design|method|redesign|trials|rivals|peers|ideas|style)\.md\b")


def strings(path: Path) -> list[str]:
    return [
        node.value
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]


def test_few_files_lie_side_by_side() -> None:
    assert flat_files(ROOT / "train") <= 8
    assert flat_files(ROOT / "evaluate") <= 6
    assert crowded_folders(ROOT, most=16) == []


def test_functions_fit_on_a_screen() -> None:
    assert len(long_functions(ROOT)) <= 3, long_functions(ROOT)


def test_nothing_imports_itself_around_a_corner() -> None:
    assert import_circles(ROOT) == 0


def test_names_say_what_lives_there() -> None:
    assert [path.name for path in python_files(ROOT) if {path.stem, path.parent.name} & EMPTY_NAMES] == []


def test_pages_are_files_and_no_strings() -> None:
    """What a page looks like stands in templates, style sheets and scripts."""
    found = {
        f"{path.relative_to(ROOT)}: {text[:80]!r}"
        for path in python_files(ROOT)
        for text in strings(path)
        if MARKUP.search(text)
    }
    assert sorted(found) == []


@pytest.mark.parametrize("folder", ["data", "extract", "train", "evaluate", "tests", "benchmarks", "docs"])
def test_nothing_points_at_documents_that_are_not_here(folder: str) -> None:
    """``docs/method.md`` is here; a bare name of a document that is not sends the reader nowhere."""
    here = {path.name for path in (ROOT / "docs").rglob("*.md")}
    found = []
    for path in sorted((ROOT / folder).rglob("*")):
        if path.suffix not in (".py", ".md", ".html", ".js", ".css") or path.name == Path(__file__).name:
            continue
        names = {match[0] for match in OUTSIDE.finditer(path.read_text(encoding="utf-8"))}
        found += [f"{path.relative_to(ROOT)}: {name}" for name in sorted(names - here)]
    assert found == []


def test_tests_stand_where_their_modules_stand() -> None:
    """A folder of tests is named as a folder of the product, or is one of the few that test what no folder holds."""
    product = {path.parent.relative_to(ROOT) for path in python_files(ROOT)}
    folders = {path.parent.relative_to(ROOT / "tests") for path in (ROOT / "tests").rglob("test_*.py")}
    assert sorted(map(str, folders - product - {Path(), Path("benchmarks"), Path("golden"), Path("hostile")})) == []
