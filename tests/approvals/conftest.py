"""Runs that ask people, and the machine's own upkeep, which is done by hand here."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID, uuid4

import pytest
from flask import Flask
from sqlalchemy import update
from sqlalchemy.orm import Session

from jobs.base import Machine, make_machine
from jobs.sweeping import keep_approvals
from tests.fixtures import House
from tests.runs.conftest import finish, make_live, runner, start
from tests.runs.following import pausing
from tests.workflows.plans import plan_of
from webapp.access.permissions import Role
from webapp.access.tenancy import across_organizations
from webapp.kernel.db import writing
from webapp.kernel.ids import public_id
from webapp.kernel.settings import Settings
from webapp.runs.models import Approval
from webapp.web.database import db

__all__ = ["finish", "make_live", "runner", "start"]


def person(house: House, role: Role) -> dict[str, str]:
    return {"person": public_id("usr", house.people[role])}


def ask(**settings: Any) -> dict[str, Any]:
    """A step that asks the owners."""
    given = {"who": [{"role": "owner"}], **settings}
    return {"id": "s_2", "kind": "approval", "name": "Check the letter", "with": given}


def letter(**settings: Any) -> dict[str, Any]:
    """A text, a person who looks at it, and a step that uses what they approved."""
    shown = {"name": "text", "label": "Text", "value": [{"value": ["s_1", "text"]}]}
    steps = [
        {"id": "s_1", "kind": "text", "name": "Write", "with": {"text": "Dear Ada, pay 12.50."}},
        ask(**{"show": [shown], **settings}),
        {
            "id": "s_3",
            "kind": "text",
            "name": "Send",
            "with": {"text": [{"text": "Sent: "}, {"value": ["s_2", "values", "text"]}]},
        },
    ]
    value = [{"value": ["s_3", "text"]}]
    return plan_of(
        *steps, result=[{"name": "sent", "label": "Sent", "type": "text", "value": value}]
    )


@pytest.fixture
def machine(settings: Settings, app: Flask) -> Iterator[Machine]:
    made = make_machine(settings)
    yield made
    made.close()


Sweep = Callable[[], int]


@pytest.fixture
def sweep(machine: Machine) -> Sweep:
    """Return a function that does once what the steward does about approvals."""
    return lambda: keep_approvals(machine)


Waits = Callable[..., str]


@pytest.fixture
def waiting(make_live: Any, start: Any, program: Any, request: pytest.FixtureRequest) -> Waits:
    """Return a function that starts a run of a plan and returns it once it waits for a person."""

    def make(plan: dict[str, Any], key: str = "") -> str:
        run: str = start(make_live(plan, "Letters")).get_json()["id"]
        until(program, run, "waiting", request.getfixturevalue("runner"))
        return run

    return make


def until(program: Any, run: str, state: str, runner: Any) -> dict[str, Any]:
    pauses = pausing()
    while True:
        runner.wake()
        found: dict[str, Any] = program.get(f"/api/v1/runs/{run}").get_json()
        if found["state"] == state:
            return found
        assert next(pauses), f"the run is {found['state']}, not {state}: {found['error']}"


def asked(program: Any) -> dict[str, Any]:
    """Return the one approval that is open for the program."""
    [one] = program.get("/api/v1/approvals").get_json()["items"]
    found: dict[str, Any] = one
    return found


def answer(program: Any, approval: str, decision: str = "approve", **more: Any) -> Any:
    """Answer what the program has just read."""
    url = f"/api/v1/approvals/{approval}"
    if decision == "approve" and "shown" not in more:
        more["shown"] = program.get(url).get_json().get("shown")
    return program.post(
        f"{url}/decide",
        json={"decision": decision, **more},
        headers={"Idempotency-Key": str(uuid4())},
    )


def press(browser: Any, url: str, decision: str = "approve", **fields: Any) -> Any:
    """Press a button of the page at `url`, which says what it shows."""
    shown = re.search(r'name="shown" value="(\w+)"', browser.get(url).text)
    if shown is not None:
        fields.setdefault("shown", shown[1])
    return browser.submit(f"{url}/decide", decision=decision, **fields)


Change = Callable[..., None]


@pytest.fixture
def change(app: Flask) -> Change:
    """Return a function that changes an approval's row, as time would."""

    def write(approval: UUID | None = None, **values: Any) -> None:
        with app.app_context(), writing(), Session(db.engine) as session:
            with across_organizations(session, "a test turns the clock"):
                session.execute(update(Approval).values(**values))
            session.commit()

    return write
