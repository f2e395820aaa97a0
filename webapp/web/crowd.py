"""Refuses calls of programs at once while so many are at work that one more would slow all.

All threads share one interpreter: of a crowd each is answered later than the one before, and pages
and /health wait in the same line. Refusing costs a tenth of doing, so that whoever comes ten times
as often as the machine can do is told so, and the rest goes on as ever.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from functools import cached_property
from typing import Any, Final

import structlog
from flask import Flask, Response, request

from webapp.kernel.errors import Unavailable
from webapp.kernel.settings import Settings
from webapp.web import errors, security

log = structlog.get_logger("webapp.crowd")

SHARE: Final = 4
"""Calls at work may take one thread of so many."""
LEAST: Final = 32
PATIENCE_S: Final = 0.75
"""A crowd that came at once has gone by then; in one that stays nobody is let wait."""
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
    """Places for calls at work, and for some that wait for one while the crowd is new.

    Args:
        most: how many may work at once; most_waiting: how many may wait.
    """

    def __init__(self, most: int, most_waiting: int) -> None:
        self._most, self._most_waiting = most, most_waiting
        self._at_work = self.waiting = 0
        self._easy_at = time.monotonic()
        self._left = threading.Condition()

    def enter(self) -> bool:
        """Take a place, or return that there is none to be had soon."""
        with self._left:
            now = time.monotonic()
            if self._at_work <= self._most // 2:
                self._easy_at = now
            if not self._is_full:
                self._at_work += 1
                return True
            patience_s = self._easy_at + PATIENCE_S - now
            if patience_s <= 0 or self.waiting >= self._most_waiting:
                return False
            self.waiting += 1
            came = self._left.wait_for(lambda: not self._is_full, patience_s)
            self.waiting -= 1
            self._at_work += came
            return came

    @property
    def _is_full(self) -> bool:
        return self._at_work >= self._most

    def leave(self) -> None:
        with self._left:
            self._at_work -= 1
            self._left.notify()


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
            return self._refusal(environ, start_response)
        place = environ[_PLACE] = Place(self._room)
        try:
            return self.inner(environ, start_response)
        finally:
            place.leave()

    @cached_property
    def _refusal(self) -> Response:
        """The same answer for all: it has to be quick."""
        with self._app.test_request_context("/api/v1/"):
            refusal = errors.answer(Unavailable("E-BUSY", retry_after=RETRY_AFTER_S))
            return security.with_headers(refusal, https=self._https)

    def _say(self) -> None:
        self._refused += 1
        if time.monotonic() - self._said > _SAY_EVERY_S:
            log.warning("crowded", refused=self._refused)
            self._refused, self._said = 0, time.monotonic()
