"""Twenty steps of training give the losses that they gave: nothing that is drawn or computed has changed."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner
from optsg.train.cli import main as optsg_train
from optsg.train.systems.op_tsg import PAPER_SETTINGS

from tests.golden.files import golden_json
from tests.tiny_world import TINY_SETTINGS, as_options, read_log

STEPS = 20
ONE_BATCH = ("batch_size=35", f"epochs={STEPS}")
"""All training videos of the store in one step: the log has the losses of every step."""
SMALL_BATCHES = ("batch_size=9", "micro_batch=4", f"epochs={STEPS // 4}")
"""Four steps an epoch, each in micro-batches: the log has their means."""
RUNS: dict[str, tuple[str, ...]] = {
    "op-tsg": ONE_BATCH,
    "op-tsg, the paper's setting": (*ONE_BATCH, *PAPER_SETTINGS),
    "op-tsg, in micro-batches": SMALL_BATCHES,
    "bin": ONE_BATCH,
    "open-book": ONE_BATCH,
    "prompt-label": ONE_BATCH,
}
EARLY, CLOSE, LATE = 5, 1e-5, 1e-4
"""The first values of a curve, their relative tolerance, and that of the others; README.md says why."""


def curves(run: Path) -> dict[str, list[float]]:
    """Every number that the log has for epochs and validations, by event and name, as it went."""
    found: dict[str, list[float]] = {}
    for event in read_log(run):
        for name, value in event.items():
            if event["event"] != "finished" and name not in ("event", "seconds", "best"):
                found.setdefault(f"{event['event']} {name}", []).append(float(f"{value:.7g}"))
    return found


@pytest.mark.parametrize("name", RUNS)
def test_losses_are_what_they_were(old: Path, name: str) -> None:
    settings = [*TINY_SETTINGS, *RUNS[name], "buckets=visual", f"validate_every={STEPS}", "patience=0"]
    system = name.partition(",")[0]
    arguments = ["--feats", "feats.h5", "--run", "new", "--system", system, "--size", "small", "--seed", "3"]
    result = CliRunner().invoke(optsg_train, [*arguments, "--device", "cpu", "-q", *as_options(settings)])
    assert result.exit_code == 0, result.output
    found = curves(Path("new"))
    expected = golden_json("loss_curves.json", name, found)
    assert found == {curve: Curve(values) for curve, values in expected.items()}


class Curve:
    """Equal to the same curve on another processor."""

    def __init__(self, values: list[float]):
        self.values = values

    def __eq__(self, other: object) -> bool:
        early, late = (
            pytest.approx(part, rel=tolerance, abs=1e-7)
            for part, tolerance in ((self.values[:EARLY], CLOSE), (self.values[EARLY:], LATE))
        )
        return isinstance(other, list) and other[:EARLY] == early and other[EARLY:] == late

    def __repr__(self) -> str:
        return f"about {self.values}"
