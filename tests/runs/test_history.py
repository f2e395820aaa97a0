"""`deckhand history export`: every run, and each place in it once, in the words of PLAN.md."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import update
from sqlalchemy.orm import Session

from tests.commands.test_commands import deckhand, env_of
from tests.runs.durable import Yard
from webapp.access.tenancy import across_organizations
from webapp.audit.models import AuditHead
from webapp.commands.exits import DATABASE
from webapp.kernel.db import make_engine
from webapp.kernel.settings import Settings

GREETING = {
    "plan": 1,
    "inputs": [{"name": "who", "label": "Who", "type": "text", "required": True}],
    "steps": [
        {"id": "s_1", "kind": "text", "with": {"text": [{"value": ["start", "who"]}]}},
        {"id": "s_2", "kind": "wait", "with": {"for_s": 0}},
    ],
}


def export(settings: Settings) -> dict[str, Any]:
    done = deckhand("history", "export", "--json", env=env_of(settings))
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def test_it_tells_what_each_run_did_and_under_which_key_it_began(
    settings: Settings, make_live: Any, start: Any, finish: Any
) -> None:
    run = start(make_live(GREETING), key="order-7", inputs={"who": "Ada"}).get_json()["id"]
    finish(run)

    told = export(settings)

    [entry] = told.pop("runs")
    steps = entry.pop("steps")
    assert entry == {"id": run, "key": "order-7", "state": "done", "cost_usd": 0}
    facts = [(step["id"], step["n"], step["state"], step["attempts"]) for step in steps]
    assert facts == [("s_1", 1, "succeeded", 1), ("s_2", 2, "succeeded", 1)]
    assert set(steps[0]) == {"id", "n", "state", "attempts", "effect", "idem", "fence"}
    assert told == {
        "ledger_cost_usd": 0,
        "audit_ok": True,
        "outbox_pending": 0,
        "reserved_usd": 0,
        "deliveries": [],
        "quota": {"reserved": 0, "used": 0, "limit": None},
    }


def test_more_runs_than_are_read_at_once_are_told_once_each_and_in_order(
    settings: Settings,
) -> None:
    engine = make_engine(settings.database_url)
    yard = Yard(engine, settings).open()
    made = [yard.queue_run() for _ in range(1_100)]
    engine.dispose()

    told = [run["id"] for run in export(settings)["runs"]]

    assert len(told) == len(set(told)) == len(made)
    assert told == sorted(told)


def test_a_record_that_somebody_rewrote_is_told(settings: Settings, make_live: Any) -> None:
    make_live(GREETING)
    engine = make_engine(settings.database_url)
    with Session(engine) as session, across_organizations(session, "a test tampers"):
        session.execute(update(AuditHead).values(mac=b"x" * 32))
        session.commit()
    engine.dispose()

    assert export(settings)["audit_ok"] is False
    in_words = deckhand("history", "export", env=env_of(settings)).stdout
    assert "The audit record is BROKEN." in in_words


def test_a_database_without_tables_is_no_history(settings: Settings, empty_database: Any) -> None:
    env = {**env_of(settings), "DATABASE_URL": empty_database()}

    done = deckhand("history", "export", "--json", env=env)

    assert (done.returncode, done.stdout) == (DATABASE, "")
    assert "The database holds nothing yet." in done.stderr
