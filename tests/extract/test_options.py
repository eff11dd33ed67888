"""Options of an extraction: what is typed once is the same from Python and on the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import pytest
from optsg.data.errors import ConfigError
from optsg.extract import extract
from optsg.extract.api import kept_parts
from optsg.extract.cli import main
from optsg.extract.options import complete, described_options, how_it_runs

OF_THE_COMMAND_ALONE = {"source", "out", "dry_run", "quiet", "verbose", "version"}


def test_the_command_has_every_option_of_the_function() -> None:
    context = click.Context(main)
    options = {parameter.name: parameter for parameter in main.params}
    described = described_options()
    assert options.keys() - OF_THE_COMMAND_ALONE == described.keys()
    assert {name: options[name].get_default(context) for name in described} == dict(complete())


def test_what_is_not_given_has_its_default() -> None:
    options = complete(batch_size=3, part="1/2")
    assert (options["batch_size"], options["part"], options["fps"], options["thumbnails"]) == (3, "1/2", 1.0, True)
    assert how_it_runs(options) == {
        "batch_size": 3,
        "workers": None,
        "timeout": 300.0,
        "thumbnails": True,
        "retry_failed": False,
        "strict": False,
        "overwrite": False,
    }


def test_an_option_that_there_is_not() -> None:
    with pytest.raises(TypeError, match=r"^an extraction has no option 'batchsize'; it has preset, metadata, "):
        extract("videos", "feats.h5", batchsize=3)  # type: ignore[call-arg]


@pytest.mark.parametrize("options", [{"batch_size": 0}, {"workers": 0}, {"timeout": 0.0}, {"timeout": 1e7}])
def test_out_of_range(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=rf"^--{next(iter(options)).replace('_', '-')} .* is out of range; expected"):
        complete(**options)


def test_what_an_interruption_keeps_is_what_is_there(tmp_path: Path) -> None:
    out = tmp_path / "feats.h5"
    assert kept_parts(out) == "nothing new was complete yet, the same command begins again"
    folder = tmp_path / "feats.h5.parts"
    folder.mkdir()
    (folder / "part-000000.h5").touch()
    assert kept_parts(out) == f"complete parts are in {folder}, the same command goes on"
