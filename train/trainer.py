"""The training loop (paper §3.3, §4.3): steps, validation, the best checkpoint, early stop, exact resumption.

Every epoch's order and every step's random numbers come from generators seeded by (seed, epoch) and (seed, step). An
interrupted run therefore continues with exactly the numbers that an uninterrupted one would have drawn.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ..data.batching import bucketed_batches, collate, video_lengths
from ..data.errors import StoreError
from ..data.stop_signals import stop_on_signals
from ..data.store import FeatureStore
from ..data.tag_table import TagTable
from ..data.title_tokenizer import TitleTokenizer
from .confidence.calibration import CALIBRATION, Calibration
from .config import RunConfig, default_epochs
from .init_from import load_start
from .interruption import TrainingInterrupted
from .log import TrainingLog
from .optimiser import AveragedWeights, build_optimiser, learning_rate_factor, set_learning_rate
from .precision import MasterWeights, working_dtype
from .resume import TrainingProgress, finish_state, load_state, read_progress, save_state
from .run_folder import DECISION, load_weights, save_weights, write_json
from .systems.registry import start_system
from .systems.system import StepLosses
from .tag_embeddings import save_tag_embeddings
from .validation import Validator, full_f1

VALIDATIONS = 12
"""How many validations a run has unless ``validate_every`` says otherwise."""


@dataclass(frozen=True, kw_only=True)
class StepReport:
    """What a step did: the epoch from 1, steps done and in all, its loss with its parts, and other measures."""

    epoch: int
    epochs: int
    step: int
    total_steps: int
    losses: Mapping[str, float]
    measures: Mapping[str, float]

    def logged(self) -> dict[str, float]:
        """What the epoch's log line averages, by its name there; the loss is the sum of its parts."""
        parts = {f"train_{name}": value for name, value in self.losses.items() if name != "loss"}
        return {**parts, **self.measures}


Reporter = Callable[[StepReport], None]
Announcer = Callable[[str], None]


