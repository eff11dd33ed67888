"""Whatever becomes of a file, its reader reads it or refuses it in one line, soon and in little memory."""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.hostile.mutations import MUTATIONS, Mutation
from tests.hostile.readers import READERS

ROOT = Path(__file__).resolve().parents[2]

SECONDS = 10
"""For one reading."""

FEW, MANY = 20, 10_000

QUIET = (HealthCheck.function_scoped_fixture, HealthCheck.too_slow)


class Readings:
    """The process that reads; a new one where it has crashed or has been ended because it did not answer."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None

    def outcome(self, reader: str, path: Path) -> tuple[str, str]:
        """As :func:`tests.hostile.reading_server.outcome_of`; ``crashed`` or ``hung`` where there is no answer."""
        if self._process is None:
            command = [sys.executable, "-m", "tests.hostile.reading_server"]
            self._process = subprocess.Popen(
                command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
            )
            self.outcome("tag list", Path("nowhere"))  # waits for the imports
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([reader, str(path)]) + "\n")
        self._process.stdin.flush()
        seconds = SECONDS if path.is_absolute() else 120
        if not select.select([self._process.stdout], [], [], seconds)[0]:
            self.close()
            return "hung", f"no answer in {seconds} s"
        answer = self._process.stdout.readline()
        if not answer:
            self.close()
            return "crashed", "the process ended"
        outcome, message = json.loads(answer)
        return outcome, message

    def close(self) -> None:
        """Ends the process."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            for stream in (self._process.stdin, self._process.stdout):
                assert stream is not None
                with contextlib.suppress(OSError):
                    stream.close()
        self._process = None


@pytest.fixture(scope="session")
def readings() -> Iterator[Readings]:
    opened = Readings()
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def valid(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """What is valid, by reader."""
    made = {}
    for name, reader in READERS.items():
        made[name] = tmp_path_factory.mktemp("valid") / reader.name
        reader.make(made[name])
    return made


def check(readings: Readings, valid: Path, reader: str, place: int, mutations: list[Mutation]) -> None:
    """Damages a copy, and reads it."""
    source = READERS[reader]
    folder = valid.parent.parent / f"damaged-{os.getpid()}-{reader}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    copy = folder / source.name
    if valid.is_dir():
        shutil.copytree(valid, copy)
    else:
        shutil.copy(valid, copy)
    target = copy / source.targets[place % len(source.targets)]
    data = target.read_bytes()
    for mutate in mutations:
        data = mutate(data)
    target.chmod(0o644)
    target.write_bytes(data)
    outcome, message = readings.outcome(reader, copy)
    if outcome not in ("read", "refused") and (kept := os.environ.get("OPTSG_KEEP_BROKEN")):
        shutil.copy(
            target, Path(kept) / f"{reader}-{target.name}-{abs(hash(data))}".replace(" ", "-").replace("/", "-")
        )
        with (Path(kept) / "log.txt").open("a") as log:
            log.write(f"{reader} {target.name} {outcome} {message[-700:]}\n----\n")
        return
    assert outcome in ("read", "refused"), f"{reader}, {target.name}: {outcome}: {message}"


@pytest.mark.parametrize("reader", READERS)
def test_what_is_valid_is_read(readings: Readings, valid: dict[str, Path], reader: str, tmp_path: Path) -> None:
    copy = tmp_path / valid[reader].name  # a reader may go on with what it reads
    (shutil.copytree if valid[reader].is_dir() else shutil.copy)(valid[reader], copy)
    assert readings.outcome(reader, copy) == ("read", "")


@pytest.mark.parametrize("reader", READERS)
@settings(max_examples=FEW, derandomize=True, database=None, deadline=None, suppress_health_check=QUIET)
@given(place=st.integers(0, 7), mutations=MUTATIONS)
def test_what_is_damaged_is_read_or_refused(
    readings: Readings, valid: dict[str, Path], reader: str, place: int, mutations: list[Mutation]
) -> None:
    check(readings, valid[reader], reader, place, mutations)


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("reader", READERS)
@settings(
    max_examples=int(os.environ.get("OPTSG_MUTATIONS", str(MANY))),
    database=None,
    deadline=None,
    suppress_health_check=QUIET,
    phases=[Phase.generate],
)
@given(place=st.integers(0, 7), mutations=MUTATIONS)
def test_ten_thousand_times(
    readings: Readings, valid: dict[str, Path], reader: str, place: int, mutations: list[Mutation]
) -> None:
    check(readings, valid[reader], reader, place, mutations)
