"""The pages for people name commands, options and Python names that exist."""

from __future__ import annotations

import importlib
import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path

import click
import numpy as np
import pytest
from optsg.data.store.schema import DECODING
from optsg.evaluate.cli import main as optsg_eval
from optsg.evaluate.export.cli import main as optsg_export
from optsg.evaluate.judge.cli import main as optsg_judge
from optsg.evaluate.memory.cli import main as optsg_memory
from optsg.evaluate.overview.cli import commands_with_purpose
from optsg.evaluate.report.cli import main as optsg_report
from optsg.evaluate.serve.cli import main as optsg_serve
from optsg.evaluate.store.cli import main as optsg_store
from optsg.evaluate.tables.cli import main as optsg_tables
from optsg.evaluate.tag.cli import main as optsg_tag
from optsg.evaluate.vocabulary.cli import main as optsg_vocabulary
from optsg.extract.cli import main as optsg_extract
from optsg.train.cli import main as optsg_train

from tests.tiny_world import FRAME_DIM, tiny_videos, write_tiny_store

ROOT = Path(__file__).resolve().parent.parent
PAGES = (
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "data" / "sample" / "README.md",
    *sorted((ROOT / "docs").rglob("*.md")),
)
COMMANDS: dict[str, click.Command] = {
    "optsg-extract": optsg_extract,
    "optsg-store": optsg_store,
    "optsg-train": optsg_train,
    "optsg-eval": optsg_eval,
    "optsg-report": optsg_report,
    "optsg-tag": optsg_tag,
    "optsg-tables": optsg_tables,
    "optsg-judge": optsg_judge,
    "optsg-memory": optsg_memory,
    "optsg-serve": optsg_serve,
    "optsg-vocabulary": optsg_vocabulary,
    "optsg-export": optsg_export,
}

every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def blocks(text: str, *languages: str) -> Iterator[str]:
    """Code blocks of some languages."""
    for language, body in re.findall(r"(?ms)^ *```(\w*)\n(.*?)^ *```$", text):
        if language in languages:
            yield body


def command_lines(text: str) -> Iterator[list[str]]:
    """Words of every command line in shell blocks and in code within a line, comments left out."""
    shell = "\n".join(blocks(text, "sh", "bash")).replace("\\\n", " ").splitlines()
    inline = re.findall(r"`(optsg-[^`\n]+)`", re.sub(r"(?ms)^ *```.*?^ *```$", "", text))
    for line in (*shell, *inline):
        words = shlex.split(line.replace("…", ""), comments=True)
        for place, word in enumerate(words):
            if word in COMMANDS:
                yield words[place:]


def options_of(command: click.Command, words: list[str]) -> set[str]:
    """Names of the options of a command, or of its sub-command that the words name."""
    if isinstance(command, click.Group):
        sub = next((word for word in words if not word.startswith("-")), None)
        if sub is None:
            return {"--help"}
        assert sub in command.commands, f"{sub} is no command of {command.name}"
        command = command.commands[sub]
    context = click.Context(command, **command.context_settings)  # help is made for a context, and kept
    return {name for option in command.get_params(context) for name in (*option.opts, *option.secondary_opts)}


@every_page
def test_commands_have_the_options_that_pages_name(page: Path) -> None:
    for name, *words in command_lines(page.read_text(encoding="utf-8")):
        named = {word.partition("=")[0] for word in words if re.match(r"--?[a-z]", word)}
        assert named <= options_of(COMMANDS[name], words), f"{name} {' '.join(words)}"


def test_these_are_all_commands() -> None:
    assert {name for name, _ in commands_with_purpose()} == set(COMMANDS)


def test_there_are_command_lines_to_check() -> None:
    found = [words for page in PAGES for words in command_lines(page.read_text(encoding="utf-8"))]
    assert {words[0] for words in found} == set(COMMANDS)
    assert len(found) > 80


