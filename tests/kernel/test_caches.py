"""Kept answers, the same in every store: fresh ones only, the wanted ones first."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import redis

from tests import services
from webapp.kernel.caches import MOST_BYTES, Cache, Entry, MemoryStore, Store
from webapp.kernel.caches.redis_store import RedisStore
from webapp.kernel.caches.sqlite_store import SqliteStore

HOUR_S = 3600.0


@dataclass
class Clock:
    """Seconds that a test moves on."""

    at: float = 1000.0

    def __call__(self) -> float:
        return self.at


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["memory", "sqlite", "redis"])
def store(request: Any, clock: Clock, tmp_path: Path, redis_url: str) -> Iterator[Store]:
    """Each store there is. Redis has a clock of its own."""
    made: Store
    match request.param:
        case "memory":
            made = MemoryStore(clock)
        case "sqlite":
            made = SqliteStore(tmp_path / "cache.sqlite3", clock)
        case _:
            made = RedisStore(redis.Redis.from_url(redis_url), f"test:{tmp_path.name}:")
    yield made
    made.close()


@pytest.fixture
def pass_time(store: Store, clock: Clock) -> Callable[[float], None]:
    """Return a function that lets seconds pass for the store."""

    def act(seconds: float) -> None:
        clock.at += seconds
        if isinstance(store, RedisStore):
            end = time.monotonic() + seconds
            while (left := end - time.monotonic()) > 0:
                time.sleep(left)

    return act


def ask(cache: Cache, key: str, value: bytes = b"1", fresh_s: float = HOUR_S) -> bytes | None:
    """Ask as a tool does: keep the answer when there was none; return what was found."""
    found = cache.find(key)
    if found is None:
        cache.keep(key, "prices", value, fresh_s)
        return None
    return found.value


def test_a_kept_answer_is_found_with_its_age(store: Store, pass_time: Any) -> None:
    cache = Cache(store, 10)
    cache.keep("paper", "prices", b'{"price": 12}', HOUR_S)

    pass_time(0.05)
    found = cache.find("paper")

    assert found is not None
    assert found.value == b'{"price": 12}'
    assert 0.045 <= found.age_s < 10


def test_no_answer_is_given_beyond_its_declared_time(store: Store, pass_time: Any) -> None:
    cache = Cache(store, 10)
    cache.keep("paper", "prices", b"12", 0.05)

    pass_time(0.06)

    assert cache.find("paper") is None
    assert (cache.figures.hits, cache.figures.misses) == (0, 1)


def test_the_answer_used_longest_ago_goes_when_there_is_no_room(store: Store) -> None:
    cache = Cache(store, 3)
    for key in ("a", "b", "c", "a", "b"):
        ask(cache, key)

    for _ in range(3):
        ask(cache, "d")

    assert len(store) == 3
    assert cache.find("c") is None
    assert all(cache.find(key) for key in ("a", "b", "d"))


def test_what_is_asked_for_once_does_not_push_out_what_is_wanted(store: Store) -> None:
    cache = Cache(store, 4)
    for _ in range(5):
        for key in ("a", "b", "c", "d"):
            ask(cache, key)

    for number in range(40):
        ask(cache, f"once {number}")

    assert all(cache.find(key) for key in ("a", "b", "c", "d"))
    assert cache.figures.refused == 40


def test_what_is_wanted_now_replaces_what_was_wanted_once(store: Store) -> None:
    cache = Cache(store, 4)
    for key in ("a", "b", "c", "d"):
        ask(cache, key)

    for _ in range(4):
        ask(cache, "e")

    assert cache.find("e") is not None
    assert (cache.figures.evicted, len(store)) == (1, 4)


def test_an_answer_that_is_not_fresh_any_more_goes_first(store: Store, pass_time: Any) -> None:
    cache = Cache(store, 2)
    for _ in range(5):
        ask(cache, "old", fresh_s=0.05)
        ask(cache, "young")
    pass_time(0.06)

    ask(cache, "new")

    assert cache.find("new") is not None
    assert cache.find("young") is not None


def test_a_large_answer_is_not_kept(store: Store) -> None:
    cache = Cache(store, 10)

    assert cache.keep("big", "files", b"x" * (MOST_BYTES + 1), HOUR_S) is False
    assert cache.find("big") is None


def test_an_answer_that_is_declared_fresh_for_no_time_is_not_kept(store: Store) -> None:
    cache = Cache(store, 10)

    assert cache.keep("now", "clock", b"1", 0) is False
    assert len(store) == 0


def test_an_entry_keeps_what_was_learned_of_it(store: Store) -> None:
    store.put("a", Entry(b"\x00\xff", 60.0, uses=2, looks=3, changes=1, watched_s=4.5))

    found = store.find("a")

    assert found is not None
    assert (found.value, found.uses, found.looks) == (b"\x00\xff", 3, 3)
    assert (found.changes, found.watched_s, found.life_s) == (1, 4.5, 60.0)


# Times that adapt


def used(cache: Cache, clock: Clock, rounds: int, changes: bool, every_s: float = 10.0) -> float:
    """Use one answer every few seconds for a while; return how long it lived at last."""
    fetched_at = clock.at
    for number in range(rounds):
        clock.at += every_s
        lived_s = clock.at - fetched_at
        value = b"%d" % number if changes else b"same"
        if ask(cache, "a", value, HOUR_S) is None:
            fetched_at, last = clock.at, lived_s
    return last


def test_an_often_used_answer_that_changes_is_fetched_anew_earlier(clock: Clock) -> None:
    cache = Cache(MemoryStore(clock), 10)

    assert used(cache, clock, 3000, changes=True) < HOUR_S / 3


def test_an_answer_that_never_changes_lives_as_long_as_declared(clock: Clock) -> None:
    cache = Cache(MemoryStore(clock), 10)

    assert used(cache, clock, 3000, changes=False) == pytest.approx(HOUR_S, abs=10.0)


def test_one_answer_that_changes_does_not_shorten_the_time_of_another_group(clock: Clock) -> None:
    cache = Cache(MemoryStore(clock), 10)
    used(cache, clock, 3000, changes=True)

    cache.keep("b", "names", b"Ada", HOUR_S)
    clock.at += HOUR_S - 1

    assert cache.find("b") is not None


def test_no_answer_is_older_than_declared_whatever_is_learned(clock: Clock) -> None:
    cache = Cache(MemoryStore(clock), 5)
    oldest_s = 0.0
    for number in range(5000):
        clock.at += (number * 7919) % 13
        key = f"k{(number * 31) % 17 % 9}"
        found = cache.find(key)
        if found is None:
            cache.keep(key, "g", b"%d" % (number // 400), 90.0)
        else:
            oldest_s = max(oldest_s, found.age_s)

    assert cache.figures.hits > 500
    assert oldest_s < 90.0


# Stores that are shared, or away


def test_processes_of_one_machine_share_the_file(tmp_path: Path) -> None:
    one, two = (Cache(SqliteStore(tmp_path / "cache.sqlite3"), 10) for _ in range(2))

    one.keep("paper", "prices", b"12", HOUR_S)
    found = two.find("paper")
    one.close()
    two.close()

    assert found is not None
    assert found.value == b"12"


def test_a_file_that_is_no_database_makes_misses_not_errors(tmp_path: Path) -> None:
    path = tmp_path / "cache.sqlite3"
    path.write_bytes(b"no database at all, but long enough to be read as one" * 100)
    cache = Cache(SqliteStore(path), 10)

    assert cache.keep("paper", "prices", b"12", HOUR_S) is False
    assert cache.find("paper") is None
    cache.close()


def test_a_redis_that_is_away_makes_misses_not_errors() -> None:
    nobody = f"redis://127.0.0.1:{services.free_port()}"
    cache = Cache(RedisStore(redis.Redis.from_url(nobody)), 10)

    assert cache.keep("paper", "prices", b"12", HOUR_S) is False
    assert cache.find("paper") is None
    cache.close()
