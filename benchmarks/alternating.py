"""Things to compare, run in turn within one process (A B A B …), so that what slows the machine down slows all of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, kw_only=True)
class Timing:
    """One run: seconds that passed, and processor seconds of this process."""

    wall: float
    cpu: float


@dataclass(frozen=True, kw_only=True)
class Ratio:
    """Ratios taken within each repetition: their median, the least and the greatest."""

    median: float
    least: float
    greatest: float

    def __str__(self) -> str:
        return f"{self.median:.2f} ({self.least:.2f} … {self.greatest:.2f})"


class Timings:
    """Timings by name, one for each repetition."""

    def __init__(self, runs: Mapping[str, list[Timing]]):
        self.runs = dict(runs)

    def wall(self, name: str) -> float:
        """Median of the seconds that passed."""
        return median(timing.wall for timing in self.runs[name])

    def cpu(self, name: str) -> float:
        """Median of the processor seconds."""
        return median(timing.cpu for timing in self.runs[name])

    def ratio(self, longer: str, shorter: str) -> Ratio:
        """How many times as long ``longer`` takes."""
        pairs = zip(self.runs[longer], self.runs[shorter], strict=True)
        ratios = [slow.wall / quick.wall for slow, quick in pairs]
        return Ratio(median=median(ratios), least=min(ratios), greatest=max(ratios))


def timed(run: Callable[[], object], synchronise: Callable[[], object] = lambda: None) -> Timing:
    """Runs once; ``synchronise`` waits for what a device still has to do."""
    synchronise()
    wall, cpu = time.perf_counter(), time.process_time()
    run()
    synchronise()
    return Timing(wall=time.perf_counter() - wall, cpu=time.process_time() - cpu)


def alternate(
    runs: Mapping[str, Callable[[], object]],
    repetitions: int,
    *,
    warm_up: int = 1,
    synchronise: Callable[[], object] = lambda: None,
) -> Timings:
    """Every run ``warm_up`` times unmeasured, then all in turn, ``repetitions`` times."""
    for _ in range(warm_up):
        for run in runs.values():
            run()
    found: dict[str, list[Timing]] = {name: [] for name in runs}
    for _ in range(repetitions):
        for name, run in runs.items():
            found[name].append(timed(run, synchronise))
    return Timings(found)
