"""What runs cost, through the doors people and programs use."""

from __future__ import annotations

import json
from typing import Any

import pytest
from sqlalchemy import select

from tests.chaos.model import Model
from tests.commands.test_commands import deckhand, env_of
from tests.fixtures import Browser, House, Program
from tests.spending.conftest import COST_NANO, SetPrice, agent
from tests.workflows.plans import plan_of
from webapp.access.tenancy import across_organizations
from webapp.kernel.db import make_engine, make_sessions
from webapp.kernel.settings import Settings
from webapp.spending.models import LedgerEntry

COST = "0.0000246"


def ledger(settings: Settings) -> list[LedgerEntry]:
    engine = make_engine(settings.database_url)
    with make_sessions(engine)() as session, across_organizations(session, "look"):
        order = (LedgerEntry.path, LedgerEntry.attempt, LedgerEntry.n, LedgerEntry.at)
        found = list(session.scalars(select(LedgerEntry).order_by(*order)))
    engine.dispose()
    return found


def ran(make_live: Any, start: Any, finish: Any, *steps: Any, **rest: Any) -> dict[str, Any]:
    run = start(make_live(plan_of(*steps, **rest))).get_json()["id"]
    found: dict[str, Any] = finish(run)
    return found


def test_a_run_costs_what_its_ledger_says(
    settings: Settings, set_price: SetPrice, model: Model, make_live: Any, start: Any, finish: Any
) -> None:
    set_price()

    run = ran(make_live, start, finish, agent(), agent("s_2"))

    assert COST_NANO == 24_600
    assert (run["state"], run["cost_usd"]) == ("done", "0.0000492")
    assert [task["cost_usd"] for task in run["tasks"]] == [COST, COST]
    rows = ledger(settings)
    assert [(row.path, row.n, row.kind, row.amount_nano, row.estimate) for row in rows] == [
        (path, 1, kind, COST_NANO, kind == "reserve")
        for path in ("s_1", "s_2")
        for kind in ("reserve", "settle")
    ]
    assert rows[1].price == {"in": "150", "out": "600", "cached": "150"}
    told = json.loads(deckhand("history", "export", "--json", env=env_of(settings)).stdout)
    assert f"{told['ledger_cost_usd']:.7f}" == "0.0000492"
    assert told["reserved_usd"] == 0
    assert len(model.calls) == 2


def test_a_call_keeps_the_price_that_held_when_it_began(
    settings: Settings, set_price: SetPrice, make_live: Any, start: Any, finish: Any
) -> None:
    set_price("stub", "--from", "2020-01-01")
    set_price("stub", "--from", "2100-01-01", usd_in="900", usd_out="900")
    first = ran(make_live, start, finish, agent())

    set_price("stub", usd_in="0", usd_out="0")
    workflow = first["workflow"]["id"]
    second = finish(start(workflow).get_json()["id"])

    assert (first["cost_usd"], second["cost_usd"]) == (COST, "0")


def test_a_model_without_a_price_costs_null_and_not_nothing(
    make_live: Any, start: Any, finish: Any, program: Program, owner: Browser
) -> None:
    run = ran(make_live, start, finish, agent())

    task = program.get(f"/api/v1/tasks/{run['id']}.s_1").get_json()
    (call,) = task["model_calls"]
    assert (call["model"], call["cost_usd"], call["tokens_out"]) == ("stub", None, 40)
    page = owner.get(f"/o/acme/runs/{run['id']}?step=s_1&view=details").text
    assert "unknown: no price is set for stub" in page


def test_the_step_beside_the_run_says_which_price_was_used(
    set_price: SetPrice, make_live: Any, start: Any, finish: Any, owner: Browser
) -> None:
    set_price()
    run = ran(make_live, start, finish, agent())

    page = owner.get(f"/o/acme/runs/{run['id']}?step=s_1&view=details").text

    assert "stub $0.15 in, $0.60 out for a million tokens" in page
    assert "4, 40 tokens" in page
    assert f"${COST}" in page


