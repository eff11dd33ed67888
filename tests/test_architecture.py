"""The tree draws the architecture: what a reader may rely on when looking for a thing."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

import pytest

from tests.measure_tree import crowded_folders, flat_files, import_circles, long_functions, python_files

ROOT = Path(__file__).resolve().parent.parent
EMPTY_NAMES = {"build", "common", "helpers", "misc", "session", "util", "utils"}
MARKUP = re.compile(
    r"</?(html|head|body|div|span|p|a|table|t[rdh]|svg|path|script|style|section|details|h[1-6])\b[^\n]*>"
)
REFERENCE = re.compile(r":(?:attr|class|data|exc|func|meth|mod):`~?\.*([\w.]+)`")
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


def identifiers(path: Path) -> set[str]:
    """Every name that code of a file defines, imports or uses."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        for field in ("id", "attr", "name", "arg"):
            if isinstance(name := getattr(node, field, None), str):
                found |= {*name.split(".")}
    return found


def leads_nowhere(reference: str, path: Path, here: set[str]) -> bool:
    """Whether a docstring of a file names what is not there: by the whole path, or by a name that the file knows."""
    first, *parts = reference.split(".")
    if first != "optsg":  # other libraries are named by their whole path
        is_module = first in sys.stdlib_module_names or (path.parent / f"{first}.py").is_file()
        return not parts and first not in here and not is_module
    place = ROOT
    while parts and (place / parts[0]).is_dir():
        place /= parts.pop(0)
    if parts and (place / f"{parts[0]}.py").is_file():
        place /= f"{parts.pop(0)}.py"
    return bool(parts) and not {*parts} <= identifiers(place if place.is_file() else place / "__init__.py")


def test_what_docstrings_name_is_there() -> None:
    found = []
    for path in python_files(ROOT):
        here = identifiers(path)
        references = {name for text in strings(path) for name in REFERENCE.findall(text)}
        found += [f"{path.relative_to(ROOT)}: {name}" for name in sorted(references) if leads_nowhere(name, path, here)]
    assert found == []


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
