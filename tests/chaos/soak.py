"""Row L7 of SECURITY.md 3.2: hours of half the load, with workers that die, and nothing leaks."""

from __future__ import annotations

import random
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict
from typing import Any, Final

import redis

from bench.load import start_runs
from tests.chaos import plans
from tests.chaos.flood import flooded
from tests.chaos.places import Place
from tests.chaos.stack import Stack
from tests.chaos.usage import usage
from tests.chaos.watching import reading

Figures = dict[str, Any]
AT_ONCE: Final = 8
WIDE: Final = 64
"""As many requests at once as make the web start all threads that it may have."""
MEASURED: Final = 300
WARM: Final = 0.2
"""Of the time; the rest is halved by the look in the middle."""
FLAT: Final = 0.05
QUIET_S: Final = 120.0
"""RQ looks every 30 to 45 s for what dead workers had in hand, and forgets it 10 s later."""
SOON_S: Final = 15 * 60
WORKERS: Final = ("worker", "worker-2")


def soak(place: Place, minutes: int) -> Figures:
    """L7: runs of every class of effect and pages that watch, at half of what was measured."""
    with place.stack(lease_s=15) as (stack, sink):
        stack.begin("worker-2")
        workflow = stack.live("Mixed", plans.mixed(sink.url))
        rate = _capacity(stack, workflow) / 2
        looks, kills, broken = [], 0, []
        for name, share in (("warm", WARM), ("first", (1 - WARM) / 2), ("last", (1 - WARM) / 2)):
            with reading(stack, workflow, f"{name}-page") as readers, _killing(stack) as killed:
                told = flooded(stack, workflow, rate, minutes * 60 * share, name)
            kills += len(killed)
            stack.starts |= told["starts"]
            stack.answers += Counter({str(s): n for s, n in told["statuses"].items()})
            broken += [sentence for one in readers for sentence in one.broken]
            broken += _settle(stack)
            looks.append(_look(stack))
        verdict = place.verdict(stack, sink)
        verdict["broken"] += [*broken, *_leaks(looks)]
        figures = {"minutes": minutes, "rate_per_s": round(rate, 1), "worker_kills": kills}
        return figures | {"start": looks[0], "middle": looks[1], "end": looks[2]} | verdict


def _capacity(stack: Stack, workflow: str) -> float:
    start_runs(stack.port, stack.key, workflow, WIDE, MEASURED, {"name": "warm"})
    return start_runs(stack.port, stack.key, workflow, AT_ONCE, MEASURED, {"name": "x"}).per_s


@contextmanager
def _killing(stack: Stack) -> Iterator[list[str]]:
    """Let a worker die now and then while the block is at work."""
    over, killed = threading.Event(), []

    def kill() -> None:
        while not over.wait(random.uniform(5, 25)):
            name = random.choice(WORKERS)
            stack.kill(name)
            stack.begin(name)
            killed.append(name)

    thread = threading.Thread(target=kill)
    thread.start()
    try:
        yield killed
    finally:
        over.set()
        thread.join()


def _settle(stack: Stack) -> list[str]:
    """Return when every run has ended and what dead workers left in Redis has run out."""
    until = time.monotonic() + QUIET_S
    while time.monotonic() < until:
        states = [
            stack.until("GET", f"/api/v1/runs?state={state}&limit=1")["items"]
            for state in ("queued", "running")
        ]
        if not any(states):
            break
        time.sleep(0.5)
    else:
        return [f"runs were still under way after {QUIET_S:.0f} s of rest"]
    time.sleep(max(0.0, until - time.monotonic()))
    return []


def _look(stack: Stack) -> Figures:
    parts = {name: usage([pid]) for name, pid in stack.pids.items()}
    staying, going = _keys(stack)
    return {
        "rss_mib": round(sum(one.rss_mib for one in parts.values()), 1),
        "files": sum(one.files for one in parts.values()),
        "threads": sum(one.threads for one in parts.values()),
        "redis_keys": staying.total(),
        "open_transactions": _open_transactions(stack),
        "of": {name: list(asdict(one).values()) for name, one in parts.items()},
        "keys_that_stay": dict(staying),
        "keys_that_go": dict(going),
    }


def _keys(stack: Stack) -> tuple[Counter[str], Counter[str]]:
    """Count what lies in Redis by its first word: what stays, and what goes by itself soon."""
    staying: Counter[str] = Counter()
    going: Counter[str] = Counter()
    with redis.Redis.from_url(stack.valkey.url) as client:
        names = list(client.scan_iter(count=1000))
        with client.pipeline(transaction=False) as pipe:
            for name in names:
                pipe.ttl(name)
            spans = pipe.execute()
    for name, span_s in zip(names, spans, strict=True):
        counted = going if 0 <= span_s <= SOON_S else staying
        counted[name.decode().partition(":")[0]] += 1
    return staying, going


def _open_transactions(stack: Stack) -> int:
    """Count transactions of PostgreSQL; of SQLite see whether one keeps the log from being emptied."""
    if stack.server is not None:
        return int(stack.server.open_transactions())
    with closing(sqlite3.connect(stack.database.removeprefix("sqlite:///"))) as connection:
        return int(connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0])


def _leaks(looks: list[Figures]) -> Iterator[str]:
    first, *later = looks
    for look in later:
        for name in ("rss_mib", "files", "threads", "redis_keys"):
            if abs(look[name] - first[name]) > FLAT * first[name]:
                yield f"{name}: {first[name]} after the warm-up, then {look[name]}"
        if look["open_transactions"]:
            yield f"{look['open_transactions']} transactions stay open"
