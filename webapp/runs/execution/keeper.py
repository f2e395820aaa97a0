"""Keeps a worker's runs its own, and hears what others want of them.

A thread beside the loop renews the leases - only while the loop still turns, or a hung loop would
keep its runs for ever (RULINGS.md 2.1.3).
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final
from uuid import UUID

from webapp.kernel.clock import boot_id, boot_ms, now
from webapp.kernel.crashpoints import crashpoint
from webapp.kernel.db import is_away
from webapp.kernel.hints import Bell, Hints
from webapp.kernel.jitter import jittered
from webapp.kernel.shipped import release
from webapp.runs.execution.claims import Claims, Held
from webapp.runs.execution.driving import Active
from webapp.runs.execution.outside import Outside
from webapp.runs.execution.readings import Readings

log = logging.getLogger(__name__)

BEAT_S: Final = 2.0
_SEEN_S: Final = 10.0


@dataclass(slots=True)
class Keeper:
    """See the module. `start`, then `close` when the runs have been handed back.

    Attributes:
        active: the runs this worker works on; the loop puts them in and takes them out.
        is_alive: whether the loop turned lately.
        wake: has the loop look for work.
        on_loop: does something in the loop's thread.
    """

    name: str
    lease_s: int
    claims: Claims
    readings: Readings
    outside: Outside
    bell: Bell
    active: dict[UUID, Active]
    is_alive: Callable[[], bool]
    wake: Callable[[], None]
    on_loop: Callable[[Callable[[], object]], None]
    closing: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None
    _idle: set[tuple[UUID, int]] = field(default_factory=set)

    def start(self) -> None:
        self._thread = threading.Thread(target=self._keep, name="keeper", daemon=True)
        self._thread.start()

    def join(self, seconds: float) -> None:
        """Wait for the thread, behind `closing.set()`; it may hang in the database."""
        if self._thread is not None:
            self._thread.join(timeout=seconds)

    def _keep(self) -> None:
        """Renew leases, hear of cancels, take back what others lost, say that we live."""
        seen = 0.0
        started_at = now()
        pause = min(BEAT_S, self.lease_s / 4)
        while not self.closing.wait(jittered(pause)):
            try:
                if self.is_alive():
                    crashpoint("worker.in_heartbeat")
                    self._renew()
                hints = Hints()
                if self.claims.take_back(hints):
                    self.wake()
                hints.flush(self.bell)
                if time.monotonic() - seen > _SEEN_S:
                    seen = time.monotonic()
                    self.claims.see(self._mark(started_at))
            except Exception as error:
                if not is_away(error):
                    log.exception("keeping failed")

    def _renew(self) -> None:
        before, began_ms = dict(self.active), boot_ms()
        held = self.claims.beat()
        self.claims.streamed(self.outside.take_spoken())
        for run_id, active in before.items():
            found = held.get(run_id)
            if found is None or found.fence != active.claimed.fence:
                if active.task is not None and not active.task.done():
                    log.info("run %s is lost", active.claimed.public)
                    self.on_loop(active.task.cancel)
                continue
            if active.journal is not None:
                active.journal.renewed_ms = max(active.journal.renewed_ms, began_ms)
            if found.cancelling:
                crashpoint("worker.in_cancel")
                self.on_loop(active.cancel.set)
            elif found.pausing:
                self.on_loop(active.pause.set)
        self._release_idle(held)
        boxes = {run: one.mailbox for run, one in before.items() if one.mailbox.wanted}
        if boxes:
            for run, arrivals in self.readings.signals_held(self.name, boxes).items():
                self.on_loop(partial(boxes[run].put, arrivals))

    def _release_idle(self, held: dict[UUID, Held]) -> None:
        """Give back runs that are ours by the database and that nobody here works on.

        They are released at the second sight, since a claim may be on its way to the loop.
        """
        idle = {(run, found.fence) for run, found in held.items() if run not in self.active}
        hints = Hints()
        for run, fence in idle & self._idle:
            self.claims.release(run, fence, hints)
        self._idle = idle
        hints.flush(self.bell)

    def _mark(self, started_at: Any) -> dict[str, Any]:
        return {
            "id": self.name,
            "host": socket.gethostname()[:120],
            "pid": os.getpid(),
            "boot": boot_id()[:40],
            "version": release()[:20],
            "started_at": started_at,
            "seen_at": now(),
            "running": len(self.active),
        }
