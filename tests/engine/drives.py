"""Runs plans through the driver, as a worker does."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from webapp.engine.driver import drive
from webapp.engine.journal import End, HandBack, Park
from webapp.engine.plan import Plan, load_plan
from webapp.engine.ports import Ports
from webapp.engine.testing import MemoryJournal, facts_of, fake_ports

Doc = dict[str, Any]


def plan_of(*steps: Doc, **rest: Any) -> Plan:
    return load_plan({"plan": 1, "steps": list(steps), **rest})


def http(step_id: str, url: Any = "", method: str = "GET", **common: Any) -> Doc:
    settings = {"method": method, "url": url or f"http://t/{step_id}"}
    return {"id": step_id, "kind": "http", "with": settings, **common}


def text(step_id: str, said: Any, **common: Any) -> Doc:
    return {"id": step_id, "kind": "text", "with": {"text": said}, **common}


def lanes(step_id: str, *blocks: list[Doc], **settings: Any) -> Doc:
    made = [{"id": f"l{n}", "steps": block} for n, block in enumerate(blocks)]
    return {"id": step_id, "kind": "parallel", "with": {"lanes": made, **settings}}


def each(step_id: str, items: list[Any], *steps: Doc, **settings: Any) -> Doc:
    return {
        "id": step_id,
        "kind": "each",
        "with": {"list": {"list": items}, "steps": list(steps), **settings},
    }


async def driven(
    plan: Plan,
    journal: MemoryJournal,
    ports: Ports | None = None,
    inputs: Mapping[str, Any] | None = None,
    **options: Any,
) -> End | Park | HandBack:
    """Drive once, from what the journal has."""
    records = journal.records()
    return await drive(
        plan, inputs or {}, facts_of(), records, journal, ports or fake_ports(), **options
    )


def run(
    plan: Plan,
    journal: MemoryJournal | None = None,
    ports: Ports | None = None,
    inputs: Mapping[str, Any] | None = None,
    **options: Any,
) -> End | Park | HandBack:
    return asyncio.run(driven(plan, journal or MemoryJournal(), ports, inputs, **options))


async def until(condition: Any, turns: int = 2_000) -> None:
    """Let the loop turn until something is so."""
    for _ in range(turns):
        if condition():
            return
        await asyncio.sleep(0)
    raise AssertionError("it didn't come to that")
