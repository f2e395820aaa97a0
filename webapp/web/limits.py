"""How fast anybody may knock: counted in Redis for all processes, in this one when Redis is away.

Two counters. `spend` is GCRA (a token bucket that keeps one number): an even rate with a burst.
`Tries` counts tries of a password exactly, over a sliding window, because "10 in 5 minutes" must
not become 20 at the seam of two windows.

Sources: ITU-T I.371 (GCRA); IETF draft-ietf-httpapi-ratelimit-headers-10.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import structlog
from flask import Flask, Response, current_app, g

from webapp.kernel.errors import LimitReached

log = structlog.get_logger("webapp.limits")

API_RATE: Final = 60_000
"""Requests a minute of one API key unless the key says otherwise."""

_AHEAD: Final = 3_000
"""For each so many a minute, one may be taken ahead of its use: 20 of the default rate. Whoever
knocks fast then costs a round trip to Redis every 20 ms instead of one for each knock."""
_AHEAD_S: Final = 0.25

_GCRA = """
local now = redis.call('TIME'); now = now[1] * 1000000 + now[2]
local step, room, many = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local due = math.max(tonumber(redis.call('GET', KEYS[1]) or 0), now)
local free = math.floor((room - (due - now)) / step)
if free < 1 then return {0, math.ceil(due - now + step - room), 0} end
many = math.min(many, free)
due = due + step * many
redis.call('SET', KEYS[1], string.format('%.0f', due), 'PX', math.ceil((due - now) / 1000) + 1)
return {many, 0, free - many}
"""

_TRY = """
local now = redis.call('TIME'); now = now[1] * 1000 + math.floor(now[2] / 1000)
local window, id, wait = tonumber(ARGV[1]), ARGV[2], 0
for n, key in ipairs(KEYS) do
  local most, pause_from = tonumber(ARGV[n * 3]), tonumber(ARGV[n * 3 + 1])
  local pause = tonumber(ARGV[n * 3 + 2])
  redis.call('ZREMRANGEBYSCORE', key, '-inf', now - window)
  local count = redis.call('ZCARD', key)
  if count >= most then
    local first = redis.call('ZRANGE', key, count - most, count - most, 'WITHSCORES')
    wait = math.max(wait, tonumber(first[2]) + window - now)
  elseif pause_from > 0 and count >= pause_from then
    local last = redis.call('ZRANGE', key, -1, -1, 'WITHSCORES')
    wait = math.max(wait, tonumber(last[2]) + pause - now)
  end
end
if wait > 0 then return wait end
for _, key in ipairs(KEYS) do
  redis.call('ZADD', key, now, id); redis.call('PEXPIRE', key, window)
