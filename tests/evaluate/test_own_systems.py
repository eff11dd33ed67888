"""Runs of a system that is not optsg's own, evaluated, tagged with, and refused where nobody named its class."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import optsg
import pytest
from click.testing import CliRunner, Result
from optsg.data.errors import RunError
from optsg.evaluate.cli import main as optsg_eval
from optsg.evaluate.tables.cli import main as optsg_tables
from optsg.evaluate.tables.one_run import Job, do
from optsg.evaluate.tag.cli import main as optsg_tag
from optsg.evaluate.tag.file_encoder import Work
from PIL import Image

from tests.evaluate.colour_world import shade

NAME = "own_system_of_tests"
SYSTEM = f"{NAME}:Mine"
MODULE = '''
from optsg.train.systems.source_systems import LinearSystem


class Mine(LinearSystem):
    """Learns as linear does."""


class NoSystem:
    """Owes everything."""
'''
REFUSAL = (
    f"cannot be read: the system {SYSTEM} is code that is not optsg's and is run only where it is named; if you trust "
    f"it, add --allow-system {SYSTEM} (in Python allow_systems=['{SYSTEM}'])"
)


@pytest.fixture(scope="module")
def own_run(
    colour_feats: Path, train_run: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("code")
    (folder / f"{NAME}.py").write_text(MODULE)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        yield train_run(colour_feats, SYSTEM)
    sys.modules.pop(NAME, None)


@pytest.fixture(autouse=True)
def nothing_imported(own_run: Path) -> None:
    """The training has imported it; whoever opens the run has not."""
    sys.modules.pop(NAME, None)


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    Image.new("RGB", (64, 20), shade("red", 78)).save(tmp_path / "picture.png")
    return tmp_path / "picture.png"


def called(command: object, *arguments: object) -> Result:
    return CliRunner().invoke(command, [*map(str, arguments)])  # type: ignore[arg-type]


def test_a_run_is_evaluated_where_its_class_is_allowed(own_run: Path) -> None:
    options = ("--run", own_run, "--split", "val", "--device", "cpu")
    refused = called(optsg_eval, *options)
    assert (refused.exit_code, refused.output) == (1, f"error: {own_run} {REFUSAL}\n")
    assert NAME not in sys.modules
    result = called(optsg_eval, *options, "--allow-system", SYSTEM)
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith(f"{SYSTEM}: ")
    assert json.loads((own_run / "eval" / "val" / "metrics.json").read_text())["system"] == SYSTEM


def test_files_are_tagged_where_its_class_is_allowed(own_run: Path, picture: Path) -> None:
    options = (picture, "--run", own_run, "--device", "cpu", "--json")
    refused = called(optsg_tag, *options)
    assert (refused.exit_code, refused.output) == (1, f"error: {own_run} {REFUSAL}\n")
    assert NAME not in sys.modules
    result = called(optsg_tag, *options, "--allow-system", SYSTEM)
    assert result.exit_code == 0, result.output
    assert [tag["tag"] for tag in json.loads(result.stdout)["tags"]] == ["Red"]


def test_a_tagger_opens_it_where_its_class_is_allowed(own_run: Path, picture: Path) -> None:
    with pytest.raises(RunError) as refused:
        optsg.Tagger.from_pretrained(own_run, device="cpu")
    assert str(refused.value) == f"{own_run} {REFUSAL}"
    assert NAME not in sys.modules
    with optsg.Tagger.from_pretrained(own_run, device="cpu", allow_systems=[SYSTEM]) as tagger:
        assert [tag.text for tag in tagger.tag(picture)] == ["Red"]


def test_the_tables_train_it(store_path: Path, own_run: Path, tmp_path: Path) -> None:
    options = ("--feats", store_path, "--out", tmp_path / "out", "--tables", "1", "--seeds", "0", "--size", "small")
    refused = called(
        optsg_tables, "--feats", tmp_path / "none.h5", "--out", tmp_path / "out", "--system", f"{NAME}:NoSystem"
    )
    assert (refused.exit_code, refused.output) == (
        1, f"error: {NAME}:NoSystem is no system: expected a class that derives from optsg.train.systems.system.System\n"
    )  # fmt: skip
    planned = called(optsg_tables, *options, "--device", "cpu", "--dry-run", "--system", SYSTEM)
    assert planned.exit_code == 0, planned.output
    assert f"  missing      {NAME}-Mine-seed-0\n" in planned.output


def test_a_run_of_the_tables_is_trained_and_evaluated(
    own_run: Path, store_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run = tmp_path / "out" / "runs" / "own"
    options = ("--feats", str(store_path), "--system", SYSTEM, "--size", "small")
    job = Job(
        folder=str(run), train=options, splits=("test",), test_labels="", device="cpu", allow=("--allow-system", SYSTEM)
    )
    do(Job(**json.loads(job.to_json())))
    assert json.loads((run / "eval" / "test" / "metrics.json").read_text())["system"] == SYSTEM


def test_a_service_opens_it_where_its_class_is_allowed(own_run: Path) -> None:
    pytest.importorskip("prometheus_client", reason="the extra `serve` is not installed")
    from optsg.evaluate.serve.metrics import Metrics
    from optsg.evaluate.serve.models import open_models

    how: dict[str, Any] = {"device": "cpu", "work": Work(workers=1), "most": 4, "wait": 0.0, "metrics": Metrics()}
    with pytest.raises(RunError, match="--allow-system"), open_models({"own": own_run}, **how):
        pass
    with open_models({"own": own_run}, **how, allow_systems=[SYSTEM]) as models:
        assert models["own"].files.system == SYSTEM
