"""A run asks people, and programs answer in their names."""

from __future__ import annotations

from typing import Any

from tests.approvals.conftest import answer, asked, letter


def test_what_was_approved_is_what_the_next_step_uses(
    waiting: Any, program: Any, finish: Any
) -> None:
    run = waiting(letter())
    one = asked(program)

    said = answer(program, one["id"], note="Fine.")

    assert (said.status_code, said.get_json()["state"]) == (200, "decided")
    found = finish(run)
    assert found["state"] == "done", found["error"]
    assert found["result"] == {"sent": "Sent: Dear Ada, pay 12.50."}
    step = program.get(f"/api/v1/tasks/{run}.s_2").get_json()
    assert step["output"]["decision"] == "approve"
    assert step["output"]["note"] == "Fine."
