"""Steps prepared in a thread come in order, bring their errors, and leave no thread behind."""

from __future__ import annotations

import threading
import time
import traceback
from contextlib import closing

import pytest
import torch
from optsg.train.loop.prepared_steps import STEPS_AHEAD, prepared_ahead, steps_ahead


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "preparing steps"]


@pytest.mark.parametrize("ahead", [0, 1, 3])
def test_results_come_in_order(ahead: int) -> None:
    assert list(prepared_ahead(range(50), lambda number: number * number, ahead=ahead)) == [n * n for n in range(50)]
    assert not threads()


def test_some_are_made_before_they_are_asked_for_but_not_all() -> None:
    made: list[int] = []

    def prepare(number: int) -> int:
        made.append(number)
        return number

    with closing(prepared_ahead(range(100), prepare, ahead=2)) as steps:
        assert next(steps) == 0
        deadline = time.monotonic() + 30
        while len(made) < 4 and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.1)
        assert made == [0, 1, 2, 3]  # one taken, two waiting, one in hand
    assert not threads()


def test_on_the_cpu_nothing_runs_beside_the_computation() -> None:
    assert (steps_ahead(torch.device("cpu")), steps_ahead(torch.device("cuda"))) == (0, STEPS_AHEAD)
    seen = list(prepared_ahead([1], lambda _: threading.current_thread(), ahead=0))
    assert seen == [threading.main_thread()]


def test_an_error_comes_at_its_turn_with_its_traceback() -> None:
    def prepare_badly(number: int) -> int:
        if number == 2:
            raise ValueError("no such video")
        return number

    with pytest.raises(ValueError, match="no such video") as raised:
        list(prepared_ahead(range(9), prepare_badly, ahead=4))
    assert "prepare_badly" in "".join(traceback.format_exception(raised.value))
    steps = prepared_ahead(range(9), prepare_badly, ahead=4)
    assert [next(steps), next(steps)] == [0, 1]
    with pytest.raises(ValueError, match="no such video"):
        next(steps)
    assert not threads()


def interrupted() -> None:
    with closing(prepared_ahead(iter(int, 1), str, ahead=1)) as steps:
        assert next(steps) == "0"
        raise KeyboardInterrupt


def test_an_interruption_ends_the_thread_while_it_waits_for_room() -> None:
    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert not threads()