@pytest.mark.parametrize("limit", ["of the step", "of the plan"])
def test_nothing_is_asked_that_could_pass_the_limit(
    limit: str,
    settings: Settings,
    set_price: SetPrice,
    model: Model,
    make_live: Any,
    start: Any,
    finish: Any,
) -> None:
    set_price()
    second = agent("s_2", cost_usd="0.00002") if limit == "of the step" else agent("s_2")
    rest = {} if limit == "of the step" else {"limits": {"cost_usd": "0.00004"}}

    run = ran(make_live, start, finish, agent(), second, **rest)

    assert (run["state"], run["error"]["code"]) == ("failed", "E-COST-RUN")
    assert run["error"]["step"] == "s_2"
    assert run["tasks"][1]["attempts"] == 1
    assert (run["cost_usd"], len(model.calls)) == (COST, 1)
    assert {row.path for row in ledger(settings)} == {"s_1"}


def test_another_organization_does_not_see_what_was_paid(
    set_price: SetPrice,
    make_live: Any,
    start: Any,
    finish: Any,
    other: House,
    stranger: Browser,
) -> None:
    set_price()
    run = ran(make_live, start, finish, agent())

    where = f"/o/{other.slug}/runs/{run['id']}?step=s_1&view=details"
    assert stranger.get(where).status_code == 404


def calling(workflow: str, **more: Any) -> dict[str, Any]:
    step = {"id": "s_1", "kind": "workflow", "name": "Other", "with": {"workflow": workflow}}
    return plan_of(step, **more)


def test_a_run_costs_what_the_run_cost_that_it_waited_for_and_the_ledger_has_it_once(
    settings: Settings, set_price: SetPrice, model: Model, make_live: Any, start: Any, finish: Any
) -> None:
    set_price()
    inner = make_live(plan_of(agent()), "Inner")

    run = finish(start(make_live(calling(inner), "Outer")).get_json()["id"])

    assert (run["state"], run["cost_usd"]) == ("done", COST)
    assert run["tasks"][0]["cost_usd"] == COST
    told = json.loads(deckhand("history", "export", "--json", env=env_of(settings)).stdout)
    assert f"{told['ledger_cost_usd']:.7f}" == COST
    assert f"{sum(one['cost_usd'] for one in told['runs']):.7f}" == COST


def test_a_run_may_not_spend_more_than_the_limit_of_the_run_that_started_it(
    set_price: SetPrice, model: Model, make_live: Any, start: Any, finish: Any
) -> None:
    set_price()
    inner = make_live(plan_of(agent()), "Inner")
    outer = make_live(calling(inner, limits={"cost_usd": "0.00002"}), "Outer")

    run = finish(start(outer).get_json()["id"])

    assert run["state"] == "failed"
    assert "cost limit" in run["error"]["text"]
    assert len(model.calls) == 0


def test_a_run_costs_what_its_parts_cost_and_the_ledger_has_that_once(
    settings: Settings, set_price: SetPrice, model: Model, make_live: Any, start: Any, finish: Any
) -> None:
    set_price()
    asked = [{"name": "items", "label": "Items", "type": "list", "items": {"type": "number"}}]
    source = {"list": [{"value": ["start", "items"]}], "at_once": 20}
    each = {"id": "s_e", "kind": "each", "name": "All", "with": {**source, "steps": [agent()]}}
    workflow = make_live(plan_of(each) | {"inputs": asked})
    count = settings.each_split + 1

    run = finish(start(workflow, inputs={"items": list(range(count))}).get_json()["id"])

    assert run["state"] == "done", run["error"]
    assert round(float(run["cost_usd"]) * 1e9) == count * COST_NANO
    told = json.loads(deckhand("history", "export", "--json", env=env_of(settings)).stdout)
    assert round(told["ledger_cost_usd"] * 10**9) == count * COST_NANO
    assert round(sum(one["cost_usd"] for one in told["runs"]) * 10**9) == count * COST_NANO
