"""The smoke slice of the kill test: each part dies once while a run is under way."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from tests.chaos import kill
from tests.chaos.house import House
from tests.chaos.sink import Sink

LEASE_S = 4
TARGETS = ("worker", "web", "steward", "valkey", "all")


@pytest.fixture(scope="module")
def sink() -> Iterator[Sink]:
    made = Sink(pause_s=0.05)
    yield made
    made.close()


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder: Path = tmp_path_factory.mktemp("house")
    made = House(folder, lease_s=LEASE_S)
    made.boot()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def workflow(house: House, sink: Sink) -> str:
    return kill.prepare(house, sink)


@pytest.mark.parametrize("target", TARGETS)
def test_a_run_outlives_the_death_of(house: House, sink: Sink, workflow: str, target: str) -> None:
    number = TARGETS.index(target)

    result = kill.one_round(house, sink, workflow, number, target, LEASE_S)

    assert result["broken"] == []


def test_redis_may_be_wiped_while_runs_wait_stream_and_work(house: House, sink: Sink) -> None:
    workflow = house.live("Wipe", mixed(sink.url))
    runs = [house.start(workflow, f"wipe-{n}", round=f"wipe{n}") for n in range(25)]
    client = redis.Redis.from_url(f"unix://{house.data}/valkey/valkey.sock")
    client.flushall()
    runs += [house.start(workflow, f"wipe-{n}", round=f"wipe{n}") for n in range(25, 50)]
    client.flushall()
    client.close()

    ended = [house.settled(run, 60)["state"] for run in runs]

    assert ended == ["done"] * 50
    assert len({arrival.path for arrival in sink.arrivals("/wipe")}) == 50


def mixed(url: str) -> dict[str, object]:
    """Return a plan that streams, waits and sends."""
    agent = {
        "inline": {"instructions": "Summarize.", "model": "practice"},
        "message": "Long. " * 80,
    }
    where = [{"text": f"{url}/"}, {"value": ["start", "round"]}]
    return {
        "plan": 1,
        "inputs": [{"name": "round", "label": "Round", "type": "text", "required": True}],
        "steps": [
            {"id": "s_1", "kind": "agent", "name": "Say", "with": agent},
            {"id": "s_2", "kind": "wait", "name": "Wait", "with": {"for_s": 2}},
            {"id": "s_3", "kind": "http", "name": "Put", "with": {"method": "PUT", "url": where}},
        ],
    }
