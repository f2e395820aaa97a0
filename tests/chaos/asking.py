"""D16: what waits for a person outlives the death of everything, and seven days."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.chaos import plans
from tests.chaos.places import Place
from tests.chaos.sink import Sink
from tests.chaos.stack import Stack

Figures = dict[str, Any]
WEEK_S: Final = 7 * 86_400
EACH: Final = 5
OUTCOMES: Final = {"continue": "done", "stop": "failed"}
"""What becomes of a run whose time to answer is over, by what its plan says."""


def _asks(url: str, **settings: Any) -> dict[str, Any]:
    who = {"who": [{"role": "viewer"}]}
    ask = {"id": "s_1", "kind": "approval", "name": "Agree", "with": who | settings}
    return plans.of(plans.http("s_0", url, "before"), ask, plans.http("s_2", url, "after", "POST"))


@dataclass(frozen=True, slots=True)
class Asked:
    """A run that asks: how it is called, and what becomes of it after a week."""

    run: str
    name: str
    state: str
    answered: bool = False


def weeks(place: Place, times: int) -> Figures:
    """All dies `times` times while runs ask; then a week is over, and the others are answered."""
    with place.stack(lease_s=2) as (stack, sink):
        later = Path(stack.data) / "later"
        later.write_text("0")
        stack.env["CLOCK_SHIFT_FILE"] = str(later)
        stack.kill_all()  # from here on every part reads the clock from the file
        _boot(stack)
        runs = _begin(stack, sink)
        broken: list[str] = []
        first = _open(stack, runs)
        for number in range(times):
            time.sleep(random.uniform(0, 1.0))
            stack.kill_all()
            if stack.server is not None:
                stack.server.crash()
                stack.server.restart()
            if number == times - 1:
                later.write_text(str(WEEK_S + 60))
            _boot(stack)
            if number < times - 1 and _open(stack, runs) != first:
                broken.append(f"death {number}: other questions than before")
        began = time.monotonic()
        for one in runs:
            if one.answered:
                broken += _answer(stack, one.name, first[one.run])
        for one in runs:
            broken += _ended(stack, sink, one)
        took = time.monotonic() - began
        for one in runs:
            if not one.answered:
                broken += _is_late(stack, one.name, first[one.run])
        verdict = place.verdict(stack, sink)
        verdict["broken"] += broken
        return {"deaths": times, "runs": len(runs), "went_on_within_s": round(took, 1)} | verdict


def _begin(stack: Stack, sink: Sink) -> list[Asked]:
    """Start runs that ask: some for a week at most, some until they are answered."""
    runs = []

    def start(workflow: str, name: str, state: str, *, answered: bool = False) -> None:
        run = stack.start(workflow, f"key-{name}", name=name)
        runs.append(Asked(run, name, state, answered))

    for at_due, state in OUTCOMES.items():
        plan = _asks(sink.url, due={"in_s": WEEK_S}, at_due=at_due)
        workflow = stack.live(f"Due: {at_due}", plan)
        for number in range(EACH):
            start(workflow, f"due-{at_due}-{number}", state)
    workflow = stack.live("Answered", _asks(sink.url))
    for number in range(EACH):
        start(workflow, f"answered-{number}", "done", answered=True)
    return runs


def _ended(stack: Stack, sink: Sink, one: Asked) -> list[str]:
    found = stack.settled(one.run, 60)["state"]
    broken = [] if found == one.state else [f"{one.name} is {found}, not {one.state}"]
    sent = len(sink.arrivals(f"/{one.name}/after"))
    if sent != (one.state == "done"):
        broken.append(f"{one.name} went on {sent} times")
    return broken


def _boot(stack: Stack) -> None:
    stack.valkey.start()
    stack.tend()
    stack.answers_again()


def _open(stack: Stack, asked: list[Asked]) -> dict[str, str]:
    """Return the approval that each run asks for, once each has asked."""
    runs = {one.run for one in asked}
    until = time.monotonic() + 60
    while True:
        status, found = stack.call("GET", "/api/v1/approvals?limit=200")
        items = found["items"] if status == 200 else []
        mine = [(one["run"], one["id"]) for one in items if one["run"] in runs]
        if {run for run, _ in mine} == runs and len(mine) == len(runs):
            return dict(mine)
        assert time.monotonic() < until, f"{len(mine)} questions of {len(runs)} runs"
        time.sleep(0.1)


def _answer(stack: Stack, name: str, approval: str) -> list[str]:
    """Answer twice under two keys: the first counts, the second is told of it."""
    told = []
    for number, decision in enumerate(("approve", "reject")):
        url = f"/api/v1/approvals/{approval}"
        said = {"decision": decision, "shown": stack.until("GET", url)["shown"]}
        key = f"{approval}-{number}"
        told.append(stack.until("POST", f"{url}/decide", said, Idempotency_Key=key))
    same = {answer["decision"] for answer in told} == {"approve"}
    return [] if same else [f"{name} was answered in two ways: {told}"]


def _is_late(stack: Stack, name: str, approval: str) -> list[str]:
    url = f"/api/v1/approvals/{approval}"
    found = stack.until("GET", url)
    said = {"decision": "approve", "shown": found["shown"]}
    answer = stack.refused("POST", f"{url}/decide", said, Idempotency_Key=f"late-{approval}")
    told = (found["state"], answer["code"])
    late = ("expired", "E-APPROVAL-LATE")
    return [] if told == late else [f"{name}: an answer after a week found it {told}"]
