"""Send hints: wake the workers through RQ, and tell pages through Socket.IO.

Rings are coalesced: `SET bell NX` before enqueueing, and the worker deletes it before it claims,
so a burst of starts costs one job (RULINGS.md 2.1.2). Losing a hint costs latency only: the
sweep finds ready runs, and pages are told that they missed something as soon as that can be said.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
import time
from datetime import datetime
from typing import Any, Final
from uuid import uuid4

import redis
import rq
from rq.serializers import JSONSerializer

from webapp.kernel import jsons
from webapp.kernel.clock import now
from webapp.kernel.hints import Ring, Tell
from webapp.live.redis import Line, connect

log = logging.getLogger(__name__)

NAMESPACE: Final = "/live"
MISSED: Final = "live.missed"
"""Said to every page at once: something was not told, join your rooms again and compare."""
POKE: Final = "jobs.runs.poke"
CHANNEL: Final = "socketio"
ENDED: Final = "deckhand:ended"
"""The channel that carries the public ids of runs that are over, joined by commas."""

RING_S: Final = 10
"""A ring that nobody heard is forgotten after so long: by then the sweep has looked."""
_REST_S: Final = 1.0
_ENDS: Final = frozenset({"run.done", "run.failed", "run.cancelled", "run.needs_review"})


def bell_key(queue_name: str) -> str:
    """Return the key that says "this queue was rung and no worker has looked yet"."""
    return f"deckhand:bell:{queue_name}"


class RedisBell:
    """Sends hints at once, in the calling thread. After a failure it rests for a second.

    `lost` says that pages have missed something since, and will be told so by the next sending.

    What pages are told is published in the form of Socket.IO's own Redis manager, as one list:
    a message for each event cost half of a worker's time. The web's manager takes the list apart.
    A test compares the form; its package would add 10 MiB to every worker.
    """

    def __init__(self, url: str) -> None:
        self._redis = connect(url)
        self._line = Line(self._redis)
        self._host = uuid4().hex
        self._queues: dict[str, rq.Queue] = {}
        self._rest_until = 0.0
        self.lost = False

    def send(self, hints: list[Ring | Tell]) -> None:
        told = [hint for hint in hints if isinstance(hint, Tell)]
        lost, self.lost = self.lost, self.lost or bool(told)
        if time.monotonic() < self._rest_until:
            return
        try:
            rings = [hint.queue for hint in hints if isinstance(hint, Ring)]
            commands = [("SET", bell_key(name), 1, "NX", "PX", 1000) for name in rings]
            answers = self._line.send(*commands, *self._messages(told, lost=lost))
            self.lost = False
            for name, first in zip(rings, answers, strict=False):
                if first:
                    self._ring(name)
        except (redis.RedisError, OSError) as error:
            self._rest_until = time.monotonic() + _REST_S
            log.warning("hints were lost, the sweep repairs them: %s", error)
        except Exception:  # what was promised is committed: neither request nor thread may fail
            log.exception("hints were lost, the sweep repairs them")

    def answer(self, queue_name: str) -> None:
        """Take note of a ring, so that the next start rings again; before looking for work."""
        if time.monotonic() < self._rest_until:
            return
        try:
            self._line.send(("DEL", bell_key(queue_name)))
        except (redis.RedisError, OSError):
            self._rest_until = time.monotonic() + _REST_S

    def _ring(self, name: str) -> None:
        known = self._queues.get(name)
        if known is None:
            known = rq.Queue(name, connection=self._redis, serializer=JSONSerializer)
            self._queues[name] = known
        known.enqueue(POKE, job_timeout=-1, result_ttl=0, failure_ttl=RING_S, ttl=RING_S)

    def _messages(self, hints: list[Tell], *, lost: bool) -> list[tuple[str, str, str]]:
        if not hints and not lost:
            return []
        at = now()
        told = [
            emission(envelope(hint.room, hint.seq, hint.type, hint.data, at), hint.room, self._host)
            for hint in hints
        ]
        if lost:
            told.append(emission(envelope("", 0, MISSED, {}, at), None, self._host))
        messages = [("PUBLISH", CHANNEL, jsons.dumps(told))]
        ended = [
            hint.room.removeprefix("run:")
            for hint in hints
            if hint.type in _ENDS and hint.room.startswith("run:")
        ]
        return [*messages, ("PUBLISH", ENDED, ",".join(ended))] if ended else messages


def emission(event: dict[str, Any], room: str | None, host: str) -> dict[str, Any]:
    """Return what `socketio.RedisManager.emit` publishes for an event without bytes or answer."""
    return {
        "method": "emit",
        "event": event["type"],
        "data": [event],
        "binary": False,
        "namespace": NAMESPACE,
        "room": room,
        "skip_sid": None,
        "callback": None,
        "host_id": host,
    }


class BackgroundBell:
    """Sends hints from a thread of its own, so that a commit never waits for Redis.

    Where something was lost, it tries every second to say so, without a new hint.
    """

    def __init__(self, bell: RedisBell, most_waiting: int = 10_000) -> None:
        self._bell = bell
        self._most = most_waiting
        self._waiting: queue.SimpleQueue[list[Ring | Tell]] = queue.SimpleQueue()
        threading.Thread(target=self._work, name="bell", daemon=True).start()

    def send(self, hints: list[Ring | Tell]) -> None:
        if self._waiting.qsize() < self._most:
            self._waiting.put(hints)
        else:
            self._bell.lost = True
            log.warning("hints were dropped: more than %s wait", self._most)

    def _work(self) -> None:
        while True:
            hints: list[Ring | Tell] = []
            with contextlib.suppress(queue.Empty):
                hints = self._waiting.get(timeout=_REST_S if self._bell.lost else None)
            while len(hints) < 500:
                try:
                    hints = hints + self._waiting.get_nowait()
                except queue.Empty:
                    break
            self._bell.send(hints)


class SilentBell:
    """For commands and tests that need no bell: the sweep finds what they leave."""

    def send(self, hints: list[Ring | Tell]) -> None:
        return None


def envelope(
    room: str, seq: int, type: str, data: dict[str, Any], at: datetime | None = None
) -> dict[str, Any]:
    """Return an event as browsers get it (UX.md 8.4); `seq` 0 means "not numbered"."""
    moment = (at or now()).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {"v": 1, "room": room, "seq": seq, "at": moment, "type": type, "data": data}
