"""``optsg-train``: a feature store to a trained run folder."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import click

from ..data.command_line import (
    SHORT_HELP,
    allow_system_option,
    device_option,
    one_sentence_errors,
    quiet_and_verbose,
    size_option,
)
from .system_names import DEFAULT_SYSTEM, SYSTEM_NAMES, WITHOUT_TRAINING, check_system_name

EXAMPLES = """\b
Examples:
  optsg-train --feats feats.h5
  optsg-train --feats feats.h5 --run runs/first --seed 1
  optsg-train --feats feats.h5 --system asy
  PYTHONPATH=. optsg-train --feats feats.h5 --system mine.focal:Focal
  optsg-train --run runs/first --resume
  optsg-train --feats feats.h5 --run runs/first --resume auto
  optsg-train --feats small.h5 --init-from runs/pre --set epochs=20
  optsg-train --feats feats.h5 --size base --set epochs=20 --set prompts=30
"""


@click.command(epilog=EXAMPLES, context_settings=SHORT_HELP)
@click.option("--feats", type=click.Path(path_type=Path), metavar="PATH", help="Feature store to train from.")
@click.option(
    "--system",
    metavar="NAME",
    help=f"What to train: {', '.join(SYSTEM_NAMES)}; one of an installed package; or a class of your own, MODULE:CLASS.  "
    f"[default: {DEFAULT_SYSTEM}; {WITHOUT_TRAINING} for a handful of videos]",
)
@allow_system_option
@click.option(
    "--init-from",
    metavar="RUN",
    help="Start from the weights of this run (a folder or a Hugging Face repository), with its system and its model's "
    "sizes, and the tags and word pieces of --feats.",
)
@size_option("base is the paper's model; auto takes it on a GPU for 10,000 training videos or more.")
@click.option(
    "--run", type=click.Path(path_type=Path), metavar="DIR", help="Run folder to write.  [default: runs/SYSTEM-SIZE-N]"
)
@click.option(
    "--resume",
    is_flag=False,
    flag_value="run",
    type=click.Choice(["run", "auto"]),
    metavar="[auto]",
    help="Go on with an interrupted run; ends with an uninterrupted one's weights on the same machine. With auto, the same command begins the "
    "run where there is none, goes on with it, and does nothing when it is finished: for jobs that are queued again.",
)
@click.option(
    "--set", "settings", multiple=True, metavar="KEY=VALUE", help="Change a setting of config.json; may be repeated."
)
@click.option("--seed", type=click.IntRange(min=0), metavar="N", help="Seed of everything random.  [default: 0]")
@device_option
@quiet_and_verbose
@click.version_option(package_name="optsg")
def main(run: Path | None, resume: str | None, device: str, quiet: bool, verbose: bool, **chosen: Any) -> None:
    """Trains a tagging model from a feature store alone: no video, no encoder download, no network.

    Size and number of epochs fit the store and the device unless told otherwise. When it is trained, runs/latest points
    at the run.
    """
    _check_usage(run, resume, **chosen)
    with one_sentence_errors(verbose):
        check_system_name(chosen["system"] or DEFAULT_SYSTEM)
        # PyTorch takes seconds to import; --help should not wait for it.
        from .loop.processes import MainProcessFailed, open_processes, training_alone
        from .loop.train_run import train_run
        from .loop.trainer import TrainingInterrupted
        from .run.plan import RunRequest, begun_config, begun_run, new_run
        from .run_files import LATEST, RUNS, stopped_run

        try:
            with open_processes(device) as processes, ExitStack() as held:
                if chosen["feats"] is not None:
                    gpus = processes.count if processes.device.type == "cuda" else 1
                    request = RunRequest(run=run, device=device, gpus=gpus, **chosen)
                    begin = partial(begun_run if resume == "auto" else new_run, request)
                    if run is not None:  # before anything is in it: another process may be about to begin it too
                        held.enter_context(training_alone(run, processes, resume=resume is not None))
                    named, run = run, processes.by_main(begin)
                    if named is None:
                        held.enter_context(training_alone(run, processes))
                else:
                    run = run or stopped_run() or RUNS / LATEST
                    begun_config(run)
                    held.enter_context(training_alone(run, processes, resume=resume is not None))
                allowed = (*chosen["allow_systems"], chosen["system"] or DEFAULT_SYSTEM)
                train_run(run, processes=processes, resume=resume is not None, quiet=quiet, allow_systems=allowed)
        except TrainingInterrupted as interruption:
            sys.exit(interruption.exit_code)
        except MainProcessFailed:
            sys.exit(1)  # it has said why


def _check_usage(
    run: Path | None,
    resume: str | None,
    *,
    feats: Path | None,
    size: str,
    allow_systems: tuple[str, ...],
    **others: Any,
) -> None:
    """Refuses options that contradict each other. ``allow_systems`` allows: it contradicts nothing."""
    del allow_systems
    chosen = (feats, None if size == "auto" else size, *others.values())
    if resume == "run" and any(choice not in (None, ()) for choice in chosen):
        raise click.UsageError(
            "--resume goes on with the run's own settings; leave --feats, --init-from, --system, --size, --set and --seed out"
        )
    if resume == "auto" and run is None:
        raise click.UsageError("--resume auto needs --run: which run to begin or to go on with")
    if not resume and feats is None:
        raise click.UsageError("--feats is missing: which feature store? optsg-extract makes one")


if __name__ == "__main__":  # for `accelerate launch -m optsg.train.cli`
    main()
