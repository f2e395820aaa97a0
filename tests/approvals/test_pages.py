"""People answer on pages: on the run's, on the approval's own, and in time to take it back."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask

from tests.approvals.conftest import Change, Sweep, answer, ask, asked, letter, person, press, until
from tests.fixtures import Browser, House, SignedIn
from tests.workflows.counting import counted
from tests.workflows.plans import plan_of
from webapp.access.permissions import Role
from webapp.kernel.clock import now


def test_a_person_answers_on_the_page_of_the_run_and_the_run_goes_on_when_it_cannot_be_undone(
    waiting: Any, program: Any, owner: Browser, sweep: Sweep, change: Change, finish: Any
) -> None:
    run = waiting(letter())
    url, one = f"/o/acme/runs/{run}", asked(program)["id"]
    page = owner.get(url).text
    assert "Check the letter" in page
    assert "Dear Ada, pay 12.50." in page
    assert "http-equiv" not in page  # it must not come anew under somebody who writes

    said = press(owner, f"/o/acme/approvals/{one}", back=url)

    assert (said.status_code, said.headers["Location"]) == (303, url)
    assert "you can take it back" in owner.get(url).text
    sweep()
    assert program.get(f"/api/v1/runs/{run}").get_json()["state"] == "waiting"
    change(effective_at=now(), look_at=now())
    sweep()
    assert finish(run)["result"] == {"sent": "Sent: Dear Ada, pay 12.50."}
    assert "Owner of acme approved this on" in owner.get(f"/o/acme/approvals/{one}").text


def test_a_question_with_nothing_to_check_asks_for_the_answer_alone(
    waiting: Any, program: Any, owner: Browser
) -> None:
    waiting(plan_of(ask()))
    url = f"/o/acme/approvals/{asked(program)['id']}"

    assert "Your answer</h2>" in owner.get(url).text
    press(owner, url)
    page = owner.get(url).text
    assert "You approved this." in page
    assert "What was checked" not in page


def test_an_answer_can_be_taken_back_for_five_seconds(
    waiting: Any, program: Any, owner: Browser, sweep: Sweep, change: Change, finish: Any
) -> None:
    run, one = waiting(letter()), asked(program)["id"]
    url = f"/o/acme/approvals/{one}"
    owner.get(url)
    owner.submit(f"{url}/decide", decision="reject", note="No.")

    owner.submit(f"{url}/undo")

    assert "Taken back." in owner.get(url).text
    assert program.get(f"/api/v1/approvals/{one}").get_json()["state"] == "open"
    press(owner, url)
    change(effective_at=now() - timedelta(seconds=1))
    owner.submit(f"{url}/undo")
    assert "It was too late" in owner.get(url).text
    change(look_at=now())
    sweep()
    assert finish(run)["state"] == "done"


def test_what_is_edited_before_it_is_approved_changes_what_the_next_step_sends(
    waiting: Any, program: Any, owner: Browser, sweep: Sweep, change: Change, finish: Any
) -> None:
    run, one = waiting(letter(edit=["text"])), asked(program)["id"]
    url = f"/o/acme/approvals/{one}"
    owner.get(url)

    press(owner, url, **{"q-e.text": "Dear Ada,\r\npay 11."})
    change(effective_at=now(), look_at=now())
    sweep()

    assert finish(run)["result"] == {"sent": "Sent: Dear Ada,\npay 11."}


@pytest.mark.parametrize("number", [1e-7, 1e21, -12.5, 0])
def test_a_number_that_may_be_edited_is_approved_as_it_stands_there(
    waiting: Any, program: Any, owner: Browser, sweep: Sweep, change: Change, finish: Any,
    number: float,
) -> None:  # fmt: skip
    shown = {"name": "text", "label": "Text", "value": [{"value": ["start", "x"]}]}
    asks = letter(edit=["text"], show=[shown])
    asks["inputs"] = [{"name": "x", "type": "any", "default": number}]
    run, one = waiting(asks), asked(program)["id"]
    url = f"/o/acme/approvals/{one}"
    [typed] = re.findall(r'name="q-e.text"[^>]* value="([^"]+)"', owner.get(url).text)

    said = press(owner, url, **{"q-e.text": typed})

    assert said.status_code == 303
    change(effective_at=now(), look_at=now())
    sweep()
    assert finish(run)["state"] == "done"
    given = program.get(f"/api/v1/tasks/{run}.s_2").get_json()["output"]["values"]["text"]
    assert given == number


def test_line_ends_that_a_browser_changed_are_no_edit(
    waiting: Any, program: Any, owner: Browser, sweep: Sweep, change: Change, finish: Any
) -> None:
    plan = letter(edit=["text"])
    plan["steps"][0]["with"]["text"] = "Dear Ada,\rpay 12.50."
    run, one = waiting(plan), asked(program)["id"]
    url = f"/o/acme/approvals/{one}"

    press(owner, url, **{"q-e.text": "Dear Ada,\r\npay 12.50."})
    change(effective_at=now(), look_at=now())
    sweep()

    assert finish(run)["result"] == {"sent": "Sent: Dear Ada,\rpay 12.50."}


def test_what_is_wrong_stands_at_its_field_and_nothing_is_lost(
    waiting: Any, program: Any, owner: Browser
) -> None:
    questions = [
        {"name": "amount", "label": "Amount", "type": "number", "max": 100},
        {"name": "how", "label": "How", "type": "oneof", "of": ["Mail", "Letter"]},
    ]
    waiting(letter(questions=questions))
    url = f"/o/acme/approvals/{asked(program)['id']}"
    owner.get(url)

    wrong = press(owner, url, note="Hm.", **{"q-amount": "900"})

    assert wrong.status_code == 422
    assert "Amount must be at most 100" in wrong.text
    assert "How is missing" in wrong.text
    assert 'value="900"' in wrong.text
    assert "Hm.</textarea>" in wrong.text
    assert owner.submit(f"{url}/decide", note="Hm.").status_code == 422
    changes = owner.submit(f"{url}/decide", decision="changes")
    assert "Enter what is to be changed." in changes.text


def test_hidden_characters_are_written_out(waiting: Any, program: Any, owner: Browser) -> None:
    hostile = "pay\u202etxt.exe\u200b to \U000e0041<b>"
    asks: dict[str, Any] = {"name": "how", "label": "Ho\u200bw", "help": "No\u202ew"}
    asks |= {"type": "oneof", "of": ["no\u200bw", "later"]}
    plan = letter(
        show=[{"name": "text", "label": "To\u200fken", "value": hostile}], questions=[asks]
    )
    plan["steps"][1]["name"] = "Check\u202eit"
    waiting(plan)

    page = owner.get(f"/o/acme/approvals/{asked(program)['id']}").text

    assert "pay‹U+202E›txt.exe‹U+200B› to ‹U+E0041›&lt;b&gt;" in page
    assert "To‹U+200F›ken" in page
    assert "Check‹U+202E›it" in page
    for words in ("Ho‹U+200B›w", "No‹U+202E›w", "no‹U+200B›w"):
        assert words in page
    assert 'value="no\u200bw"' in page


def test_who_comes_second_is_told_who_was_first(
    waiting: Any, program: Any, owner: Browser, signed_in: Any, acme: House
) -> None:
    waiting(letter(who=[{"role": "admin"}]))
    url = f"/o/acme/approvals/{asked(program)['id']}"
    admin = signed_in(acme, Role.ADMIN)
    owner.get(url)
    press(owner, url)

    late = admin.submit(f"{url}/decide", decision="reject")

    assert late.status_code == 303
    assert "Owner of acme approved this already." in admin.get(url).text


def test_only_who_is_asked_may_answer_but_everybody_here_sees_it(
    waiting: Any, program: Any, member: Browser, viewer: Browser, acme: House, finish: Any
) -> None:
    waiting(letter(who=[person(acme, Role.VIEWER), person(acme, Role.OWNER)]))
    url = f"/o/acme/approvals/{asked(program)['id']}"

    page = member.get(url).text
    assert "Only those who are asked may answer: Viewer of acme and Owner of acme." in page
    assert 'name="decision"' not in page
    refused = press(member, url)
    assert refused.status_code == 403
    assert viewer.get("/o/acme/approvals").text.count("Check the letter") == 1
    assert "Nobody waits for you" in member.get("/o/acme/approvals").text
    assert press(viewer, url).status_code == 303


def test_another_organization_sees_nothing_of_it(
    waiting: Any, program: Any, stranger: Browser
) -> None:
    waiting(letter())
    one = asked(program)["id"]

    assert stranger.get(f"/o/other/approvals/{one}").status_code == 404
    assert press(stranger, f"/o/other/approvals/{one}").status_code == 404
    assert stranger.get(f"/o/acme/approvals/{one}").status_code == 404
    assert "Nobody waits for you" in stranger.get("/o/other/approvals").text


def test_a_form_that_showed_something_else_is_refused(
    waiting: Any, program: Any, owner: Browser, change: Change
) -> None:
    waiting(letter(edit=["text"]))
    url = f"/o/acme/approvals/{asked(program)['id']}"
    owner.get(url)
    change(values={"text": "Dear Ben."})

    press(owner, url, shown="0" * 64)

    assert "What is asked has changed while you were looking." in owner.get(url).text


@pytest.mark.parametrize("path", ["", "?part=live&after=1"])
def test_the_box_is_on_the_page_of_the_run_also_while_somebody_watches(
    waiting: Any, owner: Browser, path: str
) -> None:
    run = waiting(letter())

    assert "Dear Ada, pay 12.50." in owner.get(f"/o/acme/runs/{run}{path}").text


def test_a_run_that_is_cancelled_asks_nobody_any_more(
    waiting: Any, program: Any, owner: Browser, runner: Any
) -> None:
    run, one = waiting(letter()), asked(program)["id"]

    program.post(f"/api/v1/runs/{run}/cancel")

    until(program, run, "cancelled", runner)
    assert program.get(f"/api/v1/approvals/{one}").get_json()["state"] == "cancelled"
    owner.get(f"/o/acme/approvals/{one}")
    said = press(owner, f"/o/acme/approvals/{one}")
    assert said.status_code == 303
    shown = owner.get(f"/o/acme/approvals/{one}").text
    assert "Nobody is asked any more" in shown
    assert "answered this already" not in shown
    late = answer(program, one)
    assert (late.status_code, late.get_json()["code"]) == (409, "E-APPROVAL-GONE")


def test_the_list_asks_few_questions_however_much_is_asked(
    waiting: Any, app: Flask, owner: Browser, make_live: Any, start: Any, program: Any, runner: Any
) -> None:
    waiting(letter())
    with counted(app) as first:
        owner.get("/o/acme/approvals")
    workflow = make_live(letter(), "More letters")
    runs = [start(workflow).get_json()["id"] for _ in range(4)]
    for run in runs:
        until(program, run, "waiting", runner)

    with counted(app) as second:
        page = owner.get("/o/acme/approvals").text

    assert page.count("Check the letter") == 5
    assert len(second) <= len(first) + 1  # the plan of the other workflow
    assert len(second) < 14


def test_what_went_in_and_the_details_of_the_step_are_shown(waiting: Any, owner: Browser) -> None:
    run = waiting(letter())

    for view in ("in", "details"):
        page = owner.get(f"/o/acme/runs/{run}?step=s_2&view={view}")
        assert page.status_code == 200
        assert "Waiting for a person" in page.text


def test_a_rehearsal_asks_nobody_and_goes_on_with_what_it_would_have_shown(
    make_live: Any, start: Any, program: Any, finish: Any
) -> None:
    run = start(make_live(letter(), "Letters"), rehearsal=True).get_json()["id"]

    assert finish(run)["result"] == {"sent": "Sent: Dear Ada, pay 12.50."}
    assert program.get("/api/v1/approvals").get_json()["items"] == []


def test_a_run_that_is_paused_takes_the_answer_when_it_is_resumed(
    waiting: Any, program: Any, finish: Any, runner: Any
) -> None:
    run, one = waiting(letter()), asked(program)["id"]
    assert program.post(f"/api/v1/runs/{run}/pause").status_code == 200

    answer(program, one)

    assert program.get(f"/api/v1/runs/{run}").get_json()["state"] == "paused"
    assert program.post(f"/api/v1/runs/{run}/resume").status_code == 200
    assert finish(run)["state"] == "done"


# How many wait, beside the name of the page


def badge(page: str) -> str:
    menu = page.partition('<nav class="side"')[2].partition("</nav>")[0]
    found = re.search(r'class="badge">([^<]+)<', menu)
    return found[1] if found else ""


def test_the_menu_of_every_page_says_how_many_wait_for_whoever_looks(
    make_live: Any, start: Any, runner: Any, program: Any, owner: Browser, signed_in: SignedIn,
    acme: House, other: House, app: Flask,
) -> None:  # fmt: skip
    admin, stranger = signed_in(acme, Role.ADMIN), signed_in(other, Role.OWNER)
    assert badge(owner.get("/o/acme/runs").text) == ""
    workflow = make_live(letter(), "Letters")
    for _ in range(2):
        until(program, start(workflow).get_json()["id"], "waiting", runner)

    with counted(app) as asked_of_it:
        page = owner.get("/o/acme/workflows").text
    part = owner.get("/o/acme/runs?part=list").text

    assert badge(page) == "2"
    assert "waiting for you" in page
    assert len([one for one in asked_of_it if "approval" in one]) == 1
    assert "waiting for you" in owner.get("/o/acme/menu").text
    assert "waiting for you" not in part
    assert badge(admin.get("/o/acme/runs").text) == ""  # the owners are asked
    assert badge(stranger.get("/o/other/runs").text) == ""
    one = program.get("/api/v1/approvals").get_json()["items"][0]["id"]
    owner.get(f"/o/acme/approvals/{one}")
    press(owner, f"/o/acme/approvals/{one}")
    assert badge(owner.get("/o/acme/runs").text) == "1"


def test_the_count_knows_who_started_who_has_agreed_and_who_is_kept_out(
    make_live: Any, owner: Browser, program: Any, runner: Any, acme: House, signed_in: SignedIn
) -> None:
    admin = signed_in(acme, Role.ADMIN)

    def begin(**settings: Any) -> None:
        workflow = make_live(letter(**settings), f"Letters {sorted(settings)}")
        form = owner.get(f"/o/acme/workflows/{workflow}/run")
        assert form.status_code == 200
        said = owner.submit(f"/o/acme/workflows/{workflow}/run")
        until(program, said.headers["Location"].rpartition("/")[2], "waiting", runner)

    def counts() -> tuple[str, str]:
        return badge(owner.get("/o/acme/runs").text), badge(admin.get("/o/acme/runs").text)

    begin(who=[{"starter": True}])
    assert counts() == ("1", "")
    begin(who=[{"role": "admin"}], not_starter=True)
    assert counts() == ("1", "1")
    begin(who=[person(acme, Role.OWNER), person(acme, Role.ADMIN)], need="all")
    assert counts() == ("2", "2")
    newest = re.findall(r"approvals/(apr_\w+)", owner.get("/o/acme/approvals").text)
    press(owner, f"/o/acme/approvals/{newest[0]}")
    assert counts() == ("1", "2")
