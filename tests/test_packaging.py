"""The package on disk, in pyproject.toml and in a built wheel are the same thing."""

from __future__ import annotations

import ast
import importlib
import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
HEAVY = (
    "torch",
    "transformers",
    "open_clip",
    "timm",
    "decord",
    "av",
    "webdataset",
    "tensorboard",
    "fastapi",
    "uvicorn",
    "jinja2",
    "matplotlib",
)

PAGE_FOLDERS = ("pages", "templates", "assets")
"""Folders of files in a package that are no packages themselves."""


def read_pyproject() -> dict[str, Any]:
    tomllib = importlib.import_module("tomllib")  # Python 3.11, which `make setup` asks for
    parsed: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return parsed


PYPROJECT = read_pyproject()
PACKAGES: list[str] = PYPROJECT["tool"]["setuptools"]["packages"]
SCRIPTS: dict[str, str] = PYPROJECT["project"]["scripts"]


def folder_of(package: str) -> Path:
    return ROOT.joinpath(*package.split(".")[1:])


def package_files() -> list[Path]:
    return sorted(path for package in PACKAGES for path in folder_of(package).glob("*.py"))


def normalised(distribution: str) -> str:
    return re.sub(r"[-_.]+", "-", distribution).lower()


def requirement_name(requirement: str) -> str:
    match = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert match, requirement
    return normalised(match.group())


def declared(*extras: str) -> set[str]:
    project = PYPROJECT["project"]
    requirements = list(project["dependencies"])
    for extra in extras:
        requirements += project["optional-dependencies"][extra]
    return {requirement_name(requirement) for requirement in requirements}


def test_packages_are_the_folders_on_disk() -> None:
    code_folders = {"optsg"}
    for top in ("data", "evaluate", "extract", "train"):
        folders = {path.parent for path in (ROOT / top).rglob("*.py")}
        code_folders |= {".".join(("optsg", *folder.relative_to(ROOT).parts)) for folder in folders}
    assert sorted(code_folders) == sorted(PACKAGES)


def test_every_package_has_an_init() -> None:
    assert [package for package in PACKAGES if not (folder_of(package) / "__init__.py").is_file()] == []


def test_root_holds_no_module_besides_init() -> None:
    assert [path.name for path in ROOT.glob("*.py")] == ["__init__.py"]


def test_import_root_points_at_the_package() -> None:
    found = (path for path in (ROOT / ".import-root" / "optsg").iterdir() if path.name != "__pycache__")
    links = {path.name: str(path.readlink()) for path in found}
    top = {package.split(".")[1] for package in PACKAGES if "." in package}
    assert links == {name: f"../../{name}" for name in {"__init__.py", "py.typed", *top}}


def test_installed_version_is_the_one_in_the_source() -> None:
    import optsg

    assert importlib.metadata.version("optsg") == optsg.__version__


def test_every_third_party_import_is_declared() -> None:
    distributions = importlib.metadata.packages_distributions()
    allowed = declared("small", "ray", "serve", "onnx")
    undeclared = set()
    for path in package_files():
        for module in third_party_modules(path):
            names = {normalised(name) for name in distributions.get(module, [module])}  # an extra may be missing
            if not names & allowed:
                undeclared.add(f"{path.relative_to(ROOT)}: {module}")
    assert sorted(undeclared) == []


def test_package_code_imports_relatively() -> None:
    """Lint rules cannot ask for it: in a checkout called ``optsg`` they take a relative import for the absolute one."""
    absolute = [path.relative_to(ROOT).as_posix() for path in package_files() if "optsg" in third_party_modules(path)]
    assert absolute == [], "package code imports relatively (`from ..data.store import open_store`)"


