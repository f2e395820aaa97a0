"""Hints go out as the receivers expect them, and nobody waits for a Redis that is away."""

from __future__ import annotations

import json
import time

import redis
import rq
import socketio
from rq.serializers import JSONSerializer

from tests import services
from tests.live.conftest import eventually
from webapp.kernel.hints import Ring, Tell
from webapp.live.bell import (
    CHANNEL,
    ENDED,
    MISSED,
    NAMESPACE,
    POKE,
    BackgroundBell,
    RedisBell,
    bell_key,
)

TOLD = Tell("run:run_1", "run.done", 7, {"ms": 12})


def heard(client: redis.Redis, count: int, channel: str, act: object) -> list[dict[str, object]]:
    listener = client.pubsub(ignore_subscribe_messages=True)
    listener.subscribe(channel)
    listener.get_message(timeout=1)
    act()  # type: ignore[operator]
    messages = []
    until = time.monotonic() + 5
    while len(messages) < count and time.monotonic() < until:
        message = listener.get_message(timeout=0.5)
        if message is not None:
            messages.append(message["data"])
    listener.close()
    return messages


def test_pages_are_told_in_the_form_of_socket_io_itself(redis_url: str) -> None:
    bell, client = RedisBell(redis_url), redis.Redis.from_url(redis_url)
    manager = socketio.RedisManager(redis_url, write_only=True)

    [ours] = heard(client, 1, CHANNEL, lambda: bell.send([TOLD]))
    [mine] = json.loads(ours)  # type: ignore[arg-type]
    event = mine["data"][0]
    [theirs] = heard(
        client,
        1,
        CHANNEL,
        lambda: manager.emit("run.done", event, namespace=NAMESPACE, room=TOLD.room),
    )
    client.close()

    original = json.loads(theirs)  # type: ignore[arg-type]
    assert mine | {"host_id": ""} == original | {"host_id": ""}
    assert (event["seq"], event["type"], event["room"]) == (7, "run.done", "run:run_1")


def test_the_end_of_a_run_is_told_to_those_who_wait_for_it(redis_url: str) -> None:
    bell, client = RedisBell(redis_url), redis.Redis.from_url(redis_url)

    ended = heard(client, 1, ENDED, lambda: bell.send([TOLD]))
    client.close()

    assert ended == [b"run_1"]


def test_many_rings_make_one_job_until_a_worker_takes_note(redis_url: str) -> None:
    bell, client = RedisBell(redis_url), redis.Redis.from_url(redis_url)
    queue = rq.Queue("runs", connection=client, serializer=JSONSerializer)

    bell.send([Ring("runs")])
    assert client.persist(bell_key("runs"))  # it lasts for a second, which may be over at once
    bell.send([Ring("runs")])

    assert [job.func_name for job in queue.jobs] == [POKE]
    bell.answer("runs")
    bell.send([Ring("runs")])
    assert len(queue.jobs) == 2
    client.close()


def test_a_redis_that_is_away_costs_the_first_hint_only(tmp_path: object) -> None:
    server = services.Valkey(tmp_path)  # type: ignore[arg-type]
    bell = RedisBell(server.url)
    bell.send([TOLD])
    server.kill()

    began = time.monotonic()
    for _ in range(100):
        bell.send([TOLD, Ring("runs")])

    assert time.monotonic() - began < 2


def test_what_could_not_be_told_is_said_to_be_missing_once_redis_is_back(tmp_path: object) -> None:
    server = services.Valkey(tmp_path)  # type: ignore[arg-type]
    bell, client = RedisBell(server.url), redis.Redis.from_url(server.url)
    listener = client.pubsub(ignore_subscribe_messages=True)
    listener.subscribe(CHANNEL)
    with server.standing_still():
        bell.send([TOLD])

    BackgroundBell(bell)  # nothing more is sent by anybody
    said: list[str] = []

    def missed_is_said() -> bool:
        message = listener.get_message(timeout=0.1)
        said.extend(one["event"] for one in json.loads(message["data"])) if message else None
        return MISSED in said

    eventually(missed_is_said)
    eventually(lambda: not bell.lost)
    listener.close()
    client.close()
    server.kill()
