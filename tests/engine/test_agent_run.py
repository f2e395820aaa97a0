"""An agent step through the real driver: streamed, journaled, and not done twice."""

from __future__ import annotations

import asyncio
from typing import Any

from webapp.engine.driver import drive
from webapp.engine.journal import End
from webapp.engine.plan import load_plan
from webapp.engine.ports import Ports
from webapp.engine.providers import Providers
from webapp.engine.testing import FakeClock, MemoryJournal, facts_of

PLAN = {
    "plan": 1,
    "inputs": [{"name": "question", "label": "Question", "type": "text"}],
    "steps": [
        {
            "id": "s_1",
            "kind": "agent",
            "name": "Work it out",
            "with": {
                "inline": {
                    "instructions": "Do sums.",
                    "model": "practice",
                    "tools": ["calculator"],
                },
                "message": [{"value": ["start", "question"]}],
            },
        },
        {
            "id": "s_2",
            "kind": "agent",
            "name": "Read it",
            "with": {
                "inline": {"model": "practice"},
                "message": [{"text": "Total: "}, {"value": ["s_1", "text"]}],
                "gives": [{"name": "total", "label": "Total", "type": "number"}],
            },
        },
    ],
    "result": [{"name": "total", "type": "number", "value": [{"value": ["s_2", "total"]}]}],
}


def run(journal: MemoryJournal, said: list[tuple[str, str]]) -> Any:
    def emit(path: str, attempt: int, offset: int, text: str) -> None:
        said.append((path, text))

    ports = Ports(clock=FakeClock(), models=Providers(), emit=emit)
    inputs = {"question": "What is 6 * 7?"}
    records = journal.records()
    for record in records:
        record.new = False
    return asyncio.run(drive(load_plan(PLAN), inputs, facts_of(), records, journal, ports))


def test_an_agent_streams_and_its_tool_call_is_a_step_of_its_own() -> None:
    journal, said = MemoryJournal(), []

    end = run(journal, said)

    assert isinstance(end, End)
    assert (end.state, end.error) == ("done", None)
    assert journal.states() == {"s_1": "succeeded", "s_1/call_1": "succeeded", "s_2": "succeeded"}
    assert journal.rows["s_1/call_1", 1].result == {"answer": 42}
    text = "".join(text for path, text in said if path == "s_1")
    assert text == journal.rows["s_1", 1].result["text"]
    assert journal.rows["s_1", 1].tokens_in > 0


def test_an_agent_that_is_taken_up_again_does_not_call_its_tool_twice() -> None:
    journal = MemoryJournal()
    run(journal, [])
    for path in ("s_1", "s_2"):
        del journal.rows[path, 1]
    journal.rows["s_1/call_1", 1].result = {"answer": 43}

    run(journal, [])

    assert "= 43" in journal.rows["s_1", 1].result["text"]
