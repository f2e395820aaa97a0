"""People ask for changes, and the steps before them are done again, in rounds."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.approvals.conftest import Change, Sweep, answer, ask, asked, until
from tests.fixtures import Browser
from tests.workflows.plans import plan_of
from webapp.kernel.clock import now

NOTE = "Shorter, please."


def written(**settings: Any) -> dict[str, Any]:
    """An agent that writes, a person who may send it back, and a step that uses the newest."""
    inline = {"instructions": "Repeat what you are told.", "model": "practice"}
    agent = {"inline": inline, "message": "Dear Ada, pay 12.50."}
    shown = {"name": "text", "label": "Text", "value": [{"value": ["s_1", "text"]}]}
    sent = [{"value": ["s_2", "values", "text"]}]
    return plan_of(
        {"id": "s_1", "kind": "agent", "name": "Write", "with": agent},
        ask(**{"show": [shown], "back_to": "s_1", **settings}),
        {"id": "s_3", "kind": "text", "name": "Send", "with": {"text": sent}},
        result=[
            {"name": "sent", "label": "Sent", "type": "text", "value": [{"value": ["s_3", "text"]}]}
        ],
    )


def test_a_program_asks_for_changes_and_approves_what_came_of_them(
    waiting: Any, program: Any, runner: Any, finish: Any
) -> None:
    run = waiting(written())
    first = asked(program)
    assert (first["round"], first["rounds"], first["before"]) == (1, 3, [])

    answer(program, first["id"], "changes", note=NOTE)
    until(program, run, "waiting", runner)
    second = eventually_asked(program, "s_2#2/s_2", runner)

    assert (second["round"], second["step"]) == (2, "Check the letter")
    assert [(one["round"], one["by"], one["note"]) for one in second["before"]] == [
        (1, "Test", NOTE)
    ]
    assert second["id"] != first["id"]
    answer(program, second["id"])
    done = finish(run)
    assert done["state"] == "done", done["error"]
    tasks = {one["path"]: one for one in done["tasks"]}
    assert sorted(tasks) == ["s_1", "s_2", "s_2#2/s_1", "s_2#2/s_2", "s_3"]
    once, again = (program.get(f"/api/v1/tasks/{run}.{at}").get_json() for at in PATHS)
    assert NOTE not in str(once["input"])
    assert NOTE in str(again["input"])
    assert done["result"]["sent"] == second["show"][0]["value"]


PATHS = ("s_1", "s_2%232%2Fs_1")


def eventually_asked(program: Any, path: str, runner: Any) -> dict[str, Any]:
    for _ in range(500):
        found = program.get("/api/v1/approvals").get_json()["items"]
        if [one["path"] for one in found] == [path]:
            return dict(found[0])
        runner.wake()
        time.sleep(0.02)
    raise AssertionError(f"nobody is asked at {path}")


def test_rounds_that_are_used_up_fail_the_run_and_it_says_why(
    waiting: Any, program: Any, runner: Any, finish: Any, owner: Browser
) -> None:
    run = waiting(written(rounds=2))
    answer(program, asked(program)["id"], "changes", note=NOTE)
    second = eventually_asked(program, "s_2#2/s_2", runner)
    page = owner.get(f"/o/acme/approvals/{second['id']}").text
    assert "This is the last round: if changes are asked for, the step fails." in page

    answer(program, second["id"], "changes", note="Still too long.")

    failed = finish(run)
    assert (failed["state"], failed["error"]["code"]) == ("failed", "E-CHANGES")
    assert "in the last of 2 rounds" in failed["error"]["text"]
    page = owner.get(f"/o/acme/runs/{run}").text
    assert "Failed at step 2" in page
    assert "Still too long." in page


def test_a_person_sends_it_back_on_the_page_and_the_next_who_looks_sees_why(
    waiting: Any, program: Any, owner: Browser, sweep: Sweep, change: Change, runner: Any
) -> None:
    run = waiting(written())
    one = asked(program)["id"]
    assert "Round 1 of 3" in owner.get(f"/o/acme/approvals/{one}").text

    owner.submit(f"/o/acme/approvals/{one}/decide", decision="changes", note=f"<b>{NOTE}</b>")
    change(effective_at=now(), look_at=now())
    sweep()
    second = eventually_asked(program, "s_2#2/s_2", runner)

    for url in (f"/o/acme/approvals/{second['id']}", f"/o/acme/runs/{run}"):
        page = owner.get(url).text
        assert "Round 2 of 3" in page
        assert "Round 1: Owner of acme asked for changes" in page
        assert f"&lt;b&gt;{NOTE}&lt;/b&gt;" in page
    assert "<dt>Step</dt><dd>1 of 3</dd>" in owner.get(f"/o/acme/runs/{run}").text
    told = program.get(f"/api/v1/runs/{run}").get_json()["steps"]
    assert told == {"done": 1, "of": 3}


def test_the_page_of_the_run_shows_rounds_and_leads_into_them(
    waiting: Any, program: Any, owner: Browser, runner: Any, finish: Any
) -> None:
    run = waiting(written())
    for path in ("s_2#2/s_2", "s_2#3/s_2"):
        answer(program, asked(program)["id"], "changes", note=NOTE)
        eventually_asked(program, path, runner)
    page = owner.get(f"/o/acme/runs/{run}").text
    lines = page.partition('id="lines"')[2]
    assert "Round 3 of 3" in lines
    assert "1 of 3</" in page  # the approval is not behind the run
    answer(program, asked(program)["id"])
    finish(run)

    page = owner.get(f"/o/acme/runs/{run}").text
    second = owner.get(f"/o/acme/runs/{run}?step=s_2%232/s_1&view=talk").text
    sent = owner.get(f"/o/acme/runs/{run}?step=s_3&view=in").text

    assert [f"Round {n}" in page for n in (1, 2, 3)] == [False, True, True]
    assert "Write, round 2</h2>" in second
    assert NOTE in second
    assert "Round 3" in sent  # the practice model repeats what it was told last


def test_a_run_begins_again_from_a_round(
    waiting: Any, program: Any, owner: Browser, runner: Any, finish: Any
) -> None:
    run = waiting(written())
    answer(program, asked(program)["id"], "changes", note=NOTE)
    second = eventually_asked(program, "s_2#2/s_2", runner)
    answer(program, second["id"], "reject", note="No.")
    assert finish(run)["state"] == "failed"

    page = owner.get(f"/o/acme/runs/{run}/again?from=s_2%232/s_2").text
    assert "Try “Check the letter” in step 2, round 2 again" in page
    made = owner.submit(f"/o/acme/runs/{run}/again", **{"from": "s_2#2/s_2"})
    fresh = made.headers["Location"].rpartition("/")[2]

    third = eventually_asked(program, "s_2#2/s_2", runner)
    assert third["run"] == fresh
    assert (third["round"], third["before"][0]["note"]) == (2, NOTE)
    answer(program, third["id"])
    done = finish(fresh)
    assert done["state"] == "done", done["error"]
    states = {one["path"]: one["state"] for one in done["tasks"]}
    assert states == {
        "s_1": "reused", "s_2": "reused", "s_2#2/s_1": "reused", "s_2#2/s_2": "succeeded",
        "s_3": "succeeded",
    }  # fmt: skip


@pytest.mark.parametrize("rounds", [0, 11])
def test_rounds_are_from_one_to_ten(program: Any, rounds: Any) -> None:
    made = program.post("/api/v1/workflows", json={"name": "Odd", "plan": written(rounds=rounds)})

    checks = made.get_json()["checks"]
    assert ("s_2", "with.rounds") in [(one["step"], one["field"]) for one in checks]
