"""Wait in a web thread until a run is over, without asking the database in a loop.

One thread per process listens to the channel of ended runs. When Redis is away, waiting falls
back to the caller's own look every quarter of a second.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, TypeVar

import redis

from webapp.live.bell import ENDED
from webapp.live.redis import connect

log = logging.getLogger(__name__)

T = TypeVar("T")
_LOOK_S: Final = 0.25
_LOOK_ANYWAY_S: Final = 1.0
_RETRY_S: Final = 1.0
_REMEMBERED: Final = 2000


class Endings:
    """Who waits for which run, in this process.

    While the channel is heard, the database is asked only once a run's ending was told; what was
    told a moment ago is remembered, since a quick run may end before anybody waits for it.
    """

    def __init__(self, url: str, most_waiting: int) -> None:
        self._url = url
        self._most = threading.BoundedSemaphore(max(1, most_waiting))
        self._waiting: dict[str, list[threading.Event]] = {}
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._hearing = False
        self._told: OrderedDict[str, None] = OrderedDict()

    @contextmanager
    def place(self) -> Iterator[bool]:
        """Take one of the threads that may wait; False when all are taken."""
        free = self._most.acquire(blocking=False)
        try:
            yield free
        finally:
            if free:
                self._most.release()

    def wait(self, run: str, seconds: float, look: Callable[[], T | None]) -> T | None:
        """Return what `look` finds once `run` is over, or None after `seconds`.

        `look` asks the database in a transaction of its own; None means "not over yet".
        """
        self._listen()
        told = threading.Event()
        with self._lock:
            self._waiting.setdefault(run, []).append(told)
            if run in self._told or not self._hearing:
                told.set()
        try:
            return self._until(told, time.monotonic() + seconds, look)
        finally:
            with self._lock:
                events = self._waiting[run]
                events.remove(told)
                if not events:
                    del self._waiting[run]

    def _until(self, told: threading.Event, end: float, look: Callable[[], T | None]) -> T | None:
        while True:
            left = end - time.monotonic()
            # Told or not, look from time to time: what is told may be lost.
            told.wait(max(0.0, min(left, _LOOK_ANYWAY_S if self._hearing else _LOOK_S)))
            told.clear()
            found = look()
            if found is not None or left <= 0:
                return found

    def _listen(self) -> None:
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._hear, name="endings", daemon=True)
                self._thread.start()

    def _hear(self) -> None:
        while True:
            try:
                channel = connect(self._url, timeout_s=60).pubsub(ignore_subscribe_messages=True)
                channel.subscribe(ENDED)
                self._hearing = True
                while True:
                    message = channel.get_message(timeout=30)
                    if message is not None:
                        for run in message["data"].decode().split(","):
                            self._tell(run)
            except (redis.RedisError, OSError) as error:
                self._hearing = False
                log.debug("waiting for endings without Redis: %s", error)
                time.sleep(_RETRY_S)  # a back-off of this thread

    def _tell(self, run: str) -> None:
        with self._lock:
            self._told[run] = None
            if len(self._told) > _REMEMBERED:
                self._told.popitem(last=False)
            for told in self._waiting.get(run, []):
                told.set()
