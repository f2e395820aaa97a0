"""Rows about processes that die: D1 to D4, D8 and D20 of SECURITY.md 3.1."""

from __future__ import annotations

import itertools
import random
import sqlite3
import threading
import time
from collections import Counter
from typing import Any

from tests.chaos import plans
from tests.chaos.client import Client
from tests.chaos.load import loaded
from tests.chaos.places import Place
from tests.chaos.points import POINTS, Yard, one_round
from tests.chaos.stack import PARTS

Figures = dict[str, Any]
STARTS_A_KILL = 150
LATE_S = 10.0
EFFECTS = 10
TEXT = {"id": "s_1", "kind": "text", "name": "Say", "with": {"text": "Hello"}}


def points(place: Place, times: int) -> Figures:
    """D1, D2: a part dies at each crash point, the first and the third time it passes it."""
    with place.stack(lease_s=place.lease_s or 2) as (stack, sink):
        yard = Yard(stack, sink)
        rounds, failed = 0, []
        for number, point, nth in itertools.product(range(times), POINTS, (1, 3)):
            rounds += 1
            try:
                one_round(yard, point, nth, f"{number}x{POINTS.index(point)}x{nth}")
            except AssertionError as error:
                failed.append(f"round {number}, {point}#{nth}: {str(error)[:300]}")
                stack.kill(*PARTS)  # one may still wait to die
                stack.tend()
        verdict = place.verdict(stack, sink, failed=failed)
        lease_s = float(stack.env["LEASE_S"])
        if yard.slowest_s > lease_s + LATE_S:
            verdict["broken"].append(f"a run was settled {yard.slowest_s:.1f} s after the death")
        figures = {"points": len(POINTS), "rounds": rounds, "lease_s": lease_s}
        return figures | {"slowest_after_death_s": round(yard.slowest_s, 1)} | verdict


def each_effect(place: Place, times: int) -> Figures:
    """D2: the worker dies a moment after each effect that the outside sees."""
    with place.stack(lease_s=2) as (stack, sink):
        workflow = stack.live("Chain", plans.chain(sink.url, EFFECTS))
        deaths = 0
        for number in range(times):
            name = f"each{number}"
            run = stack.start(workflow, f"key-{name}", name=name)
            for seen in range(1, EFFECTS + 1):
                sink.waits_for_more(f"/{name}/", seen)
                time.sleep(random.uniform(0, 2 * sink.pause_s))
                stack.kill("worker")
                stack.begin("worker")
                deaths += 1
            stack.settled(run, 2 + LATE_S)
        again = len(sink.all()) - times * EFFECTS
        return {"runs": times, "deaths": deaths, "sent_again": again} | place.verdict(stack, sink)


def starts(place: Place, times: int) -> Figures:
    """D1: the web dies at random moments while clients start runs and ask again."""
    with place.stack(lease_s=4) as (stack, sink):
        workflow = stack.live("Text", plans.of(TEXT))
        with loaded(stack, workflow, "s", clients=8) as load:
            kills = 0
            while kills < times or len(load.runs) < STARTS_A_KILL * times:
                time.sleep(random.uniform(0.5, 4))
                stack.kill("web")
                stack.begin("web")
                kills += 1
        figures = {"kills": kills, "starts": len(load.runs)}
        return figures | place.verdict(stack, sink, 180, load.failures)


def effects(place: Place, times: int) -> Figures:
    """D3, D4: the worker dies while effects of all classes are in flight."""
    brief = {"BREAKER_OPEN_S": "1"}  # what is cut opens it, and it would keep each round waiting
    with place.stack(lease_s=2, **brief) as (stack, sink):
        workflow = stack.live("Wide", _wide(sink.url))
        for number in range(times):
            runs = [stack.start(workflow, f"k{number}-{n}", name=f"{number}-{n}") for n in (0, 1)]
            sink.waits_for(f"/{number}-")
            time.sleep(random.uniform(0, 0.6))
            stack.kill("worker")
            stack.begin("worker")
            for run in runs:
                stack.settled(run, 60)
        told = stack.history()
        steps = [step for run in told["runs"] for step in run["steps"] if step["effect"] != "none"]
        once = [step for step in steps if step["effect"] == "at_most_once"]
        repeated = len(sink.all()) - len({one.key for one in sink.all()})
        return {
            "rounds": times,
            "at_most_once": len(once),
            "in_doubt": sum(1 for step in once if step["state"] == "unknown"),
            "may_repeat": len(steps) - len(once),
            "sent_again": repeated,
        } | place.verdict(stack, sink)


