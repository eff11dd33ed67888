"""Counts what the tree looks like: ``python tests/measure_tree.py [ROOT]`` prints a table.

Lines and files of the product, files side by side, long functions, circles of imports, and through how many files and
functions a person has to go who follows ``optsg-eval --run`` or one step of training. The latter two are run, on the store
and the run in ``tests/golden/version_0_1_0``. ROOT is another checkout, for a comparison.
"""

from __future__ import annotations

import ast
import contextlib
import io
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

HERE = Path(__file__).resolve().parent.parent
TOP = ("data", "extract", "train", "evaluate")
LONG = 50
"""Lines of a function, its signature and docstring among them."""
SMALL_STEPS = [
    "--set",
    "epochs=1",
    "--set",
    "batch_size=16",
    "--set",
    "width=32",
    "--set",
    "heads=4",
    "--device",
    "cpu",
]


def python_files(root: Path) -> list[Path]:
    """The product's Python files."""
    return sorted(path for top in TOP for path in (root / top).rglob("*.py") if "__pycache__" not in path.parts)


def flat_files(folder: Path) -> int:
    """Modules side by side in a folder."""
    return sum(path.name != "__init__.py" for path in folder.glob("*.py"))


def crowded_folders(root: Path, most: int) -> list[str]:
    """Folders with more modules side by side than ``most``."""
    folders = {path.parent for path in python_files(root)}
    return sorted(
        f"{folder.relative_to(root)}: {flat_files(folder)}" for folder in folders if flat_files(folder) > most
    )


def function_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function, its signature and docstring among them."""
    return (node.end_lineno or node.lineno) - node.lineno + 1


def long_functions(root: Path) -> list[str]:
    """Functions with more than :data:`LONG` lines, as ``FILE:NAME LINES``."""
    return sorted(
        f"{path.relative_to(root)}:{node.name} {function_lines(node)}"
        for path in python_files(root)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and function_lines(node) > LONG
    )


def import_circles(root: Path) -> int:
    """Sets of modules that import each other in a circle, imports inside functions included."""
    code = (
        "import sys, grimp, networkx\n"
        "graph = grimp.build_graph('optsg', cache_dir=None)\n"
        "net = networkx.DiGraph((a, b) for a in graph.modules for b in graph.find_modules_directly_imported_by(a)\n"
        "                       if 'optsg' not in (a, b))\n"
        "print(sum(len(part) > 1 for part in networkx.strongly_connected_components(net)))\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(root / ".import-root")}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    return int(done.stdout)


@contextlib.contextmanager
def entered_functions(root: Path, inside: str = "") -> Iterator[set[tuple[str, str]]]:
    """Inside, notes (file, function) of the product whenever one is entered; with ``inside`` only below that function."""
    found: set[tuple[str, str]] = set()
    depth = 0
    folders = tuple(str(root / top) + os.sep for top in TOP)

    def note(frame: FrameType, event: str, _: Any) -> None:
        nonlocal depth
        name = frame.f_code.co_qualname
        if inside and name == inside:
            depth += {"call": 1, "return": -1}.get(event, 0)
        if event == "call" and (depth or not inside):
            file = os.path.realpath(frame.f_code.co_filename)
            if file.startswith(folders):
                found.add((file, name))

    threading.setprofile(note)
    sys.setprofile(note)
    try:
        yield found
    finally:
        sys.setprofile(None)
        threading.setprofile(None)


def followed(root: Path) -> dict[str, set[tuple[str, str]]]:
    """What is entered by ``optsg-eval --run`` and by one step of training."""
    from click.testing import CliRunner
    from optsg.evaluate.cli import main as evaluate
    from optsg.train.cli import main as train

    golden = HERE / "tests" / "golden" / "version_0_1_0"
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder), contextlib.redirect_stderr(io.StringIO()):
        shutil.copytree(golden, "old")
        run, store = Path("old/tables/runs/op-tsg-seed-0"), Path("old/feats.h5")
        with entered_functions(root) as of_evaluation:
            result = CliRunner().invoke(evaluate, ["--run", str(run), "--feats", str(store), "--split", "test"])
        assert result.exit_code == 0, result.output
        with entered_functions(root, inside="Trainer._step") as of_step:
            options = ["--feats", str(store), "--run", "new", "--size", "small", *SMALL_STEPS]
            result = CliRunner().invoke(train, options)
        assert result.exit_code == 0, result.output
    return {"optsg-eval --run": of_evaluation, "one training step": of_step}


def main(root: Path) -> None:
    """Prints the table."""
    files = python_files(root)
    lines = sum(len(path.read_text(encoding="utf-8").splitlines()) for path in files)
    print(f"product Python: {lines:,} lines in {len(files)} files")
    print(f"circles of imports: {import_circles(root)}")
    print("files flat: " + ", ".join(f"{top}/ {flat_files(root / top)}" for top in TOP))
    print(f"folders with more than 15 files: {', '.join(crowded_folders(root, 15)) or 'none'}")
    long = long_functions(root)
    print(f"functions over {LONG} lines: {len(long)} ({', '.join(long)})")
    for name, entered in followed(root).items():
        print(f"{name}: {len(entered)} functions in {len({file for file, _ in entered})} files")


if __name__ == "__main__":
    chosen = Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else HERE
    sys.path[:0] = [str(chosen / ".import-root"), str(HERE)]
    main(chosen)