class Trainer:
    """Trains one run from a feature store alone.

    Args:
        run: the run folder; it holds the configuration already.
        report: called after every step.
        announce: called with one line for people after every validation.
    """

    def __init__(
        self,
        store: FeatureStore,
        run: Path,
        config: RunConfig,
        tag_table: TagTable,
        tokenizer: TitleTokenizer,
        device: torch.device,
        *,
        report: Reporter = lambda _: None,
        announce: Announcer = lambda _: None,
    ):
        self.config, self.training, self.run_folder, self.device = config, config.training, run, device
        self._store, self._report, self._announce = store, report, announce
        self._rows = store.indices("train")
        self._lengths = video_lengths(store, self._rows)
        self.steps_per_epoch = -(-len(self._rows) // self.training.batch_size)
        self.epochs = self.training.epochs or default_epochs(config.size, len(self._rows), self.training.batch_size)
        self.total_steps = self.epochs * self.steps_per_epoch
        self.validate_every = self.training.validate_every or max(1, self.epochs // VALIDATIONS)
        self.system = start_system(store, config, tag_table, tokenizer)
        if config.init_from is not None:
            load_start(self.system.model, run)
        self.model = self.system.model.to(device)
        self.system.prepare(store, device)
        # Kept apart in float32: the working copy may be rounded.
        self._frozen = {n: p.detach().clone() for n, p in self.model.named_parameters() if not p.requires_grad}
        self._weights = MasterWeights(self.model, working_dtype(device, self.training.precision))
        self._optimiser = build_optimiser(self._weights.names, self._weights.masters, self.training)
        self._average = AveragedWeights(self._weights.masters, self.training.ema) if self.training.ema else None
        self._validator = self._open_validator()
        self._stop = threading.Event()

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
        return Validator(self._store, rows, self.system, self.device, max(64, self.training.batch_size))

    def warnings(self) -> list[str]:
        """What a person should know about the data before a long training."""
        return self.system.warnings(self._store, self._rows)

    def train(self, *, resume: bool = False) -> TrainingProgress:
        """Trains to the end.

        Raises:
            TrainingInterrupted: by Ctrl-C or SIGTERM, after the state was saved.
        """
        progress = (read_progress(self.run_folder) if resume else None) or TrainingProgress()
        if progress.finished:
            return progress
        if progress.step:
            load_state(self.run_folder, self._weights, self._optimiser, self._average)
        log = TrainingLog(
            self.run_folder,
            keep_epochs=progress.epochs_done if resume else None,
            keep_steps=progress.epochs_done * self.steps_per_epoch,
        )
        try:
            with stop_on_signals(self._stop):
                self._run_epochs(progress, log)
            self._finish(progress, log)
        finally:
            log.close()
        return progress

    def _run_epochs(self, progress: TrainingProgress, log: TrainingLog) -> None:
        started = time.monotonic() - progress.seconds
        saved = time.monotonic()
        for epoch in range(progress.epochs_done, self.epochs):
            for step in self._epoch_steps(epoch, progress):
                for name, value in step.logged().items():
                    progress.epoch_sums[name] = progress.epoch_sums.get(name, 0.0) + value
                progress.epoch_steps += 1
                progress.seconds = time.monotonic() - started
                if self._stop.is_set() or time.monotonic() - saved > self.training.state_seconds:
                    self._save_state(progress)
                    saved = time.monotonic()
                if self._stop.is_set():
                    raise TrainingInterrupted
            self._log_epoch(log, epoch, progress)
            stop = self._should_validate(epoch) and self._validate(epoch, progress, log)
            progress.epochs_done, progress.epoch_sums, progress.epoch_steps = epoch + 1, {}, 0
            if stop:
                return

    def _epoch_steps(self, epoch: int, progress: TrainingProgress) -> Iterator[StepReport]:
        """The epoch's remaining steps."""
        rng = np.random.default_rng([self.training.seed, epoch])
        batches = bucketed_batches(self._rows, self._lengths, self.training.batch_size, rng)
        for rows in batches[progress.step - epoch * self.steps_per_epoch :]:
            losses = self._step(progress.step, rows)
            progress.step += 1
            step = StepReport(
                epoch=epoch + 1,
                epochs=self.epochs,
                step=progress.step,
                total_steps=self.total_steps,
                losses=losses.values(),
                measures=losses.measures,
            )
            self._report(step)
            yield step

    def _step(self, step: int, rows: NDArray[np.int64]) -> StepLosses:
        torch.manual_seed(self.training.seed * 1_000_003 + step)
        self.model.train()
        set_learning_rate(self._optimiser, learning_rate_factor(step, self.total_steps, self.training.warmup))
        batch = collate(self._store, rows).to(self.device)
        losses = self.system.losses(batch, np.random.default_rng([self.training.seed, step, 1]))
        losses.total.backward()
        self._weights.collect_gradients()
        nn.utils.clip_grad_norm_(self._weights.masters, self.training.gradient_norm, foreach=True)
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
        return (epoch + 1) % self.validate_every == 0 or epoch + 1 == self.epochs

    def _validate(self, epoch: int, progress: TrainingProgress, log: TrainingLog) -> bool:
        """Scores the averaged weights, keeps them if they are the best so far; true when training should stop."""
        if self._validator is None:
            self._keep(progress, epoch)
            return False
        with self._averaged_weights():
            losses = self._validator.losses()
            by_value = self._validator.scores_by_value(self.system.scalar.during_training)
        value, scores = max(by_value.items(), key=lambda entry: full_f1(entry[1]))
        score = full_f1(scores)
        if score > progress.best_score:
            progress.best_score, progress.validations_without_gain = score, 0
            self._keep(progress, epoch)
        else:
            progress.validations_without_gain += 1
        log.write(
            "validation",
            progress.step,
            epoch=epoch + 1,
            **{f"val_{name}": loss for name, loss in losses.items()},
            val_full_f1=score,
            val_rare_f1=scores["label_based"]["rare"]["f1"],
            val_common_f1=scores["label_based"]["common"]["f1"],
            val_example_f1=scores["example_based"]["f1"],
            **{self.system.scalar.name: value},
            best=progress.best_epoch == epoch + 1,
        )
        self._announce(
            f"epoch {epoch + 1}/{self.epochs}: validation loss {losses['loss']:.3f}, full F1 {100 * score:.1f}, "
            f"example-based F1 {100 * scores['example_based']['f1']:.1f}"
            + (" (best so far)" if progress.best_epoch == epoch + 1 else "")
        )
        return 0 < self.training.patience <= progress.validations_without_gain

    @contextmanager
    def _averaged_weights(self) -> Iterator[None]:
        """The model computes with the averaged weights inside."""
        if self._average is None:
            yield
            return
        live = [master.detach().clone() for master in self._weights.masters]
        self._weights.publish(self._average.values)
        try:
            yield
        finally:
            self._weights.publish(live)

    def _keep(self, progress: TrainingProgress, epoch: int) -> None:
        """Writes the averaged weights, float32, as the run's model."""
        progress.best_epoch = epoch + 1
        values = self._average.values if self._average is not None else self._weights.masters
        kept = {**self.model.state_dict(), **self._frozen, **dict(zip(self._weights.names, values, strict=True))}
        needed = {name: value for name, value in kept.items() if not name.startswith(self.model.training_only)}
        save_weights(self.run_folder, needed)

    def _finish(self, progress: TrainingProgress, log: TrainingLog) -> None:
        """Tunes the system's scalar and calibrates its scores with the kept weights, and closes the run."""
        self.system.save(self.run_folder)
        scalar = self.system.scalar
        decision = scalar.not_tuned()
        if self._validator is not None:
            load_weights(self.model, self.run_folder)
            by_value = self._validator.scores_by_value(scalar.candidates)
            decision = scalar.tuned({value: full_f1(scores) for value, scores in by_value.items()})
            Calibration.fit(self._validator.candidates()).save(self.run_folder / CALIBRATION)
        save_tag_embeddings(self.run_folder, self._store, self.system.tag_table)
        write_json(self.run_folder / DECISION, decision)
        log.write("finished", progress.step, best_epoch=progress.best_epoch, seconds=round(progress.seconds, 1))
        finish_state(self.run_folder, progress)

    def _save_state(self, progress: TrainingProgress) -> None:
        save_state(self.run_folder, progress, self._weights, self._optimiser, self._average)
