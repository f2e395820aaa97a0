"""The kill test: 40 steps in 5 lanes against a counting sink, one SIGKILL at a random moment.

What is promised:

* the run ends well within lease + 10 s of the kill, whoever was killed;
* every step had its effect at least once, always with the same key and the same bytes;
* no step was sent again after its result was durable;
* only steps that were in flight when a worker died were sent twice.
"""

from __future__ import annotations

import json
import random
import sys
import tempfile
import time
from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.chaos.house import House
from tests.chaos.places import Place, Server
from tests.chaos.sink import Sink

LANES = 5
STEPS = 8
TARGETS = ("worker", "worker", "web", "steward", "valkey", "all")


def plan(url: str) -> dict[str, Any]:
    """Return 5 lanes of 8 PUTs each; PUT may repeat, so no step needs a person's decision."""
    lanes = []
    number = 0
    for lane in range(LANES):
        steps = []
        for _ in range(STEPS):
            number += 1
            where = [{"text": f"{url}/"}, {"value": ["start", "round"]}, {"text": f"/{number}"}]
            settings = {
                "method": "PUT",
                "url": where,
                "body": {"as": "json", "value": {"record": {"n": number}}},
            }
            steps.append({"id": f"s_{number}", "kind": "http", "name": "Put", "with": settings})
        lanes.append({"id": f"lane_{lane}", "label": f"Lane {lane}", "steps": steps})
    return {
        "plan": 1,
        "inputs": [{"name": "round", "label": "Round", "type": "text", "required": True}],
        "steps": [{"id": "s_0", "kind": "parallel", "name": "Lanes", "with": {"lanes": lanes}}],
    }


def prepare(house: House, sink: Sink) -> str:
    """Make the workflow live and return its id."""
    return house.live("Kill", plan(sink.url))


def one_round(
    house: House, sink: Sink, workflow: str, number: int, target: str, lease_s: int
) -> dict[str, Any]:
    """Start a run, kill `target` somewhere in it, wait for the end and check every promise."""
    name = f"r{number}"
    lasts_s = STEPS * (sink.pause_s + 0.02)
    started = time.monotonic()
    run = house.start(workflow, f"kill-{number}", round=name)
    moment = random.uniform(0, lasts_s)
    time.sleep(max(0.0, started + moment - time.monotonic()))
    part = random.choice(_workers(house)) if target == "worker" else target
    house.kill(part)
    killed = time.monotonic()
    if target == "all":
        house.boot()
    ended = house.settled(run, lease_s + 10)
    took = time.monotonic() - killed
    sent = Counter(arrival.path for arrival in sink.arrivals(f"/{name}/"))
    result = {
        "round": number,
        "target": target,
        "at_s": round(moment, 3),
        "state": ended["state"],
        "after_kill_s": round(took, 2),
        "sent_twice": sum(1 for count in sent.values() if count > 1),
    }
    result["broken"] = _broken(ended, sink, name, sent, target)
    return result


def _workers(house: House) -> list[str]:
    return [name for name in house.children() if name.startswith("worker")]


def _broken(
    ended: dict[str, Any], sink: Sink, name: str, sent: Counter[str], target: str
) -> list[str]:
    broken = []
    if ended["state"] != "done":
        broken.append(f"the run is {ended['state']}: {ended.get('error')}")
    if len(sent) != LANES * STEPS:
        broken.append(f"{len(sent)} of {LANES * STEPS} steps reached the outside")
    if max(sent.values(), default=0) > 2:
        broken.append("a step was sent more than twice")
    twice = {path for path, count in sent.items() if count > 1}
    if twice and target not in {"worker", "all"}:
        broken.append(f"sent twice although no worker died: {sorted(twice)}")
    if len(twice) > LANES:
        broken.append(f"{len(twice)} steps were sent twice, at most {LANES} were in flight")
    arrivals = sink.arrivals(f"/{name}/")
    for path in sent:
        same = {(one.key, one.body) for one in arrivals if one.path == path}
        if len(same) != 1 or not next(iter(same))[0].startswith("dh-"):
            broken.append(f"{path} was sent with other keys or bytes: {same}")
    done = {
        task["step"]: datetime.fromisoformat(task["finished_at"]).timestamp()
        for task in ended["tasks"]
        if task["kind"] == "http" and task["finished_at"]
    }
    for one in arrivals:
        step = "s_" + one.path.rsplit("/", 1)[1]
        if step in done and one.at > done[step] + 0.05:
            broken.append(f"{one.path} was sent {one.at - done[step]:.2f} s after it was done")
    return broken


def rounds(place: Place, times: int) -> dict[str, Any]:
    """Kill a part of `deckhand up`, or all of it, `times` times; a row of the chaos suite."""
    lease_s = place.lease_s or 15
    sink, server = Sink(pause_s=0.05), Server() if place.postgres else None
    results = []
    with tempfile.TemporaryDirectory() as folder:
        env = {"DATABASE_URL": server.create()} if server else {}
        house = House(Path(folder), lease_s=lease_s, **env)
        house.boot()
        try:
            workflow = prepare(house, sink)
            for number in range(times):
                target = random.choice(TARGETS)
                results.append(one_round(house, sink, workflow, number, target, lease_s))
                print(json.dumps(results[-1]), file=sys.stderr, flush=True)
        finally:
            house.stop()
            sink.close()
            if server is not None:
                server.stop()
    return {
        "rounds": times,
        "lease_s": lease_s,
        "killed": dict(Counter(result["target"] for result in results)),
        "slowest_after_kill_s": max(result["after_kill_s"] for result in results),
        "sent_twice": sum(result["sent_twice"] for result in results),
        "broken": [sentence for result in results for sentence in result["broken"]],
    }
