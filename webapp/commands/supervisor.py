"""Keeps the parts of Deckhand alive: the loop behind `deckhand up`. Standard library only."""

from __future__ import annotations

import os
import selectors
import signal
import socket
import time
from collections.abc import Callable, Iterable
from types import FrameType

from webapp.commands.child import Child, Spec
from webapp.commands.logs import Logs, Style

TICK_S = 0.5
BRISK_TICK_S = 0.02
PROBE_EVERY_S = 2.0
STOP_S = 12.0  # workers take up to 10 s to hand back
TRIES_BEFORE_READY = 3
# A child that ends so before we are ready has said why, and trying again changes nothing.
FINAL_CODES = {2: "settings", 5: "database"}


class Supervisor:
    """Runs children until a signal; every method belongs to the main thread."""

    def __init__(self, logs: Logs, changed: Callable[[list[Child]], None]) -> None:
        self.logs = logs
        self.changed = changed
        self.children: list[Child] = []
        self.signals = 0
        self.failed: tuple[Child, int] | None = None
        self.ready = False
        self.on_tick: list[Callable[[], None]] = []
        self._selector = selectors.DefaultSelector()
        self._probed = 0.0
        self._ticked = time.monotonic()
        self._stopping = False

    def listen(self) -> None:
        """Take SIGINT, SIGTERM and SIGHUP as the wish to stop, from now on."""
        ours, wake = socket.socketpair()
        ours.setblocking(False)
        wake.setblocking(False)
        self._wake = (ours, wake)  # kept open for as long as signals may come
        signal.set_wakeup_fd(wake.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._asked_to_stop)
        if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # or nohup would be in vain
            signal.signal(signal.SIGHUP, self._asked_to_stop)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self._selector.register(ours, selectors.EVENT_READ, lambda: _drain(ours.fileno()))

    def _asked_to_stop(self, _number: int, _frame: FrameType | None) -> None:
        self.signals += 1

    def add(self, specs: Iterable[Spec]) -> None:
        """Start these; from now on they are kept alive."""
        for spec in specs:
            child = Child(spec)
            self.children.append(child)
            self._start(child)
        self.changed(self.children)

    def run_until(self, done: Callable[[], bool]) -> bool:
        """Keep everything alive until `done`, or until a signal or a failed start (then False)."""
        while not self.signals and not self.failed:
            if done():
                return True
            self.tick()
        return False

    def tick(self) -> None:
        """Wait a moment for something to happen, and act on it."""
        for key, _ in self._selector.select(BRISK_TICK_S if self._awaited() else TICK_S):
            key.data()
        now = time.monotonic()
        if now - self._ticked > PROBE_EVERY_S * 2:
            # We were stopped or starved ourselves: nobody is silent yet.
            for child in self.children:
                child.heard = now
        self._ticked = now
        self._probe(now)
        for child in self.children:
            self._look_after(child, now)
        for act in self.on_tick:
            act()

    def stop(self) -> None:
        """End all children, the patient way; a second signal ends the patience."""
        self._stopping = True
        before = self.signals
        for last in (False, True):
            going = [child for child in self.children if child.spec.last == last and child.process]
            for child in going:
                child.state = "stopping"
                child.signal(signal.SIGTERM)
            deadline = time.monotonic() + STOP_S
            while any(child.process for child in going):
                self.tick()
                if time.monotonic() > deadline or self.signals > before + 1:
                    for child in going:
                        child.signal(signal.SIGKILL)
        self.changed(self.children)

    def restart(self, names: Iterable[str]) -> None:
        """End these children kindly; they come back at once."""
        for child in self.children:
            if child.spec.name in names and child.process:
                child.failures = -1
                child.signal(signal.SIGTERM)

    def _start(self, child: Child) -> None:
        child.start()
        output, pulse = child.output, child.pulse
        self._selector.register(output, selectors.EVENT_READ, lambda: self._read(output, child))
        self._selector.register(pulse, selectors.EVENT_READ, lambda: self._hear(pulse, child))

    def _look_after(self, child: Child, now: float) -> None:
        if child.process is None:
            if not self._stopping and child.state == "waiting" and now >= child.start_at:
                self._start(child)
                self.changed(self.children)
            return
        code = child.ended()
        if code is None:
            if child.silent(now):
                self.logs.say(f"{child.spec.name} has been silent for too long: starting it again")
                child.heard = now
                child.signal(signal.SIGKILL)
            return
        self._drop_pipes(child)
        if not self._stopping and not child.spec.once:
            self.logs.say(f"{child.spec.name} ended ({_how(code)}): starting it again")
        child.bury(code, now)
        hopeless = child.failures >= TRIES_BEFORE_READY or code in FINAL_CODES
        if hopeless and not self.ready and not self._stopping and not child.spec.once:
            self.failed = (child, code)
        self.changed(self.children)

    def _probe(self, now: float) -> None:
        if now - self._probed < (0 if self._awaited() else PROBE_EVERY_S):
            return
        self._probed = now
        for child in self.children:
            if child.process and child.spec.probe and child.spec.probe():
                self._alive(child)

    def _awaited(self) -> bool:
        return any(child.spec.probe and child.state == "starting" for child in self.children)

    def _read(self, pipe: int, child: Child) -> None:
        chunk = _drain(pipe)
        if chunk is None:
            self._selector.unregister(pipe)
            os.close(pipe)
            child.output = -1
        else:
            self.logs.write(child.spec.name, chunk, _style(child.spec))

    def _hear(self, pipe: int, child: Child) -> None:
        beats = _drain(pipe)
        if beats is None:
            self._selector.unregister(pipe)
            os.close(pipe)
            child.pulse = -1
        elif beats:
            self._alive(child)

    def _alive(self, child: Child) -> None:
        new = child.state == "starting"
        child.hear()
        if new:
            self.changed(self.children)

    def _drop_pipes(self, child: Child) -> None:
        """Read what is left, then close: a grandchild may keep the other end open for ever."""
        if child.output >= 0:
            chunk = _drain(child.output)
            if chunk:
                self.logs.write(child.spec.name, chunk, _style(child.spec))
        self.logs.end(child.spec.name, _style(child.spec))
        for pipe in (child.output, child.pulse):
            if pipe >= 0:
                self._selector.unregister(pipe)
                os.close(pipe)
        child.output = child.pulse = -1


def _drain(pipe: int) -> bytes | None:
    """Return what the pipe holds now, or None when its other end is closed."""
    try:
        chunk = os.read(pipe, 65536)
    except BlockingIOError:
        return b""
    return chunk or None


def _how(code: int) -> str:
    if code >= 0:
        return f"code {code}"
    return f"by {signal.Signals(-code).name}"


def _style(spec: Spec) -> Style:
    if spec.quiet:
        return Style.FILE_ONLY
    return Style.PLAIN if spec.once else Style.NAMED
