"""Systems that are not optsg's own: a class on PYTHONPATH, or one that an installed package names."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from optsg.data.errors import ConfigError, RunError
from optsg.train.run.plan import RunRequest, new_run
from optsg.train.run.run import load_run
from optsg.train.system_names import SYSTEM_NAMES, check_system_name
from optsg.train.systems.registry import find_system, takes_steps

from tests.tiny_world import as_options, tiny_videos, write_tiny_store
from tests.train.command import train

MODULE = '''
from optsg.train.model.video_title_model import VideoTitleModel
from optsg.train.systems.classifiers import THRESHOLD, Asy
from optsg.train.systems.source_systems import LinearSystem
from optsg.train.systems.system import System


class Mine(Asy):
    """Learns as asy does."""


class Fitted(LinearSystem):
    """Takes no steps."""


class Half(System):
    scalar = THRESHOLD
    extent = "nothing"

    def start(self, store): ...
    def prepare(self, store, device): ...
    def tag_log_scores(self, batch, tags): ...


class NoModel(Half):
    def losses(self, batch, rng, exchange=None): ...
    def predict(self, batch, value, control=None): ...


class NoScalar(NoModel):
    scalar = 0.5


class OddSettings(NoModel):
    settings = ("ranking",)


class NoSystem:
    def __init__(self, config, tag_table, tokenizer): ...


number = 3
'''
NAME = "mine_for_tests"
NOT_NAMED = (
    f"the system {NAME}:Mine is code that is not optsg's and is run only where it is named; if you trust it, add "
    f"--allow-system {NAME}:Mine (in Python allow_systems=['{NAME}:Mine'])"
)
REMEDY = "; install its package, or put the folder that holds its module on PYTHONPATH"
OWES = "optsg.train.systems.system.System"


@pytest.fixture(scope="module")
def feats(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_store(tmp_path_factory.mktemp("store") / "tiny.h5", tiny_videos(40))


@pytest.fixture(autouse=True)
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder on the import path with a module, in which nothing has been imported yet."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "code"
    folder.mkdir()
    (folder / f"{NAME}.py").write_text(MODULE)
    monkeypatch.syspath_prepend(folder)
    yield folder
    sys.modules.pop(NAME, None)


def install(folder: Path, package: str, name: str, spelling: str) -> None:
    """What pip leaves of a package with an entry point."""
    info = folder / f"{package}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[optsg.systems]\n{name} = {spelling}\n")


def trained(feats: Path, system: str) -> Path:
    result = train("--feats", feats, "--system", system, "--run", "runs/own", *as_options(), "--set", "epochs=1")
    assert result.exit_code == 0, result.output
    return Path("runs/own")


def test_a_class_is_trained_and_remembered_as_it_was_spelled(feats: Path) -> None:
    run = trained(feats, f"{NAME}:Mine")
    assert json.loads((run / "config.json").read_text())["system"] == f"{NAME}:Mine"
    opened = load_run(run, device="cpu", allow_systems=[f"{NAME}:Mine"])
    assert type(opened.system).__name__ in ("Mine", "RankedSystem")
    assert opened.decided_by_scalar().system.__class__ is sys.modules[NAME].Mine


def test_what_comes_next_names_the_class(feats: Path) -> None:
    for system, allow in ((f"{NAME}:Fitted", f" --allow-system {NAME}:Fitted"), ("linear", "")):
        result = train("--feats", feats, "--system", system, "--run", f"runs/{len(allow)}")
        assert result.output.splitlines()[-1] == f"next: optsg-eval --run runs/{len(allow)} --split test{allow}"
        card = Path(f"runs/{len(allow)}/README.md").read_text(encoding="utf-8")
        named = f', allow_systems=["{system}"]' if allow else ""
        assert f'from_pretrained("PATH_OR_HUB_ID"{named})' in card
        assert f"`optsg-eval --run {len(allow)} --split test{allow}`" in card


def test_the_folder_of_a_run_has_no_colon(feats: Path) -> None:
    run = new_run(RunRequest(feats=feats, system=f"{NAME}:Mine", size="small", device="cpu"))
    assert run == Path(f"runs/{NAME}.Mine-small-1")


def test_a_run_imports_nothing_that_nobody_named(feats: Path) -> None:
    run = trained(feats, f"{NAME}:Mine")
    del sys.modules[NAME]
    for allowed in ((), [f"{NAME}:Fitted"], [NAME]):
        with pytest.raises(RunError, match=f"^{re.escape(f'{run} cannot be read: {NOT_NAMED}')}$"):
            load_run(run, device="cpu", allow_systems=allowed)
    for arguments in (("--run", run, "--resume"), ("--feats", feats, "--init-from", run)):
        (run / "state" / "progress.json").unlink(missing_ok=True)  # not finished, so that there is something to resume
        result = train(*arguments)
        assert result.exit_code == 1
        assert NOT_NAMED in result.output
    assert NAME not in sys.modules


def test_training_goes_on_where_the_class_is_allowed(feats: Path) -> None:
    new_run(RunRequest(feats=feats, run=Path("runs/a"), system=f"{NAME}:Fitted", size="small", device="cpu"))
    result = train("--run", "runs/a", "--resume", "--allow-system", f"{NAME}:Fitted")
    assert result.exit_code == 0, result.output
    assert f"fitting {NAME}:Fitted, which takes no epochs" in result.output


def test_a_class_that_is_gone_is_named_with_the_remedy(feats: Path, module: Path) -> None:
    run = trained(feats, f"{NAME}:Fitted")
    (module / f"{NAME}.py").unlink()
    del sys.modules[NAME]
    gone = f"the system {NAME}:Fitted cannot be imported (No module named '{NAME}'){REMEDY}"
    with pytest.raises(RunError, match=f"^{re.escape(f'{run} cannot be read: {gone}')}$"):
        load_run(run, device="cpu", allow_systems=[f"{NAME}:Fitted"])


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("Lost", f"the system {NAME}:Lost cannot be imported (module '{NAME}' has no attribute 'Lost'){REMEDY}"),
        ("NoSystem", f"{NAME}:NoSystem is no system: expected a class that derives from {OWES}"),
        ("number", f"{NAME}:number is no system: expected a class that derives from {OWES}"),
        ("Half", f"{NAME}:Half is no whole system: it lacks losses, predict; {OWES} says what each owes"),
        (
            "NoScalar",
            f"{NAME}:NoScalar is no whole system: its class has no scalar, a TunedScalar that says what is tuned",
        ),
        (
            "OddSettings",
            f"{NAME}:OddSettings is no whole system: its settings are no tuple of texts such as 'ranking=false'",
        ),
    ],
)
def test_what_is_no_system_is_refused_before_the_store_is_read(name: str, sentence: str) -> None:
    result = train("--feats", "no-such-store.h5", "--system", f"{NAME}:{name}")
    assert (result.exit_code, result.output) == (1, f"error: {sentence}\n")


def test_a_system_without_a_model_is_refused(feats: Path) -> None:
    result = train("--feats", feats, "--system", f"{NAME}:NoModel", "--run", "runs/own")
    sentence = f"{NAME}:NoModel is no whole system: its __init__ leaves no VideoTitleModel in self.model"
    assert (result.exit_code, result.output.splitlines()[-1]) == (1, f"error: {sentence}")


def test_a_module_that_fails_is_one_sentence(module: Path) -> None:
    (module / f"{NAME}.py").write_text("1 / 0\n")
    with pytest.raises(ConfigError, match=re.escape(f"{NAME}:Mine cannot be imported (division by zero){REMEDY}")):
        find_system(f"{NAME}:Mine", [f"{NAME}:Mine"])


@pytest.mark.parametrize("name", ["a:b:c", "os:", ":system", "os path:join", "../a:B", "a-b:C", "ä:B", "a:B\n"])
def test_what_is_no_spelling_of_a_class_is_an_unknown_name(name: str) -> None:
    with pytest.raises(ConfigError, match=r"^there is no system "):
        find_system(name, [name])


def test_installed_systems_are_known_by_their_names(feats: Path, module: Path) -> None:
    install(module, "mine", "mine", f"{NAME}:Fitted")
    check_system_name("mine")
    run = trained(feats, "mine")
    assert load_run(run, device="cpu").config.system == "mine"
    assert not takes_steps(find_system("mine"))
    (module / "mine-1.0.dist-info" / "entry_points.txt").unlink()
    known = ", ".join(SYSTEM_NAMES)
    gone = f"there is no system 'mine'; known are {known}; install the package that has it, or name a class as MODULE:CLASS"
    with pytest.raises(RunError, match=f"^{re.escape(f'{run} cannot be read: {gone}')}$"):
        load_run(run, device="cpu")


def test_installed_names_are_listed_and_optsgs_own_stay(module: Path) -> None:
    install(module, "mine", "mine", f"{NAME}:Fitted")
    install(module, "thief", "bin", f"{NAME}:Fitted")
    with pytest.raises(ConfigError, match=r"sources, mine; install the package"):
        check_system_name("bim")
    assert find_system("bin").__name__ == "Bin"
    assert NAME not in sys.modules


def test_two_packages_with_one_name_are_told_apart_by_their_classes(module: Path) -> None:
    install(module, "mine", "mine", f"{NAME}:Fitted")
    install(module, "other", "mine", f"{NAME}:Mine")
    with pytest.raises(ConfigError, match=r"^installed packages have two systems 'mine', .*; name the class instead$"):
        find_system("mine")
