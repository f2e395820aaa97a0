"""Tells the supervisor that this process lives. Standard library only: every child loads it first.

`deckhand up` gives each child a pipe and kills the one that is silent for ten seconds, since a
stopped process may hold the database's write lock.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable

EVERY_S = 2.0


def beat(alive: Callable[[], bool] = lambda: True) -> None:
    """Write to the supervisor's pipe every two seconds for as long as `alive` says so.

    Without a supervisor this does nothing.
    """
    pipe = os.environ.get("DECKHAND_HEARTBEAT_FD")
    if pipe:
        threading.Thread(
            target=_beat, args=(int(pipe), alive), name="heartbeat", daemon=True
        ).start()


def _beat(pipe: int, alive: Callable[[], bool]) -> None:
    os.set_blocking(pipe, False)
    while True:
        if alive():
            try:
                os.write(pipe, b".")
            except BlockingIOError:
                pass  # a full pipe means that the supervisor sleeps, not that we do
            except OSError:
                # The supervisor is gone. Linux has killed us by now; elsewhere we go by ourselves.
                os.kill(os.getpid(), signal.SIGTERM)
                return
        time.sleep(EVERY_S)
