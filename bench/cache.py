"""The trace of RULINGS.md 3.26: plain LRU, our cache, and the optimum that knows the future.

Zipf s = 1.1 over 100,000 keys, capacity 10 %, a million requests an hour, 5 % of the values
change an hour (each key's changes are a Poisson process), seed 7, every answer declared fresh
for an hour. A first hour fills the caches ("cold"); the second one is what counts ("warm").
"""

from __future__ import annotations

import heapq
import random
from collections import OrderedDict
from dataclasses import dataclass
from itertools import accumulate

from bench.measure import report
from webapp.kernel.caches import Cache, MemoryStore

KEYS = 100_000
REQUESTS = 1_000_000
HOUR_S = 3600.0
FRESH_S = HOUR_S
CHANGES_AN_HOUR = 0.05
STEP_S = HOUR_S / REQUESTS
NEVER = 1 << 60


@dataclass
class Trace:
    """Attributes: asked: a key for each request, two hours; versions: what its value is then."""

    asked: list[int]
    versions: list[int]


@dataclass
class Score:
    """Shares of the requests of the warm hour, and of the cold one.

    Attributes: wrong: hits whose value had changed since; oldest_s: the oldest answer given.
    """

    warm: float
    cold: float
    wrong: float = 0.0
    oldest_s: float = 0.0


def make_trace(seed: int = 7, s: float = 1.1) -> Trace:
    draw = random.Random(seed)
    weights = list(accumulate((rank + 1) ** -s for rank in range(KEYS)))
    asked = draw.choices(range(KEYS), cum_weights=weights, k=2 * REQUESTS)
    changing = CHANGES_AN_HOUR * STEP_S / HOUR_S
    due = [draw.expovariate(changing) for _ in range(KEYS)]
    version, versions = [0] * KEYS, []
    for at, key in enumerate(asked):
        while due[key] <= at:
            version[key] += 1
            due[key] += draw.expovariate(changing)
        versions.append(version[key])
    return Trace(asked, versions)


def plain_lru(trace: Trace, items: int) -> Score:
    kept: OrderedDict[int, tuple[int, int]] = OrderedDict()
    hits, wrong = bytearray(2 * REQUESTS), 0
    for at, key in enumerate(trace.asked):
        found = kept.get(key)
        if found is not None:
            kept.move_to_end(key)
            if (at - found[0]) * STEP_S < FRESH_S:
                hits[at] = 1
                wrong += at >= REQUESTS and found[1] != trace.versions[at]
                continue
        kept[key] = at, trace.versions[at]
        if len(kept) > items:
            kept.popitem(last=False)
    return _score(hits, wrong)


def ours(trace: Trace, items: int) -> Score:
    now = 0.0
    cache = Cache(MemoryStore(lambda: now), items)
    hits, wrong, oldest_s = bytearray(2 * REQUESTS), 0, 0.0
    for at, key in enumerate(trace.asked):
        now = at * STEP_S
        name, value = str(key), trace.versions[at].to_bytes(2, "big")
        found = cache.find(name)
        if found is None:
            cache.keep(name, "trace", value, FRESH_S)
            continue
        hits[at] = 1
        wrong += at >= REQUESTS and found.value != value
        oldest_s = max(oldest_s, found.age_s)
    return _score(hits, wrong, oldest_s)


def belady(trace: Trace, items: int) -> Score:
    """Drop what is asked for latest, counting only requests at which it is still fresh.

    Source: Belady (1966), "A study of replacement algorithms", IBM Systems Journal 5(2). What
    is never of use again isn't kept at all, which the original does not allow: the bound is
    a little higher for it.
    """
    following = _following(trace.asked)
    kept: dict[int, int] = {}
    use: dict[int, int] = {}
    latest: list[tuple[int, int]] = []
    hits, wrong = bytearray(2 * REQUESTS), 0
    for at, key in enumerate(trace.asked):
        since = kept.get(key)
        if since is not None and (at - since) * STEP_S < FRESH_S:
            hits[at] = 1
            wrong += at >= REQUESTS and trace.versions[since] != trace.versions[at]
        else:
            since = kept[key] = at
        if (following[at] - since) * STEP_S >= FRESH_S:
            del kept[key]
            use.pop(key, None)
            continue
        use[key] = following[at]
        heapq.heappush(latest, (-following[at], key))
        while len(kept) > items:
            when, last = heapq.heappop(latest)
            if use.get(last) == -when:
                del kept[last], use[last]
    return _score(hits, wrong)


def _following(asked: list[int]) -> list[int]:
    """Return for each request the place of the next one for its key."""
    following, last = [NEVER] * len(asked), [NEVER] * KEYS
    for at in range(len(asked) - 1, -1, -1):
        following[at] = last[asked[at]]
        last[asked[at]] = at
    return following


def _score(hits: bytearray, wrong: int, oldest_s: float = 0.0) -> Score:
    warm = sum(hits[REQUESTS:])
    return Score(warm / REQUESTS, sum(hits[:REQUESTS]) / REQUESTS, wrong / warm, oldest_s)


def capacity_for(trace: Trace, wanted: float, low: int, high: int) -> tuple[int, Score]:
    """Return the smallest capacity, to half a percent of the keys, that reaches `wanted`."""
    best = high, ours(trace, high)
    while high - low > KEYS // 200:
        middle = (low + high) // 2
        score = ours(trace, middle)
        if score.warm >= wanted:
            high, best = middle, (middle, score)
        else:
            low = middle
    return best


def adaptive_cache() -> None:
    """A13: the way from LRU to Belady, and the capacity for 85 %."""
    trace, items = make_trace(), KEYS // 10
    scores = {
        "lru": plain_lru(trace, items),
        "ours": ours(trace, items),
        "belady": belady(trace, items),
    }
    for name, score in scores.items():
        report(f"cache.{name}.hits", score.warm * 100, "% of requests", REQUESTS)
        report(f"cache.{name}.hits_cold", score.cold * 100, "% of requests", REQUESTS)
        report(f"cache.{name}.wrong", score.wrong * 100, "% of hits", round(score.warm * REQUESTS))
    for when in ("warm", "cold"):
        lru, mine, best = (getattr(score, when) for score in scores.values())
        report(f"cache.way_to_belady.{when}", (mine - lru) / (best - lru) * 100, "%", REQUESTS)
    report("cache.ours.oldest_answer", scores["ours"].oldest_s, "s", 2 * REQUESTS)
    capacity, score = capacity_for(trace, 0.85, KEYS // 100, items)
    report("cache.ours.capacity_for_85", capacity / KEYS * 100, "% of keys", REQUESTS)
    report("cache.ours.hits_at_that_capacity", score.warm * 100, "% of requests", REQUESTS)
