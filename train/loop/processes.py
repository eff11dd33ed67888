"""The processes that train one model together, through Hugging Face Accelerate; one process is the usual case.

``torchrun`` or ``accelerate launch`` start them and say by the environment how many there are. Each has a whole model on a
device of its own and a share of every batch. The main process alone writes and speaks.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from ...data.errors import ConfigError, RunError
from ...data.whole_files import lock_out
from ..device import choose_device, send
from .saved_states import is_finished

T = TypeVar("T")


PATIENCE = timedelta(minutes=30)
"""How long a process waits for the others before it takes them for dead."""


BUCKET = 2**24
"""Gradients that are averaged at a time, by number."""


OTHER_ENGINES = {
    "ACCELERATE_USE_DEEPSPEED": "DeepSpeed",
    "ACCELERATE_USE_FSDP": "FSDP",
    "ACCELERATE_USE_MEGATRON_LM": "Megatron-LM",
}


class MainProcessFailed(Exception):  # noqa: N818 - the main process says what happened
    """The main process could not do what all waited for."""


@dataclass(frozen=True, kw_only=True)
class Processes:
    """This process among those that train together.

    Attributes:
        index: from 0.
        count: how many there are.
        device: of this process.
    """

    index: int
    count: int
    device: torch.device

    @classmethod
    def alone(cls, device: torch.device) -> Processes:
        """One process, which trains without others."""
        return cls(index=0, count=1, device=device)

    @property
    def is_main(self) -> bool:
        """Whether this is the one that writes and speaks."""
        return self.index == 0

    def wait(self) -> None:
        """Waits until all processes have come here."""
        if self.count > 1:
            from accelerate.state import PartialState

            PartialState().wait_for_everyone()

    def by_main(self, do: Callable[[], T]) -> T:
        """What ``do`` gives in the main process, which alone runs it.

        Raises:
            MainProcessFailed: in the other processes, where it raised something.
        """
        if self.count == 1:
            return do()
        from accelerate.utils import broadcast_object_list

        outcome: list[Any] = [False, None]
        try:
            if self.is_main:
                outcome = [True, do()]
        finally:
            broadcast_object_list(outcome)
        if not outcome[0]:
            raise MainProcessFailed
        done: T = outcome[1]
        return done

    def gather(self, values: Sequence[T]) -> list[T]:
        """The objects of all processes."""
        if self.count == 1:
            return list(values)
        from accelerate.utils import gather_object

        return list(gather_object(list(values)))

    def sums(self, values: Sequence[float]) -> list[float]:
        """Each of these numbers, added up over the processes."""
        if self.count == 1:
            return list(values)
        from accelerate.utils import reduce

        # MPS, where float64 is missing, has no process groups.
        return list(reduce(torch.tensor(values, dtype=torch.float64, device=self.device), reduction="sum").tolist())

    def means(self, values: Sequence[Tensor | float]) -> list[Tensor]:
        """Means of scalars over the processes, float32 on this process's device; nobody waits for them."""
        from accelerate.utils import reduce

        tensors = [torch.as_tensor(value, dtype=torch.float32) for value in values]
        return list(reduce(torch.stack([send(value, self.device) for value in tensors]), reduction="mean").unbind())

    def any(self, flag: bool) -> bool:
        """Whether the flag is set in any process."""
        return self.sums([float(flag)])[0] > 0

    def start_alike(self, tensors: Sequence[Tensor]) -> None:
        """Gives all processes the main one's numbers."""
        if self.count > 1:
            from accelerate.utils import broadcast

            for tensor in tensors:
                tensor.copy_(broadcast(tensor))

    def average_gradients(self, parameters: Sequence[nn.Parameter]) -> None:
        """Replaces gradients by their means; one that a process lacks counts as 0, one that all lack stays away."""
        if self.count == 1:
            return
        from accelerate.utils import reduce

        present = self.sums([float(parameter.grad is not None) for parameter in parameters])
        some = [parameter for parameter, processes in zip(parameters, present, strict=True) if processes]
        for bucket in _buckets(some):
            gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in bucket]
            means = reduce(torch.cat([gradient.flatten() for gradient in gradients]), reduction="mean")
            views = [mean.view_as(p) for mean, p in zip(means.split([p.numel() for p in bucket]), bucket, strict=True)]
            torch._foreach_copy_(gradients, views)
            for parameter, gradient in zip(bucket, gradients, strict=True):
                parameter.grad = gradient


def _buckets(parameters: Sequence[nn.Parameter]) -> Iterator[list[nn.Parameter]]:
    bucket: list[nn.Parameter] = []
    for parameter in parameters:
        if bucket and sum(p.numel() for p in bucket) + parameter.numel() > BUCKET:
            yield bucket
            bucket = []
        bucket.append(parameter)
    if bucket:
        yield bucket


@contextmanager
def open_processes(device: str) -> Iterator[Processes]:
    """This process among those that were started together; alone where there are no others.

    Args:
        device: as :func:`optsg.train.device.choose_device`; with several processes ``auto``, ``cpu`` or ``cuda``, and
            each takes a GPU of its own.

    Raises:
        ConfigError: there is no such device, or not one for each process, or Accelerate is configured for an engine
            that cuts the model up.
    """
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        yield Processes.alone(choose_device(device))
        return
    on_cpu = _check_devices(device, count)
    from accelerate.state import PartialState

    state = PartialState(cpu=on_cpu, timeout=PATIENCE)
    processes = Processes(index=state.process_index, count=state.num_processes, device=state.device)
    try:
        yield processes
        processes.wait()
    finally:
        # Threads of Gloo that outlive the interpreter end the process in SIGABRT (pytorch/pytorch#179291).
        state.destroy_process_group()


@contextmanager
def training_alone(run: Path, processes: Processes, *, resume: bool = False) -> Iterator[None]:
    """Holds the run folder, wherever links to it lead, so that no other command trains it; the main process does it for all.

    A finished run that is to be resumed is not held: nothing will be written, and its folder may be for reading alone.

    Raises:
        RunError: another command trains it, or its folder cannot be written.
        MainProcessFailed: the same, in the other processes.
    """
    with ExitStack() as held:

        def hold() -> None:
            if resume and is_finished(run):
                return
            busy = "is being trained by another process; wait until it has ended, or choose another --run"
            held.enter_context(lock_out(run.resolve(), RunError, busy=busy))

        processes.by_main(hold)
        yield


def _check_devices(device: str, count: int) -> bool:
    """Whether all compute on the CPU; errors as :func:`open_processes`."""
    for variable, engine in OTHER_ENGINES.items():
        if os.environ.get(variable, "false").lower() == "true":
            raise ConfigError(
                f"Accelerate is configured for {engine}; optsg-train keeps the whole model on each device: "
                "configure multi-GPU or multi-CPU"
            )
    if device not in ("auto", "cpu", "cuda"):
        raise ConfigError(
            f"--device {device}: {count} processes each take a device of their own; use auto, cpu or cuda"
        )
    wants_cpu = os.environ.get("ACCELERATE_USE_CPU", "false").lower() == "true"
    if device == "cpu" or (device == "auto" and (wants_cpu or not torch.cuda.is_available())):
        return True
    choose_device("cuda")
    here, gpus = int(os.environ.get("LOCAL_WORLD_SIZE", count)), torch.cuda.device_count()
    if here > gpus:
        raise ConfigError(f"{here} processes on this machine, {gpus} GPUs; start one process for each GPU")
    return False
