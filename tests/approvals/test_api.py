"""A run asks people, and programs answer in their names."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from flask import Flask
from sqlalchemy.orm import Session

from tests.approvals.conftest import Change, answer, asked, letter, person, press, until
from tests.fixtures import Browser, House, Program
from tests.workflows.plans import plan_of
from webapp.access.permissions import Role
from webapp.access.tenancy import across_organizations
from webapp.kernel.db import writing
from webapp.organizations.models import Membership
from webapp.web.database import db

NOBODY = {"person": f"usr_{'0' * 26}"}


def test_what_was_approved_is_what_the_next_step_uses(
    waiting: Any, program: Any, finish: Any
) -> None:
    run = waiting(letter())
    one = asked(program)
    assert one["show"] == [
        {"name": "text", "label": "Text", "value": "Dear Ada, pay 12.50.", "may_edit": False}
    ]
    assert (one["step"], one["workflow"]["name"]) == ("Check the letter", "Letters")

    said = answer(program, one["id"], note="Fine.", shown=one["shown"])

    assert (said.status_code, said.get_json()["state"]) == (200, "decided")
    found = finish(run)
    assert found["state"] == "done", found["error"]
    assert found["result"] == {"sent": "Sent: Dear Ada, pay 12.50."}
    given = program.get(f"/api/v1/tasks/{run}.s_2").get_json()["output"]
    at = given.pop("at")
    assert at.endswith("+00:00")
    assert given == {
        "decision": "approve", "by": "Test", "note": "Fine.",
        "values": {"text": "Dear Ada, pay 12.50."}, "answers": {},
    }  # fmt: skip


def test_who_agrees_says_to_what_and_who_refuses_need_not(waiting: Any, program: Any) -> None:
    waiting(letter(edit=["text"]))
    one = asked(program)["id"]

    for unseen in (None, ""):
        said = answer(program, one, shown=unseen)
        assert (said.status_code, said.get_json()["errors"][0]["pointer"]) == (422, "/shown")
        assert "send back “shown”" in said.get_json()["errors"][0]["detail"]

    assert asked(program)["state"] == "open"
    assert answer(program, one, "reject", note="No.").status_code == 200


def test_nobody_agrees_to_what_was_edited_meanwhile(
    waiting: Any, program: Any, acme: House, signed_in: Any
) -> None:
    waiting(letter(edit=["text"], need={"n": 2}, who=[{"role": "viewer"}]))
    seen = asked(program)
    admin = signed_in(acme, Role.ADMIN)
    press(admin, f"/o/acme/approvals/{seen['id']}", **{"q-e.text": "Dear Ada, pay 900."})

    late = answer(program, seen["id"], shown=seen["shown"])

    assert (late.status_code, late.get_json()["code"]) == (409, "E-APPROVAL-CHANGED")
    assert answer(program, seen["id"]).get_json()["state"] == "decided"


@pytest.mark.parametrize("shown", ["0" * 64, "é"])
def test_an_answer_to_something_else_than_what_is_shown_is_refused(
    waiting: Any, program: Any, shown: str
) -> None:
    waiting(letter())

    said = answer(program, asked(program)["id"], shown=shown)

    assert (said.status_code, said.get_json()["code"]) == (409, "E-APPROVAL-CHANGED")


def test_a_run_that_asks_says_so_and_takes_no_worker(waiting: Any, program: Any) -> None:
    run = waiting(letter())

    found = program.get(f"/api/v1/runs/{run}").get_json()

    assert (found["state"], found["word"]) == ("waiting", "Waiting for a person")


def test_what_is_edited_is_sent_and_what_may_not_be_edited_is_refused(
    waiting: Any, program: Any, finish: Any
) -> None:
    run = waiting(letter(edit=["text"]))
    one = asked(program)["id"]

    refused = answer(program, one, values={"other": "x"})
    wrong = answer(program, one, values={"text": ["a", "b"]})
    answer(program, one, values={"text": "Dear Ada, pay 11."})

    assert refused.status_code == wrong.status_code == 422
    assert refused.get_json()["errors"][0]["pointer"] == "/values/other"
    assert finish(run)["result"] == {"sent": "Sent: Dear Ada, pay 11."}


def test_answers_to_questions_are_values_of_later_steps(
    waiting: Any, program: Any, finish: Any
) -> None:
    question = {"name": "amount", "label": "Amount", "type": "number", "max": 100}
    why = {"name": "why", "label": "Why", "required": False}
    plan = letter(questions=[question, why])
    plan["steps"][2]["with"]["text"] = [{"value": ["s_2", "answers", "amount"]}]
    run, one = waiting(plan), asked(program)["id"]

    assert asked(program)["questions"] == [{**question, "required": True}, {**why, "type": "text"}]

    assert answer(program, one).get_json()["errors"][0]["detail"] == "Amount is missing."
    assert answer(program, one, answers={"amount": 101}).status_code == 422
    assert answer(program, one, answers={"amount": 12, "b": 1}).status_code == 422
    answer(program, one, answers={"amount": 12})

    assert finish(run)["result"] == {"sent": "12"}


@pytest.mark.parametrize(
    ("decision", "code", "text"),
    [
        ("reject", "E-REJECTED", "Test rejected this: Too much."),
        ("changes", "E-CHANGES", "Test asked for changes: Too much."),
    ],
)
def test_a_refusal_fails_the_step_with_its_note(
    waiting: Any, program: Any, finish: Any, decision: str, code: str, text: str
) -> None:
    run = waiting(letter())

    answer(program, asked(program)["id"], decision, note="Too much.")

    found = finish(run)
    assert (found["state"], found["error"]["code"], found["error"]["text"]) == (
        "failed",
        code,
        text,
    )
    assert [task["path"] for task in found["tasks"]] == ["s_1", "s_2"]


def test_the_failure_branch_knows_why_it_was_rejected(
    waiting: Any, program: Any, finish: Any
) -> None:
    plan = letter()
    said = {"text": [{"value": ["s_2", "error", "text"]}]}
    plan["steps"][1]["on_failure"] = {
        "do": "branch", "steps": [{"id": "s_4", "kind": "text", "with": said}],
    }  # fmt: skip
    run = waiting(plan)

    answer(program, asked(program)["id"], "reject", note="Too much.")

    found = finish(run)
    assert (found["state"], found["problems"]) == ("done", True)
    branch = program.get(f"/api/v1/tasks/{run}.s_2!/s_4").get_json()
    assert branch["output"]["text"] == "Test rejected this: Too much."


def test_where_the_plan_asks_for_it_a_refusal_is_a_value(
    waiting: Any, program: Any, finish: Any
) -> None:
    run = waiting(letter(refusal="continue"))

    answer(program, asked(program)["id"], "changes", note="Shorter.")

    found = finish(run)
    assert (found["state"], found["problems"]) == ("done", False)
    given = program.get(f"/api/v1/tasks/{run}.s_2").get_json()["output"]
    assert (given["decision"], given["note"]) == ("changes", "Shorter.")


def test_changes_are_asked_for_until_it_is_right(
    waiting: Any, program: Any, runner: Any, finish: Any
) -> None:
    """What `back_to` would do is said with a repeat."""
    inner = letter(refusal="continue")["steps"][:2]
    approved = {"value": [{"value": ["s_2", "decision"]}], "is": "equal", "to": "approve"}
    loop = {
        "until": {"all": [approved]},
        "steps": inner,
        "carry": [
            {"name": "note", "first": "", "value": [{"value": ["s_2", "note"]}]},
        ],
    }
    inner[0]["with"]["text"] = [{"text": "Dear Ada. "}, {"value": ["s_9", "carry", "note"]}]
    run = waiting(plan_of({"id": "s_9", "kind": "repeat", "with": loop}))
    first = asked(program)

    answer(program, first["id"], "changes", note="Add a greeting.")
    while (found := program.get("/api/v1/approvals").get_json()["items"]) == []:
        until(program, run, "waiting", runner)

    assert found[0]["show"][0]["value"] == "Dear Ada. Add a greeting."
    answer(program, found[0]["id"])
    assert finish(run)["state"] == "done"


# Who


def test_all_must_agree_and_each_counts_once(
    waiting: Any, program: Any, acme: House, signed_in: Any
) -> None:
    who = [person(acme, Role.OWNER), person(acme, Role.ADMIN)]
    waiting(letter(who=who, need="all"))
    one = asked(program)["id"]
    admin = signed_in(acme, Role.ADMIN)

    first = answer(program, one).get_json()
    again = answer(program, one)

    assert (first["state"], first["agreed"], first["needed"]) == ("open", ["Test"], 2)
    assert (again.status_code, again.get_json()["agreed"]) == (200, ["Test"])
    page = admin.get(f"/o/acme/approvals/{one}").text
    assert "2 must agree, Test already." in page
    press(admin, f"/o/acme/approvals/{one}")
    found = program.get(f"/api/v1/approvals/{one}").get_json()
    assert (found["state"], found["by"]) == ("decided", "Admin of acme")


def test_who_has_left_is_not_counted_among_those_who_agreed(
    waiting: Any, program: Any, acme: House, signed_in: Any, leave: Leave
) -> None:
    who = [person(acme, role) for role in (Role.ADMIN, Role.OWNER, Role.MEMBER)]
    waiting(letter(who=who, need="all"))
    url = agree(signed_in(acme, Role.ADMIN))
    leave(Role.ADMIN)

    one = answer(program, url.rpartition("/")[2]).get_json()

    assert (one["state"], one["agreed"], one["needed"]) == ("open", ["Test"], 2)
    agree(signed_in(acme, Role.MEMBER))
    assert program.get(f"/api/v1/approvals/{one['id']}").get_json()["state"] == "decided"


def test_who_agreed_can_end_it_when_the_others_have_left(
    waiting: Any, program: Any, acme: House, signed_in: Any, leave: Leave
) -> None:
    waiting(letter(who=[person(acme, Role.ADMIN), person(acme, Role.MEMBER)], need="all"))
    agree(signed_in(acme, Role.ADMIN))
    leave(Role.MEMBER)

    url = agree(signed_in(acme, Role.ADMIN))

    found = program.get(f"/api/v1/approvals/{url.rpartition('/')[2]}").get_json()
    assert (found["state"], found["by"]) == ("decided", "Admin of acme")


def test_when_too_few_are_left_to_agree_page_and_api_say_so(
    waiting: Any, program: Any, owner: Browser, acme: House, signed_in: Any, leave: Leave
) -> None:
    both = [person(acme, Role.ADMIN), person(acme, Role.MEMBER)]
    run = waiting(letter(who=both, need={"n": 2}))
    page = f"/o/acme/runs/{run}"
    enough = owner.get(page).text
    url = agree(signed_in(acme, Role.ADMIN))

    leave(Role.MEMBER)

    one = program.get(f"/api/v1/approvals/{url.rpartition('/')[2]}").get_json()
    assert (one["needed"], one["reachable"], one["agreed"]) == (2, 1, ["Admin of acme"])
    said = "Only 1 of the people who are asked can answer</h3>"
    assert said in owner.get(page).text
    assert "Cancel the run, or bring in who is missing." not in enough


def test_who_started_it_and_is_asked_alone_reads_that_nobody_can_answer(
    waiting: Any, owner: Browser, acme: House
) -> None:
    run = waiting(letter(who=[person(acme, Role.OWNER)], not_starter=True))

    page = owner.get(f"/o/acme/runs/{run}").text

    assert "None of the people who are asked can answer" in page
    assert "somebody else answers" not in page


def agree(browser: Browser) -> str:
    """Agree to the one approval that is asked of whoever sits there; return its address."""
    [url] = re.findall(r'href="(/o/acme/approvals/apr_\w+)"', browser.get("/o/acme/approvals").text)
    browser.get(url)
    assert press(browser, url).status_code == 303
    return str(url)


Leave = Callable[[Role], None]


@pytest.fixture
def leave(app: Flask, acme: House) -> Leave:
    """Return a function with which somebody of Acme leaves it."""

    def go(role: Role) -> None:
        with app.app_context(), writing(), Session(db.engine) as session:
            with across_organizations(session, "a member leaves"):
                key = (acme.organization_id, acme.people[role])
                session.delete(session.get_one(Membership, key))
            session.commit()

    return go


def test_so_many_of_a_role_must_agree_and_one_may_reject(
    waiting: Any, program: Any, finish: Any, acme: House, signed_in: Any
) -> None:
    run = waiting(letter(who=[{"role": "viewer"}], need={"n": 3}))
    one = asked(program)["id"]
    for role in (Role.ADMIN, Role.MEMBER):
        press(signed_in(acme, role), f"/o/acme/approvals/{one}")
    assert program.get(f"/api/v1/approvals/{one}").get_json()["state"] == "open"

    answer(program, one, "reject")

    assert finish(run)["error"]["code"] == "E-REJECTED"


def test_what_is_asked_of_others_hides_nothing_that_is_asked_of_me(
    waiting: Any, program: Any, monkeypatch: pytest.MonkeyPatch, acme: House, signed_in: Any,
    runner: Any,
) -> None:  # fmt: skip
    monkeypatch.setattr("webapp.runs.approvals.MOST_READ", 2)
    run = waiting(letter(who=[{"starter": True}]))
    workflow = program.get(f"/api/v1/runs/{run}").get_json()["workflow"]["id"]
    admin = signed_in(acme, Role.ADMIN)
    admin.get(f"/o/acme/workflows/{workflow}/run")
    for n in range(3):
        begun = admin.submit(f"/o/acme/workflows/{workflow}/run", once=f"{n}" * 24)
        until(program, begun.location.rpartition("/")[2], "waiting", runner)

    assert asked(program)["run"] == run
    listed = admin.get("/o/acme/approvals").text
    assert len(set(re.findall(r"/o/acme/approvals/apr_\w+", listed))) == 3


def test_who_edits_asks_the_others_again(
    waiting: Any, program: Any, acme: House, signed_in: Any
) -> None:
    who = [person(acme, Role.OWNER), person(acme, Role.ADMIN)]
    waiting(letter(who=who, need="all", edit=["text"]))
    one = asked(program)["id"]
    answer(program, one)
    admin = signed_in(acme, Role.ADMIN)
    admin.get(f"/o/acme/approvals/{one}")

    press(admin, f"/o/acme/approvals/{one}", **{"q-e.text": "Dear Ada."})

    found = program.get(f"/api/v1/approvals/{one}").get_json()
    assert (found["state"], found["agreed"]) == ("open", ["Admin of acme"])
    assert found["show"][0]["value"] == "Dear Ada."
    assert answer(program, one).get_json()["state"] == "decided"


def test_with_four_eyes_whoever_started_it_may_not_answer_by_page_or_key(
    waiting: Any, program: Any, owner: Any, acme: House, signed_in: Any
) -> None:
    waiting(letter(who=[{"role": "admin"}], not_starter=True))
    assert program.get("/api/v1/approvals").get_json()["items"] == []
    admin = signed_in(acme, Role.ADMIN)
    [url] = [
        line.split('"')[1]
        for line in admin.get("/o/acme/approvals").text.split("href=")
        if line.startswith('"/o/acme/approvals/apr_')
    ]

    by_key = answer(program, url.rpartition("/")[2])
    assert (by_key.status_code, by_key.get_json()["code"]) == (403, "E-APPROVAL-STARTER")
    assert press(owner, url).status_code == 403
    assert "You started this run, so somebody else answers" in owner.get(url).text
    admin.get(url)
    assert press(admin, url).status_code == 303


def test_a_lower_role_and_another_organization_may_not_answer(
    waiting: Any, program: Any, acme: House, other: House, make_key: Any, member: Any
) -> None:
    waiting(letter())
    one = asked(program)["id"]
    member.get("/o/acme/approvals")
    assert press(member, f"/o/acme/approvals/{one}").status_code == 403

    program.key = make_key(other)
    assert answer(program, one).status_code == 404
    assert program.get(f"/api/v1/approvals/{one}").status_code == 404
    assert program.get("/api/v1/approvals").get_json()["items"] == []


# One answer


def test_an_answer_needs_an_idempotency_key_and_a_repeat_gets_the_same_answer(
    waiting: Any, program: Any
) -> None:
    waiting(letter())
    one = asked(program)["id"]
    url, key = f"/api/v1/approvals/{one}/decide", {"Idempotency-Key": str(uuid4())}
    said = {"decision": "approve", "shown": asked(program)["shown"]}

    assert program.post(url, json=said).status_code == 400
    first = program.post(url, json=said, headers=key)
    second = program.post(url, json=said, headers=key)

    assert first.data == second.data
    assert second.headers["Idempotency-Replayed"] == "true"


def test_of_many_who_answer_at_once_one_is_heard_and_the_run_goes_on_once(
    waiting: Any, program: Any, app: Flask, finish: Any
) -> None:
    run, one = waiting(letter()), asked(program)["id"]
    said: list[Any] = []

    def press(decision: str) -> None:
        mine = Program(app, app.response_class, use_cookies=False)
        mine.key = program.key
        said.append(answer(mine, one, decision).get_json())

    presses = [threading.Thread(target=press, args=(d,)) for d in ["approve", "reject"] * 4]
    for press_ in presses:
        press_.start()
    for press_ in presses:
        press_.join()

    assert len({answered["decision"] for answered in said}) == 1
    state = {"approve": "done", "reject": "failed"}[said[0]["decision"]]
    assert finish(run)["state"] == state
    events = program.get(f"/api/v1/runs/{run}/logs").get_json()["items"]
    assert [one["type"] for one in events].count("approval.answered") == 1
    assert [one["type"] for one in events].count("signal.received") == 1


def test_what_is_answered_already_says_who_and_when_without_an_error(
    waiting: Any, program: Any
) -> None:
    waiting(letter())
    one = asked(program)["id"]
    answer(program, one, note="Fine.")

    late = answer(program, one, "reject")

    found = late.get_json()
    assert (late.status_code, found["decision"], found["by"]) == (200, "approve", "Test")
    assert found["at"] is not None


def test_what_is_not_what_was_asked_is_blocked(waiting: Any, program: Any, change: Change) -> None:
    waiting(letter())
    one = asked(program)["id"]
    change(request_sha="0" * 64)

    blocked = answer(program, one)

    assert (blocked.status_code, blocked.get_json()["code"]) == (409, "E-APPROVAL-BLOCKED")


def test_an_unknown_decision_is_refused(waiting: Any, program: Any) -> None:
    waiting(letter())

    wrong = answer(program, asked(program)["id"], "maybe")

    assert wrong.get_json()["errors"][0]["pointer"] == "/decision"


def test_an_approval_in_a_lane_that_is_not_needed_any_more_asks_nobody(
    make_live: Any, start: Any, program: Any, finish: Any
) -> None:
    ask = letter()["steps"][1]
    ask["with"]["show"] = []
    lanes = [
        {"id": "a", "steps": [ask]},
        {"id": "b", "steps": [{"id": "s_5", "kind": "wait", "with": {"for_s": 2}}]},
    ]
    plan = plan_of({"id": "s_9", "kind": "parallel", "with": {"lanes": lanes, "until": "first"}})
    run = start(make_live(plan, "Lanes")).get_json()["id"]

    assert finish(run)["state"] == "done"
    assert program.get("/api/v1/approvals").get_json()["items"] == []


@pytest.mark.parametrize(
    ("who", "field"),
    [
        ({"who": [NOBODY]}, "/s_2/with/who/0"),
        ({"at_due": {"pass_to": [NOBODY]}}, "/s_2/with/at_due/pass_to/0"),
        ({"deputy": NOBODY}, "/s_2/with/deputy"),
    ],
)
def test_who_is_asked_must_belong_to_the_organization(
    program: Any, who: dict[str, Any], field: str
) -> None:
    made = program.post("/api/v1/workflows", json={"name": "A", "plan": letter(**who)})

    refused = program.post(f"/api/v1/workflows/{made.get_json()['id']}/live", json={})

    assert refused.status_code == 422
    [wrong] = refused.get_json()["errors"]
    assert (wrong["code"], wrong["pointer"]) == ("C-PERSON-GONE", field)


def test_somebody_of_another_organization_is_not_asked(program: Any, other: House) -> None:
    plan = letter(who=[person(other, Role.OWNER)])
    made = program.post("/api/v1/workflows", json={"name": "A", "plan": plan}).get_json()

    assert [one["code"] for one in made["checks"]] == ["C-PERSON-GONE"]
