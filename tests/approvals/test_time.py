"""Until when people may answer, and what happens when nobody does."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest

from tests.approvals.conftest import Change, Sweep, answer, asked, letter, person, press, until
from tests.fixtures import Browser, House
from webapp.access.permissions import Role
from webapp.kernel.clock import now

HOUR = {"in_s": 3600}


def pass_time(change: Change) -> None:
    """An hour later: the due time is over."""
    past = now() - timedelta(seconds=1)
    change(due_at=past, look_at=past)


def output(program: Any, run: str) -> Any:
    return program.get(f"/api/v1/tasks/{run}.s_2").get_json()["output"]


def test_nobody_answered_and_the_step_fails(
    waiting: Any, program: Any, sweep: Sweep, change: Change, finish: Any
) -> None:
    run, one = waiting(letter(due=HOUR)), asked(program)["id"]
    sweep()
    assert asked(program)["id"] == one
    pass_time(change)

    sweep()
    sweep()

    found = finish(run)
    assert (found["state"], found["error"]["code"]) == ("failed", "E-APPROVAL-LATE")
    assert found["error"]["text"].startswith("Nobody answered by ")
    assert program.get(f"/api/v1/approvals/{one}").get_json()["state"] == "expired"
    events = [line["type"] for line in program.get(f"/api/v1/runs/{run}/logs").get_json()["items"]]
    assert events.count("signal.received") == 1


def test_the_run_goes_on_without_an_answer_where_the_plan_says_so(
    waiting: Any, program: Any, sweep: Sweep, change: Change, finish: Any
) -> None:
    run = waiting(letter(due=HOUR, at_due="continue"))
    pass_time(change)
    sweep()

    assert finish(run)["result"] == {"sent": "Sent: Dear Ada, pay 12.50."}
    given = output(program, run)
    assert (given["decision"], given["by"]) == ("late", None)


def test_silence_counts_as_rejected_where_the_plan_says_so(
    waiting: Any, program: Any, sweep: Sweep, change: Change, finish: Any
) -> None:
    run = waiting(letter(due=HOUR, at_due="reject"))
    pass_time(change)
    sweep()

    found = finish(run)
    assert found["error"]["code"] == "E-REJECTED"
    assert "which counts as a rejection" in found["error"]["text"]


def test_it_is_passed_to_others_who_have_as_long_and_then_it_fails(
    waiting: Any, program: Any, sweep: Sweep, change: Change, finish: Any, acme: House,
    signed_in: Any,
) -> None:  # fmt: skip
    to = [person(acme, Role.MEMBER)]
    run = waiting(letter(due=HOUR, at_due={"pass_to": to}))
    one = asked(program)["id"]
    member = signed_in(acme, Role.MEMBER)
    assert "Nobody waits for you" in member.get("/o/acme/approvals").text
    pass_time(change)
    sweep()

    assert "Check the letter" in member.get("/o/acme/approvals").text
    assert program.get("/api/v1/approvals").get_json()["items"] == []
    assert answer(program, one).status_code == 403
    pass_time(change)
    sweep()
    assert finish(run)["error"]["code"] == "E-APPROVAL-LATE"


def test_who_agreed_before_it_was_passed_on_is_not_counted_among_the_others(
    waiting: Any, program: Any, sweep: Sweep, change: Change, acme: House, signed_in: Any
) -> None:
    first = [person(acme, role) for role in (Role.OWNER, Role.ADMIN)]
    then = [person(acme, role) for role in (Role.MEMBER, Role.VIEWER)]
    waiting(letter(who=first, need="all", due=HOUR, at_due={"pass_to": then}))
    one = asked(program)["id"]
    assert answer(program, one).get_json()["agreed"] == ["Test"]
    pass_time(change)
    sweep()

    for role, state in ((Role.MEMBER, "open"), (Role.VIEWER, "decided")):
        browser = signed_in(acme, role)
        browser.get(f"/o/acme/approvals/{one}")
        press(browser, f"/o/acme/approvals/{one}")
        assert program.get(f"/api/v1/approvals/{one}").get_json()["state"] == state


def test_an_answer_after_the_time_is_refused_before_and_after_the_machine_has_looked(
    waiting: Any, program: Any, change: Change, sweep: Sweep
) -> None:
    waiting(letter(due=HOUR))
    one = asked(program)["id"]
    pass_time(change)

    late = answer(program, one)

    assert (late.status_code, late.get_json()["code"]) == (409, "E-APPROVAL-LATE")

    sweep()

    late = answer(program, one)
    assert (late.status_code, late.get_json()["code"]) == (409, "E-APPROVAL-LATE")


def test_an_answer_that_can_still_be_taken_back_when_the_time_is_over_counts(
    waiting: Any, program: Any, owner: Any, sweep: Sweep, change: Change, finish: Any
) -> None:
    run, url = waiting(letter(due=HOUR)), f"/o/acme/approvals/{asked(program)['id']}"
    owner.get(url)
    press(owner, url)
    pass_time(change)
    change(effective_at=now())

    sweep()

    assert finish(run)["state"] == "done"


def test_a_moment_until_which_to_answer(
    waiting: Any, program: Any, make_live: Any, start: Any, finish: Any
) -> None:
    waiting(letter(due={"at": "2999-03-04"}))
    assert asked(program)["due_at"].startswith("2999-03-04T00:00:00")

    said = [{"value": ["s_1", "text"]}]
    odd = start(make_live(letter(due={"at": said}), "Odd")).get_json()["id"]

    found = finish(odd)
    assert found["error"]["code"] == "E-WAIT"
    assert "“Dear Ada, pay 12.50.” is no date and no time" in found["error"]["text"]


def test_a_deputy_may_answer_too(
    waiting: Any, program: Any, acme: House, signed_in: Any, sweep: Sweep, change: Change,
    finish: Any,
) -> None:  # fmt: skip
    run = waiting(letter(deputy=person(acme, Role.MEMBER)))
    member = signed_in(acme, Role.MEMBER)
    url = f"/o/acme/approvals/{asked(program)['id']}"
    member.get(url)

    assert press(member, url).status_code == 303

    change(look_at=now(), effective_at=now())
    sweep()
    assert finish(run)["state"] == "done"


@pytest.mark.parametrize("times", [3])
def test_looking_again_and_again_changes_nothing(
    waiting: Any, program: Any, sweep: Sweep, change: Change, runner: Any, times: int
) -> None:
    run = waiting(letter(due=HOUR, remind_s=600))
    for _ in range(times):
        change(look_at=now())
        sweep()

    assert asked(program)["state"] == "open"
    until(program, run, "waiting", runner)


def test_what_was_edited_and_taken_back_goes_nowhere_when_nobody_answers_then(
    waiting: Any, program: Any, owner: Browser, sweep: Sweep, change: Change, finish: Any
) -> None:
    run = waiting(letter(edit=["text"], due=HOUR, at_due="continue"))
    one = asked(program)["id"]
    url = f"/o/acme/approvals/{one}"
    press(owner, url, **{"q-e.text": "Pay 999."})

    owner.submit(f"{url}/undo")

    assert asked(program)["show"][0]["value"] == "Dear Ada, pay 12.50."
    pass_time(change)
    sweep()
    assert finish(run)["result"] == {"sent": "Sent: Dear Ada, pay 12.50."}


def test_what_one_of_two_edited_goes_nowhere_when_the_other_does_not_answer(
    waiting: Any, program: Any, sweep: Sweep, change: Change, finish: Any, acme: House,
    owner: Browser,
) -> None:  # fmt: skip
    both = [person(acme, role) for role in (Role.OWNER, Role.ADMIN)]
    plan = letter(who=both, need={"n": 2}, edit=["text"], due=HOUR, at_due="continue")
    run, one = waiting(plan), asked(program)["id"]
    assert answer(program, one, values={"text": "Pay 777."}).get_json()["agreed"] == ["Test"]

    pass_time(change)
    sweep()

    assert finish(run)["result"] == {"sent": "Sent: Dear Ada, pay 12.50."}
    page = owner.get(f"/o/acme/approvals/{one}").text
    assert "Pay 777." not in page
    assert re.search(r"Too few agreed by [^:]+:\d\d[^:]*: only Test\.", page)


def test_an_edit_that_another_one_rejects_goes_nowhere(
    waiting: Any, program: Any, sweep: Sweep, change: Change, finish: Any, acme: House,
    signed_in: Any,
) -> None:  # fmt: skip
    both = [person(acme, role) for role in (Role.OWNER, Role.ADMIN)]
    plan = letter(who=both, need={"n": 2}, edit=["text"], refusal="continue")
    run, one = waiting(plan), asked(program)["id"]
    answer(program, one, values={"text": "Pay 777."})

    press(signed_in(acme, Role.ADMIN), f"/o/acme/approvals/{one}", "reject")
    change(effective_at=now(), look_at=now())
    sweep()

    assert finish(run)["result"] == {"sent": "Sent: Dear Ada, pay 12.50."}
    assert output(program, run)["decision"] == "reject"


def test_when_too_few_have_agreed_the_run_says_who_has(
    waiting: Any, program: Any, sweep: Sweep, change: Change, finish: Any, acme: House
) -> None:
    both = [person(acme, role) for role in (Role.OWNER, Role.ADMIN)]
    run, one = waiting(letter(who=both, need="all", due=HOUR)), asked(program)["id"]
    answer(program, one)

    pass_time(change)
    sweep()

    said = finish(run)["error"]["text"]
    assert said.startswith("Too few agreed by ")
    assert said.endswith("(only Test), so the run stopped here.")
