"""The training loop (paper §3.3, §4.3): steps, validation, the best checkpoint, early stop, exact resumption.

Every epoch's order and every step's random numbers come from generators seeded by (seed, epoch) and (seed, step). An
interrupted run therefore continues with exactly the numbers that an uninterrupted one would have drawn, and computes the
same shapes in the same order: its weights are the same to the bit on the same kind of processor with the same numbers of
threads and processes, and on a GPU, whose kernels add up in no fixed order, the same but for rounding. A step's batch is
the same whatever the number of processes, and each process computes its share of it; with another number weights are the
same but for rounding. A training that is asked to stop says so with
:class:`TrainingInterrupted`.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Collection, Generator
from contextlib import closing
from dataclasses import astuple
from pathlib import Path

import numpy as np

from ...data.batching import bucketed_batches, reading_ahead, video_lengths, writing_lengths
from ...data.command_line import INTERRUPTED
from ...data.errors import RunError, StoreError
from ...data.stop_signals import StopRequest, stop_on_signals
from ...data.store import FeatureStore
from ...data.tag_table import TagTable
from ...data.word_pieces import TitleTokenizer
from ..config import RunConfig, default_epochs
from ..device import working_dtype
from ..objective.step_losses import StepLosses
from ..run.init_from import load_start
from ..run_files import MODEL, load_weights, save_weights
from ..systems.registry import start_system
from .compiled_layers import compile_layers
from .cuda_graphs import CudaGraphs, can_be_recorded
from .finish_run import finish_run, fits_ranker
from .joint_step import JointStep, PreparedStep
from .log import TrainingLog
from .loss_sums import LossSums
from .optimiser import (
    AveragedWeights,
    MasterWeights,
    average_interval,
    build_optimiser,
    clip_gradients,
    learning_rate_factor,
    set_learning_rate,
)
from .prepared_steps import prepared_ahead, steps_ahead
from .processes import Processes
from .saved_states import StateSaver, TrainingProgress, find_sound_state, finish_state, read_progress
from .validation import Rank, Validator

DEFAULT_VALIDATIONS = 12
"""How many validations a run has whose configuration leaves it open, as version 0.1.0 did."""


Reporter = Callable[[int, StepLosses], None]
"""Told after every step how many are done, and its losses."""

Announcer = Callable[[str], None]


class Trainer:
    """Trains one run from a feature store alone.

    Args:
        run: the run folder; it holds the configuration already.
        report: called after every step with the number of steps done and the losses.
        announce: called with one line for people, after every validation among others.
        allow_systems: classes, ``MODULE:CLASS``, that the run's system may be.
    """

    def __init__(
        self,
        store: FeatureStore,
        run: Path,
        config: RunConfig,
        tag_table: TagTable,
        tokenizer: TitleTokenizer,
        processes: Processes,
        *,
        report: Reporter = lambda _step, _losses: None,
        announce: Announcer = lambda _: None,
        allow_systems: Collection[str] = (),
    ):
        self.config, self.training, self.run_folder = config, config.training, run
        self.processes, self.device = processes, processes.device
        self._store, self._report, self._announce = store, report, announce
        self._rows = store.indices("train")
        by_title = self.training.buckets == "title"
        self._lengths = (writing_lengths if by_title else video_lengths)(store, self._rows)
        self._titles = store.title_lengths()[self._rows] if by_title else None
        self.steps_per_epoch = -(-len(self._rows) // self.training.batch_size)
        self.epochs = self.training.epochs or default_epochs(config.size, len(self._rows), self.training.batch_size)
        self.total_steps = self.epochs * self.steps_per_epoch
        self.validate_every = self.training.validate_every or max(1, self.epochs // DEFAULT_VALIDATIONS)
        self.system = start_system(store, config, tag_table, tokenizer, allow_systems)
        if config.init_from is not None:
            load_start(self.system.model, run)
        self.model = self.system.model.to(self.device)
        self.system.prepare(store, self.device)
        processes.start_alike([parameter.detach() for parameter in self.model.parameters()])
        # Kept apart in float32: the working copy may be rounded.
        self._frozen = {n: p.detach().clone() for n, p in self.model.named_parameters() if not p.requires_grad}
        self._weights = MasterWeights(self.model, working_dtype(self.device, self.training.precision))
        if self.training.compile:
            compile_layers(self.model)
        recorded = can_be_recorded(self.training, processes)
        graphs = CudaGraphs(self.model, announce) if recorded else None
        self._joint_step = JointStep(store, self.system, self._weights, self.training, processes, graphs)
        self._optimiser = build_optimiser(self._weights.names, self._weights.masters, self.training)
        self._average = self._open_average()
        self._states = StateSaver(
            run,
            self._weights,
            self._optimiser,
            self._average,
            seconds=self.training.state_seconds,
            keep=self.training.keep_states,
        )
        self._validator = self._open_validator()
        self._stop = StopRequest()

    def _open_average(self) -> AveragedWeights | None:
        if not self.training.ema:
            return None
        every = average_interval(self.steps_per_epoch)
        return AveragedWeights(self._weights.masters, self.training.ema, every=every)

    def _open_validator(self) -> Validator | None:
        try:
            rows = self._store.indices("val")
        except StoreError:
            scalar = self.system.scalar
            self._announce(
                f"the store has no validation split: the last weights are kept and the {scalar.label} "
                f"stays {scalar.untuned:g}"
            )
            return None
        batch_size = max(64, self.training.batch_size)
        return Validator(self._store, rows, self.system, batch_size, self.processes, between=self._check_stop)

    def warnings(self) -> list[str]:
        """What a person should know about the data before a long training."""
        return self.system.warnings(self._store, self._rows)

    def train(self, *, resume: bool = False) -> TrainingProgress:
        """Trains to the end.

        Raises:
            TrainingInterrupted: by Ctrl-C or SIGTERM, after the state was saved.
            DivergedError: a loss is no finite number.
            RunError: a state cannot be gone on from, or a file cannot be written.
        """
        progress = (self._restore() if resume else None) or TrainingProgress()
        if progress.finished:
            return progress
        log = TrainingLog(
            self.run_folder if self.processes.is_main else None,
            keep_epochs=progress.epochs_done if resume else None,
            keep_steps=progress.epochs_done * self.steps_per_epoch,
        )
        try:
            with stop_on_signals(self._stop, insist=self.processes.count == 1):
                if not progress.trained:
                    self._run_epochs(progress, log)
                    # Tuning may take long, and needs no step again.
                    progress.trained = True
                    self._save_state(progress)
                self._finish(progress, log)
        finally:
            log.close()
        return progress

    def _restore(self) -> TrainingProgress | None:
        """Goes back to the newest sound state; ``None`` where there is no state."""
        progress, state = self.processes.by_main(self._find_state)
        if state is None:
            return progress
        progress = self._states.load(state)
        begun = progress.epochs_done * self.steps_per_epoch
        if not begun <= progress.step <= min(begun + self.steps_per_epoch, self.total_steps) or (
            progress.epoch_sums and not progress.epoch_steps
        ):
            raise RunError(
                f"{state} says that {progress.step:,} steps and {progress.epochs_done:,} epochs are done, which is no state of "
                f"this training of {self.epochs} epochs of {self.steps_per_epoch} steps; start a new run"
            )
        return progress

    def _find_state(self) -> tuple[TrainingProgress | None, Path | None]:
        progress = read_progress(self.run_folder)
        if progress is None or progress.finished:
            return progress, None
        return None, find_sound_state(self.run_folder, lambda line: self._announce(f"warning: {line}"))

    def _run_epochs(self, progress: TrainingProgress, log: TrainingLog) -> None:
        started = time.monotonic() - progress.seconds
        for epoch in range(progress.epochs_done, self.epochs):
            sums = LossSums(progress)
            with closing(self._epoch_steps(epoch, progress)) as steps:
                for losses in steps:
                    sums.add(losses)
                    progress.seconds = time.monotonic() - started
                    self._save_and_stop(progress, sums)
            sums.read()
            self._log_epoch(log, epoch, progress)
            try:
                stop = self._should_validate(epoch) and self._validate(epoch, progress, log)
            except TrainingInterrupted:
                self._save_state(progress)  # validation has changed nothing yet
                raise
            progress.epochs_done, progress.epoch_sums, progress.epoch_steps = epoch + 1, {}, 0
            if stop:
                return

    def _epoch_steps(self, epoch: int, progress: TrainingProgress) -> Generator[StepLosses, None, None]:
        """The epoch's remaining steps."""
        rng = np.random.default_rng([self.training.seed, epoch])
        size, window = self.training.batch_size, self.training.shuffle_window
        batches = bucketed_batches(self._rows, self._lengths, size, rng, titles=self._titles, window=window)
        share = slice(self.processes.index, None, self.processes.count)
        remaining = reading_ahead(self._store, batches[progress.step - epoch * self.steps_per_epoch :], share=share)
        ahead = steps_ahead(self.device)
        self.model.train()  # once an epoch: going through all modules costs the host milliseconds
        with closing(prepared_ahead(remaining, self._joint_step.prepare, ahead=ahead)) as steps:
            for prepared in steps:
                losses = self._step(progress.step, prepared)
                progress.step += 1
                self._report(progress.step, losses)
                yield losses

    def _step(self, step: int, prepared: PreparedStep) -> StepLosses:
        set_learning_rate(self._optimiser, learning_rate_factor(step, self.total_steps, self.training.warmup))
        losses = self._joint_step.gradients(step, prepared)
        clip_gradients(self._weights.masters, self.training.gradient_norm)
        self._optimiser.step()
        self._optimiser.zero_grad()
        if self._average is not None:
            self._average.update(step)
        self._weights.publish()
        return losses

    def _log_epoch(self, log: TrainingLog, epoch: int, progress: TrainingProgress) -> None:
        means = {name: value / progress.epoch_steps for name, value in progress.epoch_sums.items()}
        log.write(
            "epoch",
            progress.step,
            epoch=epoch + 1,
            train_loss=sum(value for name, value in means.items() if name.startswith("train_")),
            **means,
            seconds=round(progress.seconds, 1),
        )

    def _should_validate(self, epoch: int) -> bool:
        is_turn = (epoch + 1) % self.validate_every == 0 and epoch + 1 >= self.training.validate_from
        return is_turn or epoch + 1 == self.epochs

    def _validate(self, epoch: int, progress: TrainingProgress, log: TrainingLog) -> bool:
        """Scores the averaged weights, keeps them if they are the best so far; true when training should stop."""
        if self._validator is None:
            self._keep(progress, epoch)
            return False
        with self._weights.lent(self._average.values if self._average is not None else None):
            found = self._validator.validate()
        best = Rank(f1=progress.best_score, example_f1=progress.best_example_score, loss=progress.best_loss)
        if found.rank.is_above(best):
            progress.best_score, progress.best_example_score, progress.best_loss = astuple(found.rank)
            progress.validations_without_gain = 0
            self._keep(progress, epoch)
        else:
            progress.validations_without_gain += 1
        is_best = progress.best_epoch == epoch + 1
        tuned = {self.system.scalar.name: found.value}
        log.write("validation", progress.step, epoch=epoch + 1, **found.logged(), **tuned, best=is_best)
        self._announce(f"epoch {epoch + 1}/{self.epochs}: {found}" + (" (best so far)" if is_best else ""))
        return 0 < self.training.patience <= progress.validations_without_gain

    def _keep(self, progress: TrainingProgress, epoch: int) -> None:
        """Writes the averaged weights, float32, as the run's model."""
        progress.best_epoch = epoch + 1
        values = self._average.values if self._average is not None else self._weights.masters
        kept = {**self.model.state_dict(), **self._frozen, **dict(zip(self._weights.names, values, strict=True))}
        needed = {name: value for name, value in kept.items() if not name.startswith(self.model.training_only)}
        self.processes.by_main(lambda: save_weights(self.run_folder, needed))

    def _finish(self, progress: TrainingProgress, log: TrainingLog) -> None:
        """Makes what predictions need beside the weights, and closes the run."""
        if self._validator is not None:
            load_weights(self.model, self.run_folder / MODEL, self.model.training_only)
            videos = self._validator.videos
            fitted = "decision, sources and ranker" if fits_ranker(self.config, videos) else "decision"
            self._announce(f"epoch {progress.best_epoch} is kept; fitting its {fitted} ({videos:,} validation videos)")
        finish_run(self.run_folder, self.system, self._store, self._validator, self.processes)
        log.write("finished", progress.step, best_epoch=progress.best_epoch, seconds=round(progress.seconds, 1))
        self.processes.by_main(lambda: finish_state(self.run_folder, progress))

    def _save_and_stop(self, progress: TrainingProgress, sums: LossSums) -> None:
        """After a step: saves the state when it is time, and where any process was asked to stop, saves it and stops."""
        if self.processes.any(self._stop.is_set()):
            sums.read()
            self._save_state(progress)
            raise TrainingInterrupted(self._stop.number)
        if self.processes.is_main and self._states.is_due:
            sums.read()
            self._states.save(progress)

    def _check_stop(self) -> None:
        if self.processes.any(self._stop.is_set()):
            raise TrainingInterrupted(self._stop.number)

    def _save_state(self, progress: TrainingProgress) -> None:
        """Saves the state; no process goes on before it is written."""
        self.processes.by_main(lambda: self._states.save(progress))


class TrainingInterrupted(Exception):  # noqa: N818 - it is no error: somebody asked for it
    """Training was asked to stop (Ctrl-C or SIGTERM); its state is saved.

    Args:
        signal_number: of the signal that asked, 0 where nobody knows.
    """

    def __init__(self, signal_number: int = 0):
        super().__init__(signal_number)
        self.exit_code = 128 + signal.SIGTERM if signal_number == signal.SIGTERM else INTERRUPTED
