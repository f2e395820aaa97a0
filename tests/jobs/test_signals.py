"""A process hears that it is to end, whatever its code is doing when that is said."""

from __future__ import annotations

import subprocess
import sys

import pytest

ENDS_AT_LINE = """
import signal, sys
from jobs.base import Signals

signals, lines = Signals(), int(sys.argv[1])

def trace(frame, event, _):
    global lines
    if event == "line":
        lines -= 1
        if lines == 0:
            sys.settrace(None)
            signal.raise_signal(signal.SIGTERM)
    return trace

sys.settrace(trace)
while not signals.wait(0.05):
    pass
"""


@pytest.mark.parametrize("line", range(1, 12))
def test_a_signal_is_heard_at_every_line_of_the_wait_for_it(line: int) -> None:
    """With an event it was not: its lock was held by what the handler had interrupted."""
    words = [sys.executable, "-c", ENDS_AT_LINE, str(line)]

    assert subprocess.run(words, timeout=30, check=False).returncode == 0
