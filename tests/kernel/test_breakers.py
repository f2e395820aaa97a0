"""Breakers: when they open, who may probe, who shares them."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace

import pytest
import redis

from tests import services
from webapp.kernel.breakers import CLOSED, Breakers, Pass, Rules, ServiceOpen, State, admitted
from webapp.kernel.breakers import reported as told

RULES = Rules(open_s=30.0, most_open_s=600.0)
QUICK = Rules(open_s=0.2, probe_s=5.0)
ACME, SHOP = "org_acme", "api.example.com"


@pytest.fixture(params=["redis", "alone"])
def breakers(request: pytest.FixtureRequest, redis_url: str) -> Iterator[Breakers]:
    """Breakers that open for a fifth of a second, shared and not."""
    if request.param == "alone":
        yield Breakers(None, QUICK)
        return
    with redis.Redis.from_url(redis_url) as client:
        yield Breakers(client, QUICK)


def fail(breakers: Breakers, times: int, service: str = SHOP, organization: str = ACME) -> None:
    for _ in range(times):
        one = breakers.admit(organization, service)
        breakers.report(organization, service, one, "It answered 503.")


def until_half_open(breakers: Breakers) -> None:
    end = time.monotonic() + 10
    while breakers.shut()[0].wait_s > 0:
        assert time.monotonic() < end
        time.sleep(0.01)


# When it opens, by a clock of the test's own


def after(*calls: str, now: float = 1000.0) -> State:
    state = CLOSED
    for why in calls:
        state = told(state, now, RULES, Pass(watched=True), why)
    return state


def test_it_opens_after_five_failures() -> None:
    assert after(*["503"] * 4).until is None
    assert after(*["503"] * 5).until == 1030.0


def test_it_opens_within_ten_calls_when_half_of_them_fail() -> None:
    assert after(*["", "503"] * 5).until is not None


def test_it_stays_closed_when_one_call_in_four_fails() -> None:
    assert after(*["503", "", "", ""] * 20).until is None


def test_failures_of_long_ago_do_not_count() -> None:
    state = after(*["503"] * 4)

    assert told(state, 1000.0 + RULES.within_s + 1, RULES, Pass(watched=True), "503").until is None


def test_each_time_in_a_row_it_is_open_for_twice_as_long() -> None:
    state, now, spans = after(*["503"] * 5), 1000.0, []
    for _ in range(6):
        assert state.until is not None
        spans.append(state.until - now)
        now = state.until
        state, one = admitted(state, now, RULES)
        state = told(state, now, RULES, one, "503")

    assert spans == [30, 60, 120, 240, 480, 600]


def test_it_is_open_as_long_as_the_service_asks_to_be_left_alone() -> None:
    state = after(*["429"] * 4)

    assert told(state, 1000.0, RULES, Pass(watched=True), "429", wait_s=90.0).until == 1090.0


# In one process and in many


def test_an_open_breaker_lets_nothing_pass_and_says_for_how_long(breakers: Breakers) -> None:
    fail(breakers, 5)

    with pytest.raises(ServiceOpen) as refused:
        breakers.admit(ACME, SHOP)

    assert 0 < refused.value.wait_s <= 0.2
    assert [(one.organization, one.service, one.why) for one in breakers.shut()] == [
        (ACME, SHOP, "It answered 503.")
    ]


def test_other_services_and_other_organizations_go_on(breakers: Breakers) -> None:
    fail(breakers, 5)

    assert breakers.admit(ACME, "other.example.com") == Pass()
    assert breakers.admit("org_globex", SHOP) == Pass()


def test_one_probe_goes_out_at_a_time(breakers: Breakers) -> None:
    fail(breakers, 5)
    until_half_open(breakers)

    probe = breakers.admit(ACME, SHOP)
    with pytest.raises(ServiceOpen) as refused:
        breakers.admit(ACME, SHOP)

    assert probe.probe
    assert refused.value.wait_s <= 2.0  # nobody is told when the service is well


def test_of_many_who_ask_at_the_same_moment_one_probes() -> None:
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for _ in range(100):
            breakers = Breakers(None, replace(QUICK, open_s=0.0))
            fail(breakers, 5)
            assert _probes(breakers) == 1
    finally:
        sys.setswitchinterval(interval)


def _probes(breakers: Breakers) -> int:
    """Let four threads ask at once, and return how many may call."""
    at_once, admitted_ = threading.Barrier(4), []

    def ask() -> None:
        at_once.wait()
        with suppress(ServiceOpen):
            admitted_.append(breakers.admit(ACME, SHOP))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(admitted_)


def test_a_good_probe_closes_the_breaker(breakers: Breakers) -> None:
    fail(breakers, 5)
    until_half_open(breakers)

    breakers.report(ACME, SHOP, breakers.admit(ACME, SHOP))

    assert breakers.admit(ACME, SHOP) == Pass()
    assert breakers.shut() == []


def test_a_probe_that_was_called_off_makes_room_for_another(breakers: Breakers) -> None:
    fail(breakers, 5)
    until_half_open(breakers)

    breakers.abandon(ACME, SHOP, breakers.admit(ACME, SHOP))

    assert breakers.admit(ACME, SHOP).probe


def test_a_late_answer_to_an_earlier_call_does_not_close_it(breakers: Breakers) -> None:
    earlier = breakers.admit(ACME, SHOP)
    fail(breakers, 5)

    breakers.report(ACME, SHOP, earlier)

    with pytest.raises(ServiceOpen):
        breakers.admit(ACME, SHOP)


def test_processes_share_failures_and_the_one_probe(redis_url: str) -> None:
    several = [Breakers(redis.Redis.from_url(redis_url), QUICK) for _ in range(5)]
    for one in several:
        fail(one, 1)
    until_half_open(several[0])
    probes: list[int] = []

    def ask(number: int) -> None:
        try:
            several[number].admit(ACME, SHOP)
        except ServiceOpen:
            return
        probes.append(number)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for one in several:
        assert one.client is not None
        one.client.close()

    assert len(probes) == 1


def test_without_redis_each_process_has_its_own() -> None:
    away = redis.Redis.from_url(f"redis://127.0.0.1:{services.free_port()}")
    breakers = Breakers(away, RULES)

    fail(breakers, 5)

    with pytest.raises(ServiceOpen):
        breakers.admit(ACME, SHOP)
    assert [one.service for one in breakers.shut()] == [SHOP]


def test_what_was_open_stays_open_when_redis_goes_away(valkey: services.Valkey) -> None:
    with redis.Redis.from_url(valkey.url) as client:
        breakers = Breakers(client, RULES)
        fail(breakers, 5)
        breakers.client = redis.Redis.from_url(f"redis://127.0.0.1:{services.free_port()}")

        with pytest.raises(ServiceOpen) as refused:
            breakers.admit(ACME, SHOP)
        client.flushall()

    assert 25 < refused.value.wait_s <= 30


def test_what_redis_missed_of_a_probe_is_told_with_the_next_question(redis_url: str) -> None:
    with (
        redis.Redis.from_url(redis_url, socket_timeout=0.1) as hurried,
        redis.Redis.from_url(redis_url) as client,
    ):
        probing, waiting = Breakers(hurried, QUICK), Breakers(client, QUICK)
        fail(probing, 5)
        until_half_open(probing)
        probe = probing.admit(ACME, SHOP)
        client.client_pause(300)
        probing.report(ACME, SHOP, probe)
        with pytest.raises(ServiceOpen):
            waiting.admit(ACME, SHOP)  # as if the probe were still out

        end = time.monotonic() + 10
        while probing.is_alone:
            assert time.monotonic() < end
            time.sleep(0.01)
        probing.admit(ACME, SHOP)

        assert not waiting.admit(ACME, SHOP).probe


def test_a_service_that_is_well_leaves_nothing_behind(redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as client:
        breakers = Breakers(client, QUICK)

        breakers.report(ACME, SHOP, breakers.admit(ACME, SHOP))

        assert client.keys("dh:breaker*") == []
