"""A request to stop is heard, whichever thread the system hands the signal to."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

WAITS = """
import signal, threading, time
from optsg.data.stop_signals import StopRequest, stop_on_signals

stop = StopRequest()

def other():
    time.sleep(0.3)
    signal.pthread_kill(threading.get_ident(), signal.SIGTERM)

with stop_on_signals(stop):
    threading.Thread(target=other, daemon=True).start()
    assert stop.wait()
print(stop.number)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there no signal can be sent to a thread")
def test_a_signal_that_another_thread_takes_ends_the_wait() -> None:
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", WAITS],
        env={"PYTHONPATH": str(root / ".import-root")},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout == "15\n"