def _wide(url: str) -> dict[str, Any]:
    """Return 16 effects that must not repeat, 4 of them cut off, and 32 that may."""
    lanes = [plans.lane(f"o{n}", plans.http(f"s_o{n}", url, f"o{n}", "POST")) for n in range(12)]
    cut = [plans.lane(f"c{n}", plans.http(f"s_c{n}", url, f"c{n}/cut", "POST")) for n in range(4)]
    may = [plans.lane(f"p{n}", plans.http(f"s_p{n}", url, f"p{n}")) for n in range(32)]
    whole = {"lanes": [*lanes, *cut, *may], "lane_failure": "continue"}
    return plans.of({"id": "s_1", "kind": "parallel", "name": "Wide", "with": whole})


def same_key(place: Place, times: int) -> Figures:
    """D5: fifty clients start under one key at once."""
    with place.stack(lease_s=4) as (stack, sink):
        workflow = stack.live("Text", plans.of(TEXT))
        path, second, bodies = f"/api/v1/workflows/{workflow}/run", 0, 0
        statuses: Counter[int] = Counter()
        for number in range(times):
            answers: list[tuple[int, Any]] = []
            headers = {"Idempotency_Key": f"same-{number}"}

            def ask(headers: dict[str, str] = headers, into: list[Any] = answers) -> None:
                client = Client(stack.url, stack.key)
                into.append(client.call("POST", path, {"inputs": {"name": "x"}}, **headers))

            threads = [threading.Thread(target=ask) for _ in range(50)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            well = [body for status, body in answers if status == 202]
            second += len({body["id"] for body in well}) - 1
            bodies += len({str(body) for body in well}) - 1
            statuses.update(status for status, _ in answers)
        figures = {"rounds": times, "second_runs": second, "other_bodies": bodies}
        verdict = place.verdict(stack, sink)
        if second or bodies or set(statuses) - {202, 409, 429, 503}:
            verdict["broken"].append("one key was answered in two ways")
        return figures | {"statuses": dict(statuses)} | verdict


def commits(place: Place, times: int) -> Figures:
    """D8: SIGKILL whoever commits to SQLite, and look whether the file is whole."""
    assert not place.postgres, "this row is about SQLite"
    with place.stack(lease_s=2) as (stack, sink):
        stack.begin("worker-2")
        workflow = stack.live("Chain", plans.chain(sink.url, 5))
        corrupt = []
        with loaded(stack, workflow, "c", clients=2, pause_s=0.05) as load:
            for number in range(times):
                time.sleep(random.uniform(0.05, 0.6))
                part = random.choice(("worker", "worker-2", "worker", "web", "steward"))
                stack.kill(part)
                stack.begin(part)
                if number % 5 == 4:
                    corrupt += _integrity(stack.database.removeprefix("sqlite:///"))
        figures = {"kills": times, "checks": times // 5, "corrupt": corrupt}
        figures |= {"runs": len(load.runs)}
        return figures | place.verdict(stack, sink, 180, load.failures)


def _integrity(path: str) -> list[str]:
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as connection:
        found = [row[0] for row in connection.execute("PRAGMA integrity_check")]
    connection.close()
    return [] if found == ["ok"] else found


def everything(place: Place, times: int) -> Figures:
    """D20: every process dies at once, again and again, while thirty runs go on."""
    with place.stack(lease_s=place.lease_s or 4) as (stack, sink):
        yard = Yard(stack, sink)
        runs = [yard.start(f"all{n}") for n in range(15)]
        runs += [stack.start(yard.slow, f"slow{n}", name=f"slow{n}") for n in range(15)]
        for _ in range(times):
            time.sleep(random.uniform(0.3, 2.0))
            stack.kill_all()
            stack.valkey.start()
            stack.tend()
            stack.answers_again()
        began = time.monotonic()
        for run in runs:
            stack.settled(run, 60)
        figures = {"kills": times, "runs": len(runs), "after_s": time.monotonic() - began}
        return figures | place.verdict(stack, sink)
