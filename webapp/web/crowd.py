"""Refuses calls of programs at once while so many are at work that one more would slow all.

All threads share one interpreter: of a crowd each is answered later than the one before, and pages
and /health wait in the same line. Refusing costs a tenth of doing, so that whoever comes ten times
as often as the machine can do is told so, and the rest goes on as ever.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from functools import cached_property
from typing import Any, Final

import structlog
from flask import Flask, request

from webapp.kernel.errors import Unavailable
from webapp.kernel.settings import Settings
from webapp.web import errors, security

log = structlog.get_logger("webapp.crowd")

SHARE: Final = 16
"""Calls at work may take one thread of so many."""
LEAST: Final = 16
PATIENCE_S: Final = 0.75
CROWDED_S: Final = 2.0
RETRY_AFTER_S: Final = 1
_SAY_EVERY_S: Final = 10.0
KEPT_FREE: Final = 32
"""Threads that calls never take."""
_PLACE: Final = "deckhand.place"

Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


def init_app(app: Flask, settings: Settings) -> None:
    most = max(LEAST, settings.web_threads // SHARE)
    room = Room(most, max(0, settings.web_threads - most - KEPT_FREE))
    app.wsgi_app = Crowd(app, room, https=settings.https)  # type: ignore[method-assign]


def step_aside() -> None:
    """Leave the place of this call to another: from now on it only waits."""
    place: Place | None = request.environ.get(_PLACE)
    if place is not None:
        place.leave()


class Place:
    """What one call takes of a room; it may be left twice."""

    def __init__(self, room: Room) -> None:
        self._room: Room | None = room

    def leave(self) -> None:
        room, self._room = self._room, None
        if room is not None:
            room.leave()


class Room:
    """Places for calls at work, and a line for those that will get one soon.

    While calls get their places in time, a crowd is only a burst. Once somebody has waited in vain
    there is no line until nobody was refused for a while: it would be lost time, and take threads.

    Args:
        most: how many may work at once; most_waiting: how many may stand in line.
    """

    def __init__(self, most: int, most_waiting: int) -> None:
        self._most, self._most_waiting = most, most_waiting
        self._at_work = 0
        self._line: deque[threading.Event] = deque()
        self._crowded_until = 0.0
        self._lock = threading.Lock()

    def enter(self) -> bool:
        """Take a place, or return that there is none to be had soon."""
        with self._lock:
            if self._at_work < self._most:
                self._at_work += 1
                return True
            now = time.monotonic()
            if now < self._crowded_until:
                self._crowded_until = now + CROWDED_S
                return False
            if self.waiting >= self._most_waiting:
                return False
            called = threading.Event()
            self._line.append(called)
        if called.wait(PATIENCE_S):
            return True
        with self._lock:
            if called.is_set():
                return True
            self._line.remove(called)
            self._crowded_until = time.monotonic() + CROWDED_S
            return False

    @property
    def waiting(self) -> int:
        return len(self._line)

    def leave(self) -> None:
        """Give the place to whoever has waited longest."""
        with self._lock:
            if self._line:
                self._line.popleft().set()
            else:
                self._at_work -= 1


class Crowd:
    """Lets calls of the API in while there is room; pages, sockets and /health pass."""

    def __init__(self, app: Flask, room: Room, *, https: bool) -> None:
        self._app, self.inner, self._https = app, app.wsgi_app, https
        self._room = room
        self._refused, self._said = 0, 0.0

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        if not environ.get("PATH_INFO", "").startswith("/api/"):
            return self.inner(environ, start_response)
        if not self._room.enter():
            self._say()
            status, headers, body = self._refusal
            start_response(status, headers)
            return [body]
        place = environ[_PLACE] = Place(self._room)
        try:
            return self.inner(environ, start_response)
        finally:
            place.leave()

    @cached_property
    def _refusal(self) -> tuple[str, list[tuple[str, str]], bytes]:
        """The same answer for all, ready to be sent: it has to be quick."""
        with self._app.test_request_context("/api/v1/"):
            refusal = errors.answer(Unavailable("E-BUSY", retry_after=RETRY_AFTER_S))
            refusal = security.with_headers(refusal, https=self._https)
            return refusal.status, refusal.headers.to_wsgi_list(), refusal.get_data()

    def _say(self) -> None:
        self._refused += 1
        if time.monotonic() - self._said > _SAY_EVERY_S:
            log.warning("crowded", refused=self._refused)
            self._refused, self._said = 0, time.monotonic()
