"""How many workers a cluster has room for, and what each of them gets. Needs no Ray."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...data.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What Ray may use of one machine of the cluster."""

    processors: int
    gpus: int


@dataclass(frozen=True, kw_only=True)
class WorkerPlan:
    """Workers that hold one image encoder each.

    Attributes:
        count: of workers.
        processors: of each, and how many decoding processes it has.
        gpus: of each, 1 or 0.
    """

    count: int
    processors: int
    gpus: int


def plan_workers(machines: Sequence[Machine], *, device: str, processors: int | None = None) -> WorkerPlan:
    """A worker for every GPU, or, where there are none, for every machine.

    Args:
        machines: of the cluster.
        device: ``auto``, ``cpu`` or ``cuda``.
        processors: of each worker; by default as many as every machine has for each of its workers.

    Raises:
        ConfigError: no machine has what a worker needs.
    """
    if device not in ("auto", "cpu", "cuda"):
        raise ConfigError(
            f"--device {device} does not go with --ray, which says what a worker has; expected auto, cpu or cuda"
        )
    has_gpus = any(machine.gpus for machine in machines)
    if device == "cuda" and not has_gpus:
        raise ConfigError("--device cuda: no machine of the Ray cluster has a GPU")
    gpus = int(has_gpus and device != "cpu")
    usable = [machine for machine in machines if machine.processors and machine.gpus >= gpus]
    if not usable:
        raise ConfigError("no machine of the Ray cluster has a processor for a worker")
    if processors is None:
        processors = max(1, min(machine.processors // (machine.gpus if gpus else 1) for machine in usable))
    count = sum(
        min(machine.processors // processors, machine.gpus if gpus else machine.processors) for machine in usable
    )
    if not count:
        most = max(machine.processors for machine in usable)
        raise ConfigError(
            f"--workers {processors}: no machine of the Ray cluster has so many processors"
            f"{' and a GPU' if gpus else ''}; the largest has {most}"
        )
    return WorkerPlan(count=count, processors=processors, gpus=gpus)
