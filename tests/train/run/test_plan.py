"""What a run's plan makes of several GPUs."""

from __future__ import annotations

import math

from optsg.train.config import SIZES
from optsg.train.run.plan import for_gpus


def test_the_default_batch_is_that_of_each_gpu() -> None:
    for _, schedule in SIZES.values():
        one, eight = (for_gpus(schedule, gpus, [], epochs=9) for gpus in (1, 8))
        assert one == schedule
        assert (eight.batch_size, eight.epochs) == (8 * schedule.batch_size, 9)
        assert math.isclose(eight.learning_rate, schedule.learning_rate * math.sqrt(8))
        assert math.isclose(eight.pretrained_learning_rate, schedule.pretrained_learning_rate * math.sqrt(8))


def test_a_batch_that_was_asked_for_is_the_joint_one() -> None:
    schedule = SIZES["base"][1]
    assert for_gpus(schedule, 8, ["seed=1", "batch_size=256"], epochs=9) == schedule
