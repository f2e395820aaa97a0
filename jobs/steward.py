"""The steward: one process that sweeps, relays and tidies, each in a thread of its own."""

from __future__ import annotations

import logging
import random
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType

from jobs.base import Machine, make_machine, prepare
from jobs.deliveries import anchor, relay
from jobs.housekeeping import tidy
from jobs.marks import write_marks
from jobs.sweeping import sweep
from webapp.kernel.db import is_away
from webapp.kernel.heartbeat import beat

log = logging.getLogger(__name__)


class Duty:
    """One thing that is done again and again."""

    def __init__(self, name: str, every_s: float, work: Callable[[Machine], int]) -> None:
        self.name = name
        self.every_s = every_s
        self._work = work
        self.ticked = time.monotonic()

    def keep(self, machine: Machine, stopping: threading.Event) -> None:
        """Do it until asked to stop. A failure is logged; the next turn tries again."""
        while not stopping.is_set():
            try:
                self._work(machine)
            except Exception as error:
                if not is_away(error):
                    log.exception("%s failed", self.name)
                else:
                    log.warning("%s waits for the database", self.name)
            self.ticked = time.monotonic()
            # Jitter, so that several stewards do not ask in step.
            stopping.wait(self.every_s * random.uniform(0.8, 1.2))  # noqa: S311


def main() -> None:
    """Keep every duty until SIGTERM or SIGINT."""
    settings = prepare()
    stopping = threading.Event()

    def stop(_signal: int, _frame: FrameType | None) -> None:
        stopping.set()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    machine = make_machine(settings)
    duties = [
        Duty("sweep", 2.0, sweep),
        Duty("relay", 1.0, relay),
        Duty("marks", 60.0, write_marks),
        Duty("anchor", 3600.0, anchor),
        Duty("tidy", 600.0, tidy),
    ]
    threads = [
        threading.Thread(target=duty.keep, args=(machine, stopping), name=duty.name, daemon=True)
        for duty in duties
    ]
    for thread in threads:
        thread.start()
    beat(lambda: all(thread.is_alive() for thread in threads))
    stopping.wait()
    for thread in threads:
        thread.join(timeout=5)


if __name__ == "__main__":
    main()
