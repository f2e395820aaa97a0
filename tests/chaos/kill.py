"""The kill test: 40 steps in 5 lanes against a counting sink, one SIGKILL at a random moment.

`python -m tests.chaos.kill --times 100` prints one JSON line a round and ends with 1 at the first
broken promise:

* the run ends well within lease + 10 s of the kill, whoever was killed;
* every step had its effect at least once, always with the same key and the same bytes;
* no step was sent again after its result was durable;
* only steps that were in flight when a worker died were sent twice.
"""

from __future__ import annotations

import argparse
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
        house.start()
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


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=100)
    parser.add_argument("--lease", type=int, default=15)
    parser.add_argument("--database", default="", help="DATABASE_URL; empty is SQLite")
    parser.add_argument("--seed", type=int, default=None)
    given = parser.parse_args()
    seed = given.seed if given.seed is not None else random.randrange(10**6)
    random.seed(seed)
    print(json.dumps({"seed": seed, "lease_s": given.lease}), flush=True)
    sink = Sink(pause_s=0.05)
    with tempfile.TemporaryDirectory() as folder:
        env = {"DATABASE_URL": given.database} if given.database else {}
        house = House(Path(folder), lease_s=given.lease, **env)
        house.start()
        try:
            workflow = prepare(house, sink)
            for number in range(given.times):
                target = random.choice(TARGETS)
                result = one_round(house, sink, workflow, number, target, given.lease)
                print(json.dumps(result), flush=True)
                if result["broken"]:
                    print(house.log(), file=sys.stderr)
                    return 1
        finally:
            house.stop()
            sink.close()
    print(json.dumps({"rounds": given.times, "broken": 0}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
