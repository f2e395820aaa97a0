"""Counting, in Redis for all processes and here when Redis is away."""

from __future__ import annotations

import threading
import time

import pytest
from flask import Flask

from tests.fixtures import House, Program
from tests.services import Valkey
from webapp.api_keys.models import ApiKey
from webapp.live.redis import connect
from webapp.web.limits import Counters, TryLimit

LIMITS = [TryLimit("account:a", most=10, pause_from=5, pause_s=30), TryLimit("network:n", most=10)]


@pytest.fixture(params=["redis", "here"])
def counters(request: pytest.FixtureRequest) -> Counters:
    if request.param == "here":
        return Counters()
    return Counters(connect(request.getfixturevalue("redis_url")))


def test_a_burst_passes_and_then_waits(counters: Counters) -> None:
    buckets = [counters.spend("api", "k", rate=60, burst=5) for _ in range(7)]

    assert [bucket.wait_s == 0 for bucket in buckets] == [True] * 5 + [False] * 2
    assert [bucket.left for bucket in buckets[:5]] == [4, 3, 2, 1, 0]
    assert 0 < buckets[5].wait_s <= 1.01


def test_everybody_has_a_count_of_their_own(counters: Counters) -> None:
    counters.spend("api", "k", rate=1, burst=1)

    assert counters.spend("api", "other", rate=1, burst=1).wait_s == 0


def test_what_was_spent_comes_back(counters: Counters) -> None:
    counters.spend("api", "k", rate=1200, burst=1)
    deadline = time.monotonic() + 5
    while counters.spend("api", "k", rate=1200, burst=1).wait_s:
        assert time.monotonic() < deadline


def test_the_sixth_wrong_password_waits_half_a_minute(counters: Counters) -> None:
    waits = [counters.try_once(f"t{n}", 300, LIMITS) for n in range(6)]

    assert waits[:5] == [0] * 5
    assert 29 < waits[5] <= 30


def test_ten_tries_of_one_network_are_all(counters: Counters) -> None:
    network = [TryLimit("network:n", most=10)]
    waits = [counters.try_once(f"t{n}", 300, network) for n in range(12)]

    assert waits[:10] == [0] * 10
    assert all(299 < wait <= 300 for wait in waits[10:])


def test_a_try_that_waits_counts_nowhere(counters: Counters) -> None:
    for n in range(5):
        counters.try_once(f"t{n}", 300, LIMITS)
    for n in range(20):
        counters.try_once(f"u{n}", 300, LIMITS)

    assert counters.try_once("v", 300, [TryLimit("network:n", most=6)]) == 0


def test_the_right_password_is_not_counted(counters: Counters) -> None:
    for n in range(30):
        assert counters.try_once(f"t{n}", 300, LIMITS) == 0
        counters.take_back(f"t{n}", LIMITS)


def test_tries_are_counted_exactly_by_many_at_once(redis_url: str) -> None:
    limit = [TryLimit("network:n", most=10)]
    passed: list[int] = []

    def knock(worker: int) -> None:
        counters = Counters(connect(redis_url))
        passed.extend(n for n in range(20) if counters.try_once(f"{worker}-{n}", 300, limit) == 0)

    threads = [threading.Thread(target=knock, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(passed) == 10


def test_without_redis_this_process_counts(tmp_path_factory: pytest.TempPathFactory) -> None:
    server = Valkey(tmp_path_factory.mktemp("away"))
    counters = Counters(connect(server.url))
    assert counters.spend("api", "k", rate=1, burst=1).wait_s == 0

    server.kill()

    assert counters.spend("api", "k", rate=1, burst=1).wait_s == 0
    assert counters.spend("api", "k", rate=1, burst=1).wait_s > 0
    assert counters.try_once("t", 300, LIMITS) == 0


def test_a_key_that_asks_too_fast_is_told_when_to_come_back(
    app: Flask, acme: House, program: Program
) -> None:
    _set_rate(app, acme, 6)

    answers = [program.get("/api/v1/probe") for _ in range(3)]

    assert [answer.status_code for answer in answers] == [200, 429, 429]
    assert 1 <= int(answers[1].headers["Retry-After"]) <= 10
    assert answers[0].headers["RateLimit"] == '"api";r=0;t=60'


def _set_rate(app: Flask, house: House, rate: int) -> None:
    from sqlalchemy import update

    from webapp.access.tenancy import bind_organization
    from webapp.web.database import brief_writing

    with app.app_context(), brief_writing() as session:
        bind_organization(session, house.organization_id)
        session.execute(update(ApiKey).values(rate=rate))
