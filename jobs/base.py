"""What every process outside the web begins with, and one unit of its work."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from types import FrameType

from webapp import tables
from webapp.access.context import NOWHERE, SYSTEM, Context
from webapp.commands.exits import SETTINGS
from webapp.kernel import logs
from webapp.kernel.db import Sessions, make_engine, make_sessions
from webapp.kernel.hints import Bell
from webapp.kernel.settings import Settings, SettingsError, load_settings
from webapp.live.bell import RedisBell


def prepare() -> Settings:
    """Return the settings with logging set up, or end the process with every problem told."""
    try:
        settings = load_settings()
    except SettingsError as error:
        for problem in error.problems:
            sys.stderr.write(f"{problem}\n")
        sys.exit(SETTINGS)
    logs.configure(settings.log_format, settings.log_level)
    tables.load()
    return settings


class Signals:
    """SIGTERM and SIGINT, heard in the main thread from now on.

    Not by an event: the handler may interrupt the very code that holds the event's lock, and
    would wait for it for ever. A simple queue may be put into at any moment.
    """

    def __init__(self) -> None:
        self._heard: SimpleQueue[int] = SimpleQueue()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._hear)

    def _hear(self, number: int, _frame: FrameType | None) -> None:
        self._heard.put(number)

    def wait(self, seconds: float) -> bool:
        """Return whether one has come. One that comes just before the wait does not end it."""
        try:
            self._heard.get(timeout=seconds)
        except Empty:
            return False
        return True


@dataclass(frozen=True, slots=True)
class Machine:
    """The means of the machine's own upkeep."""

    settings: Settings
    sessions: Sessions
    bell: Bell

    def close(self) -> None:
        """Give back the connections."""
        self.sessions.kw["bind"].dispose()

    @contextmanager
    def unit(self) -> Iterator[Context]:
        """Yield a context of the system; commit at the end, then send the hints."""
        with self.sessions() as session:
            ctx = Context(session, NOWHERE, SYSTEM, self.settings)
            yield ctx
            session.commit()
        ctx.hints.flush(self.bell)


def make_machine(settings: Settings) -> Machine:
    engine = make_engine(settings.database_url, pool_size=4)
    return Machine(settings, make_sessions(engine), RedisBell(settings.redis_url))