end
return 0
"""


@dataclass(frozen=True, slots=True)
class Bucket:
    """What a caller was told about its rate.

    Attributes:
        wait_s: 0 when the request may pass.
    """

    name: str
    rate: int
    left: int
    wait_s: float


@dataclass(frozen=True, slots=True)
class TryLimit:
    """At most `most` tries in the window; from the one after `pause_from` on, `pause_s` apart."""

    key: str
    most: int
    pause_from: int = 0
    pause_s: int = 0


class Counters:
    """The counters of this installation, with those of this process as a spare.

    Args:
        redis: a client, or None to count in this process only.
    """

    AWAY_S = 1.0

    def __init__(self, redis: Any = None) -> None:
        self._redis = redis
        self._away_until = 0.0
        self._lock = threading.Lock()
        self._due: dict[str, float] = {}
        self._ahead: dict[str, tuple[int, int, float]] = {}
        self._tries: dict[str, deque[tuple[float, str]]] = {}
        if redis is not None:
            self._gcra, self._try = redis.register_script(_GCRA), redis.register_script(_TRY)

    def spend(self, name: str, who: str, rate: int, burst: int) -> Bucket:
        """Take one of `rate` a minute, at most `burst` at once."""
        step_us, key = 60_000_000 / rate, f"dh:rate:{name}:{who}"
        left = self._spend_ahead(key)
        if left is not None:
            return Bucket(name, rate, left, 0)
        many = min(max(1, rate // _AHEAD), max(1, burst // 2))
        answer = self._ask(
            lambda: self._gcra(keys=[key], args=[round(step_us), round(step_us * burst), many])
        )
        if answer is None:
            passed, wait_us, left = self._spend_here(f"{name}:{who}", step_us, step_us * burst)
        else:
            passed, wait_us, left = int(answer[0]), int(answer[1]), int(answer[2])
            if passed > 1:
                left += passed - 1
                with self._lock:
                    self._ahead[key] = passed - 1, left, time.monotonic() + _AHEAD_S
        return Bucket(name, rate, left, 0 if passed else max(wait_us / 1e6, 0.001))

    def _spend_ahead(self, key: str) -> int | None:
        """Take one that was taken ahead; return how many are left, None when there is none."""
        with self._lock:
            ahead, left, until = self._ahead.pop(key, (0, 0, 0.0))
            if ahead < 1 or time.monotonic() > until:
                return None
            if ahead > 1:
                self._ahead[key] = ahead - 1, left - 1, until
        return left - 1

    def try_once(self, id: str, window_s: int, limits: list[TryLimit]) -> float:
        """Count a try under every limit, or return the seconds to wait and count nothing."""
        args: list[Any] = [window_s * 1000, id]
        for limit in limits:
            args += [limit.most, limit.pause_from, limit.pause_s * 1000]
        keys = [f"dh:try:{limit.key}" for limit in limits]
        answer = self._ask(lambda: self._try(keys=keys, args=args))
        if answer is None:
            return self._try_here(id, window_s, limits)
        return int(answer) / 1000

    def take_back(self, id: str, limits: list[TryLimit]) -> None:
        """Uncount a try that turned out right."""
        with self._lock:
            for limit in limits:
                kept = [entry for entry in self._tries.get(limit.key, ()) if entry[1] != id]
                self._tries[limit.key] = deque(kept)
        for limit in limits:
            self._ask(lambda key=f"dh:try:{limit.key}": self._redis.zrem(key, id))

    def quietly(self, note: Callable[[Any], Any]) -> None:
        """Write something into Redis that may be lost."""
        self._ask(lambda: note(self._redis))

    def _ask(self, question: Any) -> Any:
        """Return Redis's answer, or None when it does not answer; then it is left alone a while."""
        if self._redis is None or time.monotonic() < self._away_until:
            return None
        from redis.exceptions import RedisError

        try:
            return question()
        except (RedisError, OSError) as error:
            self._away_until = time.monotonic() + self.AWAY_S
            log.warning("redis_away", part="limits", kind=type(error).__name__)
            return None

    def _spend_here(self, key: str, step: float, room: float) -> tuple[int, float, int]:
        now = time.monotonic() * 1e6
        with self._lock:
            if len(self._due) > 10_000:
                self._due = {k: due for k, due in self._due.items() if due > now}
            due = max(self._due.get(key, 0.0), now) + step
            if due - now > room:
                return 0, due - now - room, 0
            self._due[key] = due
            return 1, 0, int((room - (due - now)) / step)

    def _try_here(self, id: str, window_s: int, limits: list[TryLimit]) -> float:
        now = time.monotonic()
        with self._lock:
            if len(self._tries) > 10_000:
                self._tries = {k: t for k, t in self._tries.items() if t and t[-1][0] > now - 300}
            wait = max((self._wait_here(limit, now, window_s) for limit in limits), default=0.0)
            if wait <= 0:
                for limit in limits:
                    self._tries.setdefault(limit.key, deque()).append((now, id))
            return max(wait, 0.0)

    def _wait_here(self, limit: TryLimit, now: float, window_s: int) -> float:
        tries = self._tries.setdefault(limit.key, deque())
        while tries and tries[0][0] <= now - window_s:
            tries.popleft()
        if len(tries) >= limit.most:
            return tries[-limit.most][0] + window_s - now
        if limit.pause_from and len(tries) >= limit.pause_from:
            return tries[-1][0] + limit.pause_s - now
        return 0.0


def init_app(app: Flask, redis: Any = None) -> None:
    app.extensions["counters"] = Counters(redis)

    @app.after_request
    def tell(response: Response) -> Response:
        bucket: Bucket | None = g.get("bucket")
        if bucket is not None:
            response.headers["RateLimit-Policy"] = f'"{bucket.name}";q={bucket.rate};w=60'
            response.headers["RateLimit"] = f'"{bucket.name}";r={bucket.left};t=60'
        return response


def counters() -> Counters:
    found: Counters = current_app.extensions["counters"]
    return found


def api_key(key_id: str, rate: int | None) -> None:
    """Let a key pass, or raise `LimitReached`."""
    rate = rate or API_RATE
    g.bucket = counters().spend("api", key_id, rate, max(1, rate // 6))
    if g.bucket.wait_s:
        raise LimitReached("E-RATE", retry_after=_whole(g.bucket.wait_s))


def count_try(id: str, window_s: int, limits: list[TryLimit], code: str) -> None:
    """Count a try, or raise `LimitReached` with the catalogue's `code`."""
    wait_s = counters().try_once(id, window_s, limits)
    if wait_s > 0:
        raise LimitReached(code, retry_after=_whole(wait_s))


def _whole(seconds: float) -> int:
    return max(1, int(-(-seconds // 1)))
