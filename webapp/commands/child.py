"""One supervised process: start it so that it can't outlive us, watch it, restart it, end it."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field

SILENT_S = 10.0
BOOT_S = 60.0
STEADY_S = 60.0
LONGEST_PAUSE_S = 30.0
_PR_SET_PDEATHSIG = 1
_prctl = ctypes.CDLL(None, use_errno=True).prctl if sys.platform == "linux" else None


@dataclass(frozen=True)
class Spec:
    """What to run, and how to know that it lives."""

    name: str
    argv: list[str]
    env: dict[str, str] = field(default_factory=dict)
    fds: tuple[int, ...] = ()
    """Open files that the process shares with the supervisor."""
    probe: Callable[[], bool] | None = None
    """Asked every two seconds; a child without one writes to its heartbeat pipe instead."""
    mend: Callable[[], None] | None = None
    """Called before a restart when the child gave up by itself."""
    once: bool = False
    """Not restarted when it ends, and its output goes out without its name before it."""
    quiet: bool = False
    """Its output goes to its file only."""
    last: bool = False
    """Ended after all others, since they need it to the end."""


class Child:
    """A process of `spec`, over all its restarts."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self.process: subprocess.Popen[bytes] | None = None
        self.output = self.pulse = -1
        self.state = "waiting"
        self.restarts = 0
        self.failures = 0
        self.start_at = 0.0
        self.started = self.heard = 0.0

    @property
    def pid(self) -> int | None:
        return self.process.pid if self.process else None

    def start(self) -> None:
        """Start the process. Only from the main thread: Linux ties its life to this thread's."""
        self.output, theirs = os.pipe()
        pulse, their_pulse = os.pipe()
        parent = os.getpid()

        def tie() -> None:
            if _prctl:
                _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
                if os.getppid() != parent:
                    os._exit(1)  # the supervisor died between fork and here

        env = {**os.environ, **self.spec.env}
        env |= {"DECKHAND_HEARTBEAT_FD": str(their_pulse), "DECKHAND_PROCESS": self.spec.name}
        try:
            self.process = subprocess.Popen(
                self.spec.argv,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=theirs,
                stderr=theirs,
                pass_fds=(their_pulse, *self.spec.fds),
                start_new_session=True,  # Ctrl-C in a terminal reaches us, not them
                preexec_fn=tie,  # noqa: PLW1509  the supervisor has one thread
            )
        finally:
            os.close(theirs)
            os.close(their_pulse)
        self.pulse = pulse
        for pipe in (self.output, self.pulse):
            os.set_blocking(pipe, False)
        self.state = "starting"
        self.started = self.heard = time.monotonic()

    def hear(self) -> None:
        """Note a sign of life."""
        self.heard = time.monotonic()
        if self.state == "starting":
            self.state = "up"

    def silent(self, now: float) -> bool:
        limit = SILENT_S if self.state == "up" else BOOT_S
        return not self.spec.once and now - self.heard > limit

    def ended(self) -> int | None:
        """Return how the process ended, negative for a signal, or None while it runs."""
        return self.process.poll() if self.process else None

    def bury(self, code: int, now: float) -> None:
        """Clear away after an end with `code`, and choose when to start again."""
        self.signal(signal.SIGKILL)  # what the process may have started itself
        if self.spec.mend and code > 0:
            self.spec.mend()
        self.failures = 0 if now - self.started > STEADY_S else self.failures + 1
        pause = 0.0 if self.failures <= 1 else min(LONGEST_PAUSE_S, 0.25 * 2**self.failures)
        self.start_at = now + pause
        self.restarts += 1
        self.process = None
        self.state = "ended" if self.spec.once else "waiting"

    def signal(self, number: signal.Signals) -> None:
        """Send `number` to the process and everything it started, stopped or not."""
        if self.process is None:
            return
        try:
            os.killpg(self.process.pid, number)
            if number != signal.SIGKILL:
                os.killpg(self.process.pid, signal.SIGCONT)
        except ProcessLookupError:
            pass
