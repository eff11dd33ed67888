"""What every command has in common."""

from __future__ import annotations

from importlib.metadata import EntryPoint, distribution, version

import click
import pytest
from click.testing import CliRunner

COMMANDS = sorted(distribution("optsg").entry_points.select(group="console_scripts"), key=lambda point: point.name)

every_command = pytest.mark.parametrize("point", COMMANDS, ids=[point.name for point in COMMANDS])


@every_command
@pytest.mark.parametrize("option", ["-h", "--help"])
def test_help_has_examples(point: EntryPoint, option: str) -> None:
    command: click.Command = point.load()
    result = CliRunner().invoke(command, [option], prog_name=point.name)
    assert result.exit_code == 0
    assert f"Examples:\n    {point.name}" in result.output


@every_command
def test_version(point: EntryPoint) -> None:
    result = CliRunner().invoke(point.load(), ["--version"], prog_name=point.name)
    assert result.output == f"{point.name}, version {version('optsg')}\n"
