"""optsg-tables from the command line: a small grid from nothing to the page, and errors in one sentence."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from optsg.data.store import open_store
from optsg.evaluate.tables.cli import main
from optsg.evaluate.tables.documents import missing_lines
from optsg.evaluate.tables.invocation import Invocation
from optsg.evaluate.tables.plan import choose_tables, plan_grid
from optsg.evaluate.tables.runner import State

from tests.tiny_world import TINY_SETTINGS, as_options


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def test_a_grid_from_nothing_to_the_page(tiny_feats: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    every: list[str | Path] = [
        "--feats",
        tiny_feats,
        "--out",
        out,
        "--device",
        "cpu",
        *as_options(),
        "--set",
        "epochs=2",
        "--seeds",
        "0",
    ]
    dry = run(*every, "--tables", "8", "--dry-run")
    assert dry.exit_code == 0, dry.output
    assert "  missing      op-tsg-paper-seed-0\n" in dry.output
    assert not out.exists()
    done = run(*every, "--tables", "5", "--set", "nil_weight=0.1", "--jobs", "2", "--quick")
    assert done.exit_code == 0, done.output
    assert "3 of 3  " in done.output
    text = (out / "tables.md").read_text(encoding="utf-8")
    assert "--set nil_weight=0.1 --quick\n```" in text
    assert "Runs: 3 of 3 finished" in text
    assert (out / "table-5.svg").is_file()
    assert "figure-3" in (out / "tables.html").read_text(encoding="utf-8")
    again = run(*every, "--tables", "5", "--set", "nil_weight=0.1", "--quick", "--only-write")
    assert again.exit_code == 0, again.output
    for weights in (out / "runs").glob("*/*.safetensors"):
        weights.unlink()
    without = run(*every, "--tables", "5", "--set", "nil_weight=0.1", "--quick", "--only-write")
    assert without.exit_code == 0, without.output
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    written = (out / "tables.md").read_text(encoding="utf-8")
    assert [line for line in written.splitlines() if line.startswith("| ")] == lines
    assert "figure-3" not in (out / "tables.html").read_text(encoding="utf-8")
    other = run(*every, "--tables", "5", "--set", "nil_weight=0.1", "--only-write", "--set", "epochs=3")
    assert other.exit_code == 1
    assert (
        "was trained with epochs=2, the grid wants epochs=3 (and 2 more); remove the folder, or choose another --out"
        in other.output
    )


def test_what_is_missing_is_written_down(tiny_feats: Path, tmp_path: Path) -> None:
    result = run(
        "--feats", tiny_feats, "--out", tmp_path, "--tables", "1", "--seeds", "4,5,6", "--only-write", *as_options()
    )
    assert "missing: bin, seeds 4, 5 and 6: not trained\n" in result.output
    assert "- bin, seeds 4, 5 and 6: not trained\n" in (tmp_path / "tables.md").read_text(encoding="utf-8")


def test_seeds_of_one_state_share_a_line(tiny_feats: Path) -> None:
    with open_store(tiny_feats) as store:
        asked = Invocation(feats=tiny_feats, out=Path("out"), seeds=(0, 1), size="small", settings=tuple(TINY_SETTINGS))
        grid = plan_grid(store, asked, choose_tables(["1"], quick=False, pretrained={}))
    states: dict[str, State] = {run.name: "finished" for run in grid.distinct}
    states |= {"bin-seed-0": "interrupted", "bin-seed-1": "missing", "asy-seed-1": "missing"}
    assert missing_lines(grid, states) == [
        "bin, seed 0: training was interrupted",
        "bin, seed 1: not trained",
        "asy, seed 1: not trained",
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--tables", "9"], "error: --tables 9: there is no such table; choose from 1, 3, 4, 5, 6, 7, 8, beyond\n"),
        (["--seeds", "a"], "Invalid value for '--seeds': 'a' is no list of whole numbers such as 0,1,2\n"),
        (["--size", "huge"], "'huge' is not one of 'auto', 'base', 'small'"),
        (["--set", "prompts=x"], "error: prompts=x is not a number; expected int\n"),
        (["--set", "seed=1"], "error: --set seed=1: seeds are chosen with --seeds\n"),
        (["--dry-run", "--only-write"], "--dry-run writes nothing and --only-write writes the tables; leave one of them out"),
        (["--pretrained", "nowhere"], "error: --pretrained nowhere: there is no run folder with a config.json\n"),
        (["--jobs", "0"], "Invalid value for '--jobs'"),
    ],
)  # fmt: skip
def test_errors(tiny_feats: Path, tmp_path: Path, arguments: list[str], message: str) -> None:
    result = run("--feats", tiny_feats, "--out", tmp_path / "out", *arguments)
    assert result.exit_code in (1, 2)
    assert message in result.output
    assert not (tmp_path / "out").exists()


def test_what_is_no_store(tmp_path: Path) -> None:
    (tmp_path / "feats.h5").write_bytes(b"no store")
    result = run("--feats", tmp_path / "feats.h5", "--out", tmp_path / "out")
    assert result.exit_code == 1
    assert result.output.startswith(f"error: {tmp_path / 'feats.h5'} ")


def test_help_has_examples_and_does_not_wait() -> None:
    result = run("--help")
    assert result.exit_code == 0
    assert "optsg-tables --feats feats.h5 --out results --dry-run" in result.output
