"""Leave a service alone that fails, and ask with one call whether it is well again.

A breaker stands between one organization and one service (a host, a model provider), so that
nobody can shut a service for others. Closed, calls pass. After 5 failures among the last 10 calls
it opens: nobody calls for a while. Then it is half-open: one call, the probe, goes out; if that
goes well the breaker closes, else it opens for twice as long. Source of the pattern: Nygard
(2007), "Release It!", Stability Patterns.

All processes share it through Redis, by Redis's clock. While Redis is away each process goes on
with what it knew last, and its next question tells how the call before went that Redis missed.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final, TypeAlias, TypeVar

import redis

T = TypeVar("T")
_PREFIX: Final = "dh:breaker:"
_OPEN: Final = "dh:breakers"
"""Those that are not closed, by when they may be half-open."""
_FORGET_S: Final = 3600.0
_REST_S: Final = 2.0
_TRIES: Final = 8
_MOST_LOCAL: Final = 10_000
_MOST_SHOWN: Final = 200

_LOOK: Final = """
local now = redis.call('TIME')
return {redis.call('GET', KEYS[1]) or '', now[1] .. '.' .. string.format('%06d', now[2])}
"""
# Sets what was made of ARGV[1] unless another process was quicker.
_CHANGE: Final = """
if (redis.call('GET', KEYS[1]) or '') ~= ARGV[1] then return 0 end
if ARGV[2] == '' then redis.call('DEL', KEYS[1])
else redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3]) end
if ARGV[4] == '' then redis.call('ZREM', KEYS[2], ARGV[5])
else redis.call('ZADD', KEYS[2], ARGV[4], ARGV[5]) end
return 1
"""


class ServiceOpen(Exception):
    """The breaker is open: nothing may be sent for another `wait_s` seconds."""

    def __init__(self, wait_s: float) -> None:
        super().__init__(f"not before {wait_s:.1f} s")
        self.wait_s = wait_s


@dataclass(frozen=True, slots=True)
class Rules:
    """When a breaker opens, and for how long.

    Attributes:
        failures, among, within_s: so many failed of so many calls, none longer ago.
        open_s: the first time; each further time in a row twice as long, up to most_open_s.
        probe_s: after so long a probe that says nothing is given up.
    """

    failures: int = 5
    among: int = 10
    within_s: float = 120.0
    open_s: float = 30.0
    most_open_s: float = 600.0
    probe_s: float = 120.0


@dataclass(frozen=True, slots=True)
class State:
    """One breaker.

    Attributes:
        calls: the last ones since the first failure, oldest first: when, and 1 for well.
        until: it is open, and may be half-open then; None: closed.
        opened: how often in a row.
        probe_until: a probe is out, and is believed until then.
        why: what the last failure was, for people.
    """

    calls: tuple[tuple[float, int], ...] = ()
    until: float | None = None
    opened: int = 0
    probe_until: float = 0.0
    why: str = ""

    def shifted(self, by_s: float) -> State:
        """Return the same by a clock that is `by_s` ahead."""
        return replace(
            self,
            calls=tuple((at + by_s, well) for at, well in self.calls),
            until=None if self.until is None else self.until + by_s,
            probe_until=self.probe_until and self.probe_until + by_s,
        )


CLOSED: Final = State()
PROBE_LOOK_S: Final = 2.0
"""How soon who waits asks again while another one looks: nobody is told when it is well."""
Act: TypeAlias = Callable[[State, float], tuple[State, T]]
"""What becomes of a state at a time, and what else there is to say of it."""


@dataclass(frozen=True, slots=True)
class Pass:
    """Permission for one call; to be given back with `Breakers.report` or `.abandon`.

    Attributes: watched: it failed lately, so that good calls count too.
    """

    probe: bool = False
    watched: bool = False


@dataclass(frozen=True, slots=True)
class Shut:
    """A breaker that is not closed, for people.

    Attributes: wait_s: until a probe may go out; 0: one may now, or is on its way.
    """

    organization: str
    service: str
    wait_s: float
    why: str


def admitted(state: State, now: float, rules: Rules) -> tuple[State, Pass]:
    """Let one call pass.

    Raises:
        ServiceOpen: nothing may be sent.
    """
    if state.until is None:
        return state, Pass(watched=bool(state.calls))
    if now < state.until:
        raise ServiceOpen(state.until - now)
    if now < state.probe_until:
        raise ServiceOpen(min(max(state.probe_until - now, 1.0), PROBE_LOOK_S))
    return replace(state, probe_until=now + rules.probe_s), Pass(probe=True)


def reported(
    state: State, now: float, rules: Rules, one: Pass, why: str = "", wait_s: float = 0.0
) -> State:
    """Take note of how a call went.

    Args:
        why: what was wrong; empty: it went well.
        wait_s: for how long the service itself asked to be left alone.
    """
    if state.until is not None:
        if not one.probe:
            return state  # it was sent before; only the probe tells how it is now
        return _opened(state, now, rules, why, wait_s) if why else CLOSED
    recent = [call for call in state.calls if now - call[0] <= rules.within_s]
    if not (why or recent):
        return CLOSED
    calls = (*recent, (now, int(not why)))[-rules.among :]
    if sum(1 for _, well in calls if not well) >= rules.failures:
        return _opened(state, now, rules, why or state.why, wait_s)
    return replace(state, calls=calls, why=why or state.why)


def _opened(state: State, now: float, rules: Rules, why: str, wait_s: float) -> State:
    open_s = min(rules.open_s * 2**state.opened, rules.most_open_s)
    until = now + max(open_s, min(wait_s, rules.most_open_s))
    return State(until=until, opened=min(state.opened + 1, 20), why=why)


def abandoned(state: State, one: Pass) -> State:
    """A probe was called off before it could tell: another one may go out."""
    return replace(state, probe_until=0.0) if one.probe and state.until is not None else state


@dataclass(slots=True)
class Breakers:
    """All breakers of a process. Its methods wait for Redis for half a second at most.

    Args:
        client: with short time-outs; None: this process is alone.
    """

    client: redis.Redis | None
    rules: Rules = field(default_factory=Rules)
    _local: dict[str, State] = field(default_factory=dict)
    _untold: dict[str, tuple[Act[Any], float]] = field(default_factory=dict)
    """The last report of each breaker that Redis has not taken, and how long it is worth telling:
    without it, all others would wait for a probe that has come back.
    """
    _lock: threading.RLock = field(default_factory=threading.RLock)
    _away_until: float = 0.0

    def admit(self, organization: str, service: str) -> Pass:
        """Ask whether a call may be sent.

        Raises:
            ServiceOpen: not now.
        """
        return self._change(
            f"{organization}|{service}", lambda state, now: admitted(state, now, self.rules)
        )

    def report(
        self, organization: str, service: str, one: Pass, why: str = "", wait_s: float = 0.0
    ) -> None:
        """Say how the call went that `one` allowed; see `reported`."""
        if why or one.probe or one.watched:
            self._change(
                f"{organization}|{service}",
                lambda state, now: (reported(state, now, self.rules, one, why, wait_s), None),
                tell_later=True,
            )

    def abandon(self, organization: str, service: str, one: Pass) -> None:
        """Say that the call was called off, and tells nothing of the service."""
        if one.probe:
            self._change(
                f"{organization}|{service}", lambda state, _: (abandoned(state, one), None)
            )

    @property
    def is_alone(self) -> bool:
        """Redis is away, or there is none: what others know is not known here."""
        return self.client is None or time.monotonic() < self._away_until

    def shut(self) -> list[Shut]:
        """Return the breakers that are not closed, the next to be half-open first."""
        found = self._shared(self._shut_shared)
        if found is None:
            now = time.monotonic()
            with self._lock:
                found = [(key, state, now) for key, state in self._local.items()]
        shut = [
            Shut(organization, service, max(0.0, state.until - now), state.why)
            for key, state, now in found
            for organization, _, service in [key.partition("|")]
            if state.until is not None
        ]
        return sorted(shut, key=lambda one: (one.wait_s, one.service))

    def _change(self, key: str, act: Act[T], *, tell_later: bool = False) -> T:
        found = self._shared(lambda client: (self._change_shared(client, key, act),))
        if found is not None:
            return found[0]
        if tell_later and self.client is not None and len(self._untold) < _MOST_LOCAL:
            self._untold[key] = act, time.monotonic() + self.rules.probe_s
        return self._change_here(key, act)

    def _shared(self, act: Callable[[redis.Redis], T]) -> T | None:
        """Return what `act` says by Redis; None: Redis is away."""
        if self.client is None or time.monotonic() < self._away_until:
            return None
        try:
            return act(self.client)
        except (redis.RedisError, OSError):
            self._away_until = time.monotonic() + _REST_S
            return None

    def _change_shared(self, client: redis.Redis, key: str, act: Act[T]) -> T:
        late, worth_until = self._untold.get(key, (None, 0.0))
        if time.monotonic() > worth_until:
            late = None
        for _ in range(_TRIES):
            text, time_text = client.eval(_LOOK, 1, _PREFIX + key)
            now = float(time_text)
            state = _read(text)
            self._remember(key, state, time.monotonic() - now)
            changed, answer = act(late(state, now)[0] if late else state, now)
            if changed == state or _swap(client, key, text, changed, now):
                self._remember(key, changed, time.monotonic() - now)
                self._untold.pop(key, None)
                return answer
        raise redis.RedisError("others were quicker each time")

    def _change_here(self, key: str, act: Act[T]) -> T:
        with self._lock:  # over both: of two that look at once, one must see what the other did
            changed, answer = act(self._local.get(key, CLOSED), time.monotonic())
            self._remember(key, changed, 0.0)
        return answer

    def _remember(self, key: str, state: State, ahead_s: float) -> None:
        """Keep what is known in case Redis goes away, by this process's clock."""
        with self._lock:
            self._local.pop(key, None)
            if state != CLOSED:
                self._local[key] = state.shifted(ahead_s)
                if len(self._local) > _MOST_LOCAL:
                    del self._local[next(iter(self._local))]

    def _shut_shared(self, client: Any) -> list[tuple[str, State, float]]:
        seconds, micros = client.time()
        now = seconds + micros / 1_000_000
        client.zremrangebyscore(_OPEN, "-inf", now - _FORGET_S)
        keys = [key.decode() for key in client.zrange(_OPEN, 0, _MOST_SHOWN - 1)]
        texts = client.mget([_PREFIX + key for key in keys]) if keys else []
        return [(key, _read(text or b""), now) for key, text in zip(keys, texts, strict=True)]


def _read(text: bytes) -> State:
    if not text:
        return CLOSED
    found: dict[str, Any] = json.loads(text)
    return State(**found | {"calls": tuple((at, well) for at, well in found["calls"])})


def _swap(client: redis.Redis, key: str, text: bytes, state: State, now: float) -> bool:
    kept_s = (now if state.until is None else state.until) - now + _FORGET_S
    written = "" if state == CLOSED else json.dumps(asdict(state))
    score = "" if state.until is None else repr(state.until)
    changed = client.eval(
        _CHANGE, 2, _PREFIX + key, _OPEN, text, written, int(kept_s * 1000), score, key
    )
    return bool(changed)
