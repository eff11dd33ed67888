"""The tutorials of CONTRIBUTING.md, followed word by word in a copy of the package."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from optsg.data.inputs import open_inputs
from optsg.data.media import MediaItem

from tests.golden.files import OLD
from tests.test_docs import blocks
from tests.tiny_world import TINY_SETTINGS, as_options

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
INSERTED = (
    ("train/system_names.py", '    "order-free": "no prompts'),
    ("train/systems/registry.py", '    "order-free": OrderFree,'),
    (
        "data/inputs/opening.py",
        "    failures: list[Failure] = []\n    skipped: Mapping[str, int] = {}\n    path = _local(path)",
    ),
    ("extract/encoders/image_encoder.py", '    library, colon, name = text.partition(":")'),
    ("extract/encoders/image_encoder.py", '    raise EncoderError(f"image encoders come from'),
)
"""What stands behind each of the page's insertions, in its order."""
IMPORTS = (
    ("train/systems/registry.py", "from .learnable_tag_embeddings import", "from .focal import Focal\n"),
    ("data/inputs/opening.py", "from .media_folder import", "from .list_input import LIST_SUFFIX, ListInput\n"),
)


def insert(path: Path, behind: str, code: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count(behind) == 1, f"{path}: {behind}"
    path.write_text(text.replace(behind, code + behind), encoding="utf-8")


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the package with what the tutorials add."""
    root = tmp_path_factory.mktemp("copy")
    for folder in ("data", "extract", "train", "evaluate", ".import-root"):
        shutil.copytree(
            ROOT / folder, root / folder, symlinks=True, ignore=shutil.ignore_patterns("sample", "__pycache__")
        )
    for name in ("__init__.py", "py.typed", "pyproject.toml"):
        shutil.copy(ROOT / name, root)
    new = re.findall(r'(?s)`([\w/]+\.py)`[^`]*:\n\n```python\n(""".*?)```', PAGE)
    assert len(new) == 5
    for name, code in new:
        assert not (root / name).exists()
        (root / name).write_text(code, encoding="utf-8")
    for (name, behind), code in zip(INSERTED, blocks(PAGE, "py"), strict=True):
        insert(root / name, behind, code)
    for name, behind, code in IMPORTS:
        insert(root / name, behind, code)
    return root


Run = Callable[..., str]


PROGRAM = """
import importlib, json, sys
for command, *arguments in json.loads(sys.argv[1]):
    try:
        importlib.import_module(f"optsg.{command}").main(arguments)
    except SystemExit as end:
        if end.code:
            raise
"""


@pytest.fixture
def run(package: Path, tmp_path: Path) -> Run:
    def run(*commands: Sequence[str | Path]) -> str:
        """What commands of the copy print, one after the other in one process; they start in an empty folder."""
        words = json.dumps([[*map(str, command)] for command in commands])
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, words],
            cwd=tmp_path, env={**os.environ, "PYTHONPATH": f"{package / '.import-root'}{os.pathsep}{package}"},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout
        return done.stdout

    return run


def test_the_code_is_as_the_checks_want_it(package: Path) -> None:
    for arguments in (("format", "--check"), ("check",)):
        command = [
            sys.executable,
            "-m",
            "ruff",
            *arguments,
            "--no-cache",
            "data",
            "extract",
            "train",
            "my_systems.py",
            "my_losses.py",
        ]
        done = subprocess.run(command, cwd=package, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout


def test_a_system_in_one_file_and_a_system_of_ones_own(run: Run) -> None:
    options, own = [*as_options((*TINY_SETTINGS, "epochs=2")), "--device", "cpu"], "my_systems:Adjusted"
    loss = "my_losses:HalfContrast"
    focal, own_run, own_loss = (
        ("train.cli", "--feats", OLD / "feats.h5", "--run", folder, "--system", name, *options)
        for folder, name in (("focal", "focal"), ("adjusted", own), ("half", loss))
    )
    said = run(
        focal,
        ("evaluate.cli", "--run", "focal", "--split", "test", "--device", "cpu"),
        own_run,
        ("evaluate.cli", "--run", "adjusted", "--device", "cpu", "--allow-system", own),
        own_loss,
        ("evaluate.cli", "--run", "half", "--device", "cpu", "--allow-system", loss),
    )
    assert "training focal (small" in said
    assert f"training {own} (small" in said
    assert f"training {loss} (small" in said
    assert said.count("per tag, all") == 3


@pytest.mark.slow
def test_an_input_reader_and_an_encoder(run: Run, tmp_path: Path, sample_dir: Path) -> None:
    videos, lines = tmp_path / "videos", []
    clips = (item for item in open_inputs(sample_dir / "val.tar") if isinstance(item, MediaItem))
    for number, item in zip(range(12), clips, strict=False):
        file = videos / ("val" if number % 4 == 0 else "train") / f"{number}.mp4"
        file.parent.mkdir(parents=True, exist_ok=True)
        assert not isinstance(item.payload, (bytes, Path))
        file.write_bytes(item.payload.read())
        lines.append(f"{file.relative_to(videos)}\t{item.title}\t{','.join(item.tags)}\n")
    lines += ["../x.mp4\tx\tx\n", "only a name.mp4\n"]
    (videos / "list.tsv").write_text("".join(lines), encoding="utf-8")
    extracted = run((
        "extract.cli", "videos/list.tsv", "--out", "feats.h5",
        "--image-encoder", "grid:4", "--text-encoder", "characters:32", "--workers", "1", "--device", "cpu",
    ))  # fmt: skip
    assert re.search(r"ok +12  12 videos", extracted)
    assert "list.tsv, line 13: '../x.mp4' leads outside its folder" in extracted
    assert "list.tsv, line 14: 1 fields, expected FILE<tab>TITLE<tab>TAGS" in extracted
    run((
        "train.cli", "--feats", "feats.h5", "--run", "grid", "--system", "bin",
        *as_options((*TINY_SETTINGS, "epochs=2")), "--device", "cpu",
    ))  # fmt: skip
    tagged = run(("evaluate.tag.cli", "videos/val/0.mp4", "--run", "grid", "--device", "cpu", "--threshold", "0"))
    assert "tag" in tagged
    assert "no tags" not in tagged