def third_party_modules(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found.add(node.module.split(".")[0])
    return found - set(sys.stdlib_module_names)


def test_constraints_pin_every_declared_dependency() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert [pin for pin in pins if not re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.]+", pin)] == []
    pinned = {normalised(pin.split("==")[0]) for pin in pins}
    assert sorted(declared("small", "ray", "serve", "onnx", "dev") - pinned) == []


@pytest.mark.parametrize("script", sorted(SCRIPTS))
def test_console_script_prints_its_help(script: str) -> None:
    program = Path(sys.executable).parent / script
    result = subprocess.run([str(program), "--help"], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "Usage:" in result.stdout


@pytest.mark.parametrize("script", sorted(SCRIPTS))
def test_console_script_loads_nothing_heavy_before_it_is_needed(script: str) -> None:
    module = SCRIPTS[script].split(":")[0]
    code = f"import sys, {module}; print([name for name in {HEAVY!r} if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel that was built from the source."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    skipped = shutil.ignore_patterns(".*", "runs", "demo", "build", "*.egg-info", "__pycache__", "*.h5*")
    shutil.copytree(ROOT, source, ignore=skipped)
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index", "--quiet"]
    subprocess.run([*command, "--wheel-dir", str(folder), str(source)], check=True)
    [built] = folder.glob("*.whl")
    return built


def test_wheel_holds_the_package_and_nothing_else(wheel: Path) -> None:
    names = [name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name]
    expected = {"__init__.py", "py.typed"} | {path.relative_to(ROOT).as_posix() for path in files_in_packages()}
    assert sorted(names) == sorted(f"optsg/{name}" for name in expected)


def files_in_packages() -> list[Path]:
    """Everything beside the modules too: a template that lies in a package must be packed, or reading it fails."""
    folders = [folder_of(package) for package in PACKAGES if package != "optsg"]
    folders += [folder for package in folders for folder in package.iterdir() if folder.name in PAGE_FOLDERS]
    files = [path for folder in folders for path in folder.iterdir() if path.is_file()]
    return [path for path in files if path.suffix != ".md" or path.name in ("model_card.md", "NOTICE.md")]


def test_the_page_of_the_package_index_stands_by_itself(wheel: Path) -> None:
    """It is shown far from the repository, where a relative link leads nowhere."""
    [metadata] = [name for name in zipfile.ZipFile(wheel).namelist() if name.endswith(".dist-info/METADATA")]
    page = zipfile.ZipFile(wheel).read(metadata).decode()
    assert "Description-Content-Type: text/markdown" in page
    targets = re.findall(r"\]\(([^)]*)\)|\]:\s*(\S+)|(?:src|href)=[\"']([^\"']*)", page.split("\n\n", 1)[1])
    assert [target for found in targets for target in found if target and not target.startswith("https://")] == []
    assert sorted(re.findall(r"(?m)^\| `optsg\[(\w+)\]` \|", page)) == sorted(
        PYPROJECT["project"]["optional-dependencies"]
    )
    assert sorted({"optsg", *re.findall(r"(?m)^\| `(optsg-\w+)` \|", page)}) == sorted(SCRIPTS)


def test_addresses_of_the_project_are_absolute() -> None:
    urls = PYPROJECT["project"].get("urls", {})
    assert {label: url for label, url in urls.items() if not url.startswith("https://")} == {}


RENDER = """
from pathlib import Path
import optsg
from optsg.evaluate.report.report import render_report
from optsg.evaluate.scores.evaluation import evaluate_items
from optsg.evaluate.scores.predictions import ItemPrediction
from optsg.evaluate.scores.saved import TrainingHistory
from optsg.train.systems.op_tsg import NIL_BIAS
from optsg.train.systems.tuned_scalar import Decision

item = ItemPrediction(id="a", title="a <b>", true=("cat",), tags=())
decision = Decision(scalar=NIL_BIAS, value=0.0)
evaluation = evaluate_items(
    [item], {"cat": 3}, run="r", split="test", system="op-tsg", decision=decision, spellings={"cat": "cat"}
)
page = render_report(evaluation, history=TrainingHistory(()), facts=[], thumbnail=lambda _: b"")
print(optsg.__file__)
print(page.count("<section "), "a &lt;b&gt;" in page, "color-scheme" in page, "addEventListener" in page)
"""


def test_a_wheel_renders_a_page(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(tmp_path / "installed")
    found = {**os.environ, "PYTHONPATH": str(tmp_path / "installed")}
    command = [sys.executable, "-c", RENDER]
    result = subprocess.run(command, cwd=tmp_path, env=found, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    where, shown = result.stdout.splitlines()
    assert Path(where) == tmp_path / "installed/optsg/__init__.py"
    assert shown == "9 True True True"


MARKUP = re.compile(
    r"(?i)<\s*/?\s*(div|span|table|t[rdh]|ul|ol|li|svg|g|style|script|html|head|body|p|a|b|h[1-6])\b[^<]*>|<!doctype"
)
STYLE_RULE = re.compile(r"\{[^{}:;]*[a-z-]+\s*:[^{}]*;[^{}]*\}|(^|;)\s*(?!data:)(--)?[a-z-]+:[^\s:;{}]+;")
SCRIPT_CODE = re.compile(r"document\.\w+\(|addEventListener|=>\s*[{(]|\b(const|let) \w+ = ")
WITHOUT_MARKUP = [
    "evaluate",
    "evaluate/judge",
    "evaluate/report",
    "evaluate/scores",
    "evaluate/serve",
    "evaluate/tables",
    "evaluate/tag",
]
"""Folders, without those below them, whose pages are files."""


@pytest.mark.parametrize("folder", WITHOUT_MARKUP)
def test_pages_are_files_and_not_strings(folder: str) -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line}: {text[:60]!r}"
        for path in sorted((ROOT / folder).glob("*.py"))
        for line, text in text_outside_docstrings(path)
        if any(pattern.search(text) for pattern in (MARKUP, STYLE_RULE, SCRIPT_CODE))
    ]
    assert found == []


def text_outside_docstrings(path: Path) -> list[tuple[int, str]]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    alone = {node.value for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    return [
        (node.lineno, node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in alone
    ]


@pytest.mark.parametrize(
    "text",
    ["<div class='a'>", "</span>", "<!doctype html>", "<svg viewBox='0'>", ".a { color: red; }", "--share:3;--strength:1",
     "document.querySelector('a')", "const a = 1"],
)  # fmt: skip
def test_markup_style_and_script_are_known_as_such(text: str) -> None:
    assert any(pattern.search(text) for pattern in (MARKUP, STYLE_RULE, SCRIPT_CODE))
