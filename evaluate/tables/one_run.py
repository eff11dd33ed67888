"""The process of one run: train or go on training, then evaluate. Started by :mod:`.runner`, one at a time for a device.

``python -m optsg.evaluate.tables.one_run`` with a job as JSON in its arguments. It ends like training by SIGTERM,
also when whoever started it is gone: its standard input is a pipe from there. Each run has a lock, so that two runners on one
folder share the grid and train nothing twice.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from ...data.command_line import one_sentence_errors
from ...data.foreign.json_reader import JSON_DAMAGE, read_json
from ...train.cli import main as optsg_train
from ...train.loop.saved_states import read_progress
from ..cli import main as optsg_eval

BUSY = 75
"""Exit code where another process holds the run."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """What to do; all paths are absolute.

    Attributes:
        folder: the run folder; its parent's parent is the working folder.
        train: options of ``optsg-train`` for a new run.
        splits: to evaluate on.
        test_labels: digest of the test split's titles and tags (:func:`optsg.data.store.digests.label_digest`).
        allow: options that allow what is to be trained, where it is not optsg's own.
    """

    folder: str
    train: tuple[str, ...]
    splits: tuple[str, ...]
    test_labels: str
    device: str
    allow: tuple[str, ...] = ()

    def to_json(self) -> str:
        """The job as the argument of a process's command line."""
        return json.dumps(asdict(self))


def do(job: Job) -> None:
    """Trains the run, or goes on with it, and evaluates it on the splits on which it is not evaluated yet."""
    folder = Path(job.folder)
    where = ["--run", job.folder, "--device", job.device]
    progress = read_progress(folder)
    if progress is None:
        # What a training leaves that was stopped before its first saved state: nothing to go on from.
        shutil.rmtree(folder, ignore_errors=True)
        optsg_train([*where, *job.train, *job.allow], standalone_mode=False)
    elif not progress.finished:
        optsg_train([*where, "--resume", *job.allow], standalone_mode=False)
    for split in job.splits:
        if not is_evaluated(folder, split, job.test_labels):
            optsg_eval([*where, "--split", split, "-q", *job.allow], standalone_mode=False)


def is_evaluated(run: Path, split: str, test_labels: str) -> bool:
    """Whether a run has an evaluation of a split as the split is now: test videos may have been corrected or added since.

    Those that validate are of the run's training (:func:`optsg.train.run.differences.learned_labels`). Evaluations of earlier versions
    do not say what they are of, and one that is damaged has to be looked at by a person: both are taken for done.
    """
    path = run / "eval" / split / "metrics.json"
    if not path.is_file():
        return False
    if split != "test":
        return True
    try:
        return read_json(path, finite=False).get("labels") in (None, test_labels)
    except (*JSON_DAMAGE, AttributeError):
        return True


def stop_with_parent() -> None:
    """Asks this process to stop once its standard input ends."""

    def wait() -> None:
        os.read(sys.stdin.fileno(), 1)  # not through a buffer, whose lock the interpreter wants at its end
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, daemon=True).start()


def main() -> None:
    """Runs the job of the first argument."""
    job = Job(**json.loads(sys.argv[1]))
    folder = Path(job.folder)
    # optsg-train points runs/latest at what it trains: OUT/runs/latest.
    os.chdir(folder.parent.parent)
    stop_with_parent()
    try:
        with one_sentence_errors(verbose=False), lock_run(folder):
            do(job)
    except RunBusy:
        sys.exit(BUSY)


class RunBusy(Exception):  # noqa: N818 - it is no error: somebody else trains it
    """Another process holds the run."""


@contextmanager
def lock_run(folder: Path) -> Iterator[None]:
    """Holds a run folder; the system lets go of it whenever the process ends, however it ends.

    Raises:
        RunBusy: another process holds it.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder.with_name(f".{folder.name}.lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise RunBusy(folder.name) from error
    try:
        yield
    finally:
        lock.release()


if __name__ == "__main__":
    main()
