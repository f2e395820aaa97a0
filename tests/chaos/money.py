"""D15: money is exact. The worker dies in the stream, behind the answer, and while it settles."""

from __future__ import annotations

from decimal import Decimal
from itertools import cycle, islice
from typing import Any

from sqlalchemy import func, select

from tests.chaos import plans
from tests.chaos.model import Model
from tests.chaos.people import rows
from tests.chaos.places import Place
from tests.chaos.stack import Stack
from webapp.access.tenancy import across_organizations
from webapp.spending.models import LedgerEntry

POINTS = (
    "worker.in_llm_stream#1",
    "worker.in_llm_stream#7",
    "worker.after_llm_before_record#1",
    "worker.after_llm_before_record#2",
    "worker.in_budget_settle#1",
    "worker.in_budget_settle#2",
)
NANO_IN, NANO_OUT = 150, 600
PRICE = ("--in", "0.15", "--out", "0.60")


def _agent(step: str) -> dict[str, Any]:
    inline = {"instructions": "Be brief.", "model": "default", "answer_tokens": 40}
    message = [{"text": "Is it late? "}, {"value": ["start", "name"]}]
    return {"id": step, "kind": "agent", "with": {"inline": inline, "message": message}}


def priced(stack: Stack) -> str:
    """Say what the stub costs, and return a workflow that asks it twice in a run."""
    stack.command("prices", "set", "stub", *PRICE)
    return stack.live("Asks twice", plans.of(_agent("s_1"), _agent("s_2")))


def one_death(stack: Stack, workflow: str, point: str, name: str, wait_s: float = 30.0) -> None:
    """Let the only worker die at `point`, and see that the next one brings its run to an end."""
    stack.end("worker")
    stack.begin("worker", CRASH_AT=point)
    run = stack.start(workflow, f"key-{name}", name=name)
    stack.gone("worker")
    stack.begin("worker")
    ended = stack.settled(run, wait_s)
    assert ended["state"] == "done", ended


def broken(stack: Stack, model: Model) -> list[str]:
    """Compare the ledger with the server's books, in every way."""
    told = stack.history()
    calls = model.calls
    owed = sum(call.tokens_in * NANO_IN + call.tokens_out * NANO_OUT for call in calls)
    ledger = Decimal(str(told["ledger_cost_usd"])) * 10**9
    runs = sum(Decimal(str(run["cost_usd"])) for run in told["runs"]) * 10**9
    found = []
    if ledger != owed:
        found.append(f"D15: the ledger has {ledger}, {len(calls)} calls cost {owed}")
    if runs != ledger:
        found.append(f"D15: the runs cost {runs}, the ledger has {ledger}")
    if told["reserved_usd"]:
        found.append(f"D15: {told['reserved_usd']} USD are still reserved")
    return found


def _interrupted(stack: Stack) -> int:
    """Return how many calls were charged by an estimate, since nobody was left to hear the end."""
    with rows(stack) as session, across_organizations(session, "count what was cut off"):
        cut = LedgerEntry.kind == "interrupted"
        return session.scalar(select(func.count()).select_from(LedgerEntry).where(cut)) or 0


def deaths(place: Place, times: int) -> dict[str, Any]:
    """Die at each point in turn, `times` times in all; a row of the chaos suite."""
    model = Model()
    try:
        with place.stack(lease_s=place.lease_s or 2, **model.env) as (stack, _):
            workflow = priced(stack)
            for number, point in enumerate(islice(cycle(POINTS), times)):
                one_death(stack, workflow, point, f"d{number}")
            return {
                "deaths": times,
                "calls": len(model.calls),
                "charged_as_reserved": _interrupted(stack),
                "cost_usd": stack.history()["ledger_cost_usd"],
                "broken": broken(stack, model),
            }
    finally:
        model.close()
