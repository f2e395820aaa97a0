"""Rows about processes that stand still or are asked to go: D9 and D10 of SECURITY.md 3.1."""

from __future__ import annotations

import random
import signal
import time
from collections import Counter
from typing import Any

from tests.chaos import plans
from tests.chaos.load import loaded
from tests.chaos.places import Place

Figures = dict[str, Any]
STOPPED_S = 90.0
LEFT_S = 10.0


def zombies(place: Place, times: int) -> Figures:
    """D9: workers stand still in the middle of runs; others finish these; then they wake.

    On SQLite one that stands still may have the writer's place, so that the supervisor has to kill
    it: PostgreSQL is where it can wake again.
    """
    assert place.postgres, "this row is about PostgreSQL"
    with place.stack(lease_s=4, pause_s=0.4) as (stack, sink):
        stack.end("worker")
        names = [f"worker-z{number}" for number in range(times)]
        for name in names:
            stack.begin(name, RUNS_PER_WORKER="1")
        workflow = stack.live("Slow", plans.chain(sink.url, 12))
        runs = [stack.start(workflow, f"z{n}", name=f"z{n}") for n in range(times)]
        for number in range(times):
            sink.waits_for(f"/z{number}/", 120)
        stopped = time.monotonic()
        for name in names:
            stack.signal(name, signal.SIGSTOP)
            time.sleep(random.uniform(0, 0.1))
        for name in ("worker", "worker-2"):
            stack.begin(name)
        states = [stack.settled(run, 80)["state"] for run in runs]
        taken_s = time.monotonic() - stopped
        time.sleep(max(0.0, stopped + STOPPED_S - time.monotonic()))
        before, sent = stack.history(), len(sink.all())
        for name in names:
            stack.signal(name, signal.SIGCONT)
        time.sleep(15)
        late = [one.path for one in sink.all()[sent:]]
        verdict = place.verdict(stack, sink)
        after = stack.history()
        broken = verdict["broken"]
        broken += [f"a run is {state}" for state in states if state != "done"]
        broken += [f"{path} was sent by one that had lost its run" for path in late]
        if after["runs"] != before["runs"]:
            broken.append("something was written by one that had lost its run")
        return {"stopped": times, "stopped_s": STOPPED_S, "taken_over_s": round(taken_s)} | verdict


def web_ends(place: Place, times: int) -> Figures:
    """D10: the web is asked to go under load, and the next one begins behind it."""
    with place.stack(lease_s=4) as (stack, sink):
        workflow = stack.live("Mixed", plans.chain(sink.url, 2))
        slowest = 0.0
        with loaded(stack, workflow, "w", clients=4, pause_s=0.02) as load:
            for _ in range(times):
                time.sleep(random.uniform(0.2, 0.8))
                slowest = max(slowest, stack.end("web"))
                stack.begin("web")
                stack.answers_again()
        figures = {"ends": times, "slowest_end_s": round(slowest, 2)}
        verdict = place.verdict(stack, sink, 180, load.failures)
        verdict["broken"] += _failed(verdict)
        return figures | verdict


def _failed(verdict: Figures) -> list[str]:
    lost = {s: n for s, n in verdict["answers"].items() if s.startswith(("0", "5"))}
    return [f"accepted requests failed: {lost}"] if lost else []


def rolls(place: Place, times: int) -> Figures:
    """D10: all parts are asked to go one after the other under load, as when a deploy rolls by."""
    with place.stack(lease_s=15) as (stack, sink):
        stack.begin("worker-2")
        workflow = stack.live("Mixed", plans.mixed(sink.url))
        ends: Counter[str] = Counter()
        with loaded(stack, workflow, "r", clients=4, pause_s=0.05) as load:
            for _ in range(times):
                for name in ("web", "worker", "worker-2", "steward"):
                    time.sleep(random.uniform(0.5, 1.5))
                    ends[name] = max(ends[name], round(stack.end(name) * 1000))
                    stack.begin(name)
                    stack.answers_again()
        verdict = place.verdict(stack, sink, 180, load.failures)
        verdict["broken"] += _failed(verdict)
        slow = {name: took_ms for name, took_ms in ends.items() if took_ms > LEFT_S * 1000}
        verdict["broken"] += [f"{name} took {took_ms} ms to go" for name, took_ms in slow.items()]
        states = Counter(run["state"] for run in stack.history()["runs"])
        if set(states) != {"done"}:
            verdict["broken"].append(f"not every run went on to its end: {dict(states)}")
        figures = {"restarts": times, "slowest_end_ms": dict(ends), "states": dict(states)}
        return figures | verdict


def worker_ends(place: Place, times: int) -> Figures:
    """D10: workers are asked to go under load: steps finish, or the run is handed back."""
    with place.stack(lease_s=15) as (stack, sink):
        workflow = stack.live("Mixed", plans.mixed(sink.url))
        ends = []
        with loaded(stack, workflow, "e", clients=2, pause_s=0.1) as load:
            for _ in range(times):
                time.sleep(random.uniform(0.2, 0.8))
                ends.append(stack.end("worker"))
                stack.begin("worker")
        verdict = place.verdict(stack, sink, failed=load.failures)
        if max(ends) > LEFT_S:
            verdict["broken"].append(f"a worker took {max(ends):.1f} s to go")
        told = stack.history()["runs"]
        again = sum(1 for run in told for step in run["steps"] if step["fence"] > 1)
        figures = {"ends": times, "slowest_end_s": round(max(ends), 2), "steps_handed_on": again}
        return figures | {"runs": len(load.runs)} | verdict
