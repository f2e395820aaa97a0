"""The steward: what the machine does by itself, in three parts of a thread for each duty.

`deckhand up` runs all parts in one process. The Procfile runs each alone (`--only clock`), any
number of times: their duties take rows by claims, so that two never do one thing twice.
"""

from __future__ import annotations

import argparse
import logging
import threading
import time
from collections.abc import Callable, Iterable

from redis import RedisError

from jobs.base import Machine, Signals, make_machine, prepare
from jobs.deliveries import anchor, relay
from jobs.housekeeping import tidy
from jobs.marks import write_marks
from jobs.sweeping import sweep
from webapp.kernel.db import is_away
from webapp.kernel.heartbeat import beat
from webapp.kernel.jitter import jittered
from webapp.live.presence import PARTS, SAID_EVERY_S, say_present
from webapp.live.redis import connect

log = logging.getLogger(__name__)

LATE_S = 60.0


class Duty:
    """One thing that is done again and again."""

    def __init__(self, name: str, every_s: float, work: Callable[[Machine], int]) -> None:
        self.name = name
        self.every_s = every_s
        self._work = work
        self.ticked = time.monotonic()

    @property
    def late(self) -> bool:
        """Whether it hangs: one turn is long over and the next has not begun."""
        return time.monotonic() - self.ticked > self.every_s * 1.2 + LATE_S

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
            stopping.wait(jittered(self.every_s))


def duties_of(parts: Iterable[str]) -> dict[str, list[Duty]]:
    """Return fresh duties by the part that keeps them."""
    every = {
        "clock": [
            Duty("marks", 60.0, write_marks),
            Duty("anchor", 3600.0, anchor),
            Duty("tidy", 600.0, tidy),
        ],
        "relay": [Duty("relay", 1.0, relay)],
        "sweep": [Duty("sweep", 2.0, sweep)],
    }
    return {part: every[part] for part in parts}


def main(words: list[str] | None = None) -> None:
    """Keep every duty until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(prog="python -m jobs.steward", description=__doc__)
    parser.add_argument("--only", choices=PARTS, help="keep the duties of this part only")
    only: str | None = parser.parse_args(words).only
    settings = prepare()
    stopping = threading.Event()
    signals = Signals()
    machine = make_machine(settings)
    kept = duties_of([only] if only else PARTS)
    threads = [
        threading.Thread(target=duty.keep, args=(machine, stopping), name=duty.name, daemon=True)
        for duties in kept.values()
        for duty in duties
    ]
    for thread in threads:
        thread.start()
    beat(lambda: all(thread.is_alive() for thread in threads))
    _stay(settings.redis_url, kept, signals)
    stopping.set()
    for thread in threads:
        thread.join(timeout=5)


def _stay(redis_url: str, kept: dict[str, list[Duty]], signals: Signals) -> None:
    """Wait for the end, and say meanwhile which parts are at work."""
    if not redis_url:
        while not signals.wait(SAID_EVERY_S):
            pass
        return
    with connect(redis_url) as client:
        is_over = False
        while not is_over:
            try:
                for part, duties in kept.items():
                    if not any(duty.late for duty in duties):
                        say_present(client, part)
            except (RedisError, OSError):
                log.debug("nobody hears which parts are present")
            is_over = signals.wait(SAID_EVERY_S)


if __name__ == "__main__":
    main()
