"""Rows about people and clocks: D12 of SECURITY.md 3.1, and RULINGS.md section 3, row 25."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.chaos import plans
from tests.chaos.client import Client
from tests.chaos.places import Place

Figures = dict[str, Any]
AFTER_S = 5.0
DAY_S = 86_400


def cancels(place: Place, times: int) -> Figures:
    """D12: runs are cancelled at random moments while their worker dies now and then."""
    with place.stack(lease_s=4) as (stack, sink):
        once = stack.live("Once", plans.chain(sink.url, 40, "POST"))
        may = stack.live("May", plans.chain(sink.url, 40))
        answered: dict[str, float] = {}

        def cancel(name: str, workflow: str) -> None:
            client = Client(stack.url, stack.key)
            run = client.start(workflow, f"key-{name}", name=name)
            time.sleep(random.uniform(0, 3))
            status, _ = client.call("POST", f"/api/v1/runs/{run}/cancel")
            if status == 200:
                answered[name] = time.time()
            stack.starts |= client.starts

        for batch in range(0, times, 10):
            threads = [
                threading.Thread(target=cancel, args=(f"c{n}", random.choice((once, may))))
                for n in range(batch, min(batch + 10, times))
            ]
            for thread in threads:
                thread.start()
            if batch % 30 == 20:
                time.sleep(random.uniform(0.5, 2.5))
                stack.kill("worker")
                stack.begin("worker")
            for thread in threads:
                thread.join()
        late = {
            one.path: round(one.at - moment, 2)
            for name, moment in answered.items()
            for one in sink.arrivals(f"/{name}/")
            if one.at > moment
        }
        verdict = place.verdict(stack, sink)
        for path, by in late.items():
            if by > AFTER_S:
                verdict["broken"].append(f"{path} began {by} s after the cancel was answered")
        states = Counter(run["state"] for run in stack.history()["runs"])
        figures = {"cancelled": len(answered), "sent_after_answer": len(late)}
        figures |= {"latest_after_s": max(late.values(), default=0.0), "states": dict(states)}
        return figures | verdict


def clocks(place: Place, times: int) -> Figures:
    """A process's clock is two hours wrong, and jumps by a day: spans hold, moments come."""
    broken: list[str] = []
    with place.stack(lease_s=4) as (stack, sink):
        wrong = Path(stack.data) / "wrong"
        wrong.write_text("7200")
        slow = stack.live("Slow", plans.chain(sink.url, 20))
        stack.begin("worker-2", CLOCK_SHIFT_FILE=str(wrong))
        runs = [stack.start(slow, f"s{n}", name=f"s{n}") for n in range(20)]
        for run in runs:
            stack.settled(run, 60)
        fences = {step["fence"] for run in stack.history()["runs"] for step in run["steps"]}
        if fences != {1}:
            broken.append(f"a wrong clock took runs away: fences {fences}")
        stack.end("worker-2")
        for _ in range(times):
            broken += _jump(stack, sink, wrong)
        verdict = place.verdict(stack, sink)
        verdict["broken"] += broken
        return {"runs": len(runs), "jumps": times} | verdict


def _jump(stack: Any, sink: Any, wrong: Path) -> list[str]:
    """Let all clocks of workers jump by a day while one run waits for 20 s and one for a moment."""
    wrong.write_text("0")
    for name in ("worker", "steward"):
        stack.end(name)
        stack.begin(name, CLOCK_SHIFT_FILE=str(wrong))
    moment = (datetime.now(UTC) + timedelta(hours=20)).isoformat()
    span = {"id": "s_1", "kind": "wait", "name": "Wait", "with": {"for_s": 20}}
    until = {"id": "s_1", "kind": "wait", "name": "Wait", "with": {"until": moment}}
    lanes = [plans.lane("a", span), plans.lane("b", plans.http("s_2", sink.url, "x"))]
    both = {"id": "s_3", "kind": "parallel", "name": "Both", "with": {"lanes": lanes}}
    a = stack.start(stack.live("For", plans.of(both)), "jump-for", name="jump-for")
    b = stack.start(stack.live("Until", plans.of(until)), "jump-until", name="jump-until")
    began = time.monotonic()
    sink.waits_for("/jump-for/")
    time.sleep(2)
    wrong.write_text(str(DAY_S))
    stack.kill("worker")
    stack.begin("worker", CLOCK_SHIFT_FILE=str(wrong))
    broken = []
    if stack.settled(b, 15)["state"] != "done":
        broken.append("a moment passed, and the run still waits for it")
    if stack.settled(a, 1)["state"] in {"done", "failed"}:
        broken.append("a wait for 20 s was over before")
    stack.settled(a, 40)
    took = time.monotonic() - began
    if not 19 < took < 35:
        broken.append(f"a wait for 20 s took {took:.0f} s")
    return broken