@every_page
def test_options_within_a_line_belong_to_some_command(page: Path) -> None:
    known = {
        option
        for command in COMMANDS.values()
        for one in (command.commands.values() if isinstance(command, click.Group) else (command,))
        for option in options_of(one, [])
    }
    others = {"--help", "--nproc-per-node", "--shutdown-timeout", "--"}  # of torchrun
    named = re.findall(r"`(--[a-z][a-z-]*)", page.read_text(encoding="utf-8"))
    assert set(named) <= known | others


@every_page
def test_python_names_exist(page: Path) -> None:
    for block in blocks(page.read_text(encoding="utf-8"), "python"):
        compile(block, str(page), "exec")
        for module, names in re.findall(r"(?m)^from (optsg[\w.]*) import ([^(\n#]+)", block):
            for name in names.split(","):
                assert hasattr(importlib.import_module(module), name.strip()), f"{module}.{name}"


def test_files_of_features_for_onnx_are_written_as_the_page_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_tiny_store(Path("feats.h5"), tiny_videos(12))
    (block,) = blocks((ROOT / "docs" / "onnx.md").read_text(encoding="utf-8"), "python")
    exec(block, {})
    with np.load("8.npz") as video, np.load("9.npz") as other:
        assert set(video) == set(other) == {"frames", "title_tokens"}
        assert video["frames"].shape[1] == FRAME_DIM


def test_settings_that_pages_name_exist() -> None:
    from dataclasses import fields

    from optsg.train.config import ModelConfig, TrainingConfig

    known = {field.name for kind in (ModelConfig, TrainingConfig) for field in fields(kind)}
    text = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    named = {key for key in re.findall(r"--set ([a-z_]+)=", text) if key != "key"}
    assert len(named) > 5
    assert named <= known


@every_page
def test_links_to_files_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)\s]*)?\)", page.read_text(encoding="utf-8"))
    paths = [link for link in links if not re.match(r"[a-z]+:", link)]
    assert [path for path in paths if not (page.parent / path).exists()] == []


def test_the_architecture_names_every_folder_and_the_files_of_the_model() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    tops = ("data", "extract", "train", "evaluate")
    folders = {path.parent.relative_to(ROOT).as_posix() for top in tops for path in (ROOT / top).rglob("*.py")}
    assert sorted(folder for folder in folders if f"| `{folder}/` |" not in page) == []
    files = {path.name for name in ("model", "objective", "writing") for path in (ROOT / "train" / name).glob("*.py")}
    assert sorted(file for file in files - {"__init__.py"} if f"| ⤷ `{file}` |" not in page) == []


def test_the_architecture_has_the_layers_that_are_checked() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    inside = [contract for contract in contracts if "containers" in contract]
    assert len(inside) == 4
    for contract in inside:
        layers = [re.split(r" [|:] ", layer) for layer in contract["layers"]]
        said = " > ".join(r" \| ".join(f"`{name}`" for name in layer) for layer in layers)
        assert f"| `{contract['containers'][0].removeprefix('optsg.')}` | {said} |" in page


def test_pages_say_the_number_of_the_decoding_of_today() -> None:
    assert f"`decoding` ({DECODING})" in (ROOT / "data" / "FORMAT.md").read_text(encoding="utf-8")
    assert f"`decoding` (now {DECODING};" in (ROOT / "docs" / "extraction.md").read_text(encoding="utf-8")


PICTURES = sorted(path for path in (ROOT / "docs" / "pictures").iterdir() if path.suffix != ".py")


@pytest.mark.parametrize("picture", PICTURES, ids=lambda path: path.name)
def test_pictures_are_small_have_a_text_and_name_no_folder_of_a_machine(picture: Path) -> None:
    assert picture.stat().st_size < 150_000
    assert f'"{picture.name}"' in (picture.parent / "make.py").read_text(encoding="utf-8")
    told = [
        text
        for page in PAGES
        for text in re.findall(
            rf"!\[([^\]]*)\]\(pictures/{re.escape(picture.name)}\)", page.read_text(encoding="utf-8")
        )
    ]
    assert told
    assert all(len(text) > 20 for text in told)
    if picture.suffix == ".svg":
        drawn = picture.read_text(encoding="utf-8")
        assert "@font-face" not in drawn
        assert not re.search(r"/(tmp|home|work|root)\b", drawn)
