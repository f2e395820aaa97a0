"""People are asked by mail, and answer with one press, without signing in."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from jobs.base import Machine
from jobs.deliveries import relay
from tests.approvals.conftest import Change, Sweep, answer, asked, letter, person, press
from tests.approvals.post import PostOffice, part
from tests.conftest import test_settings
from tests.fixtures import Browser, House
from webapp.access.permissions import Role
from webapp.access.tenancy import across_organizations
from webapp.kernel.clock import now
from webapp.kernel.db import writing
from webapp.kernel.hints import Ring, Tell
from webapp.kernel.outbox import Delivery
from webapp.kernel.settings import Settings
from webapp.runs.models import ApprovalPerson
from webapp.web.database import db


@pytest.fixture
def post() -> Iterator[PostOffice]:
    made = PostOffice()
    yield made
    made.close()


@pytest.fixture
def settings(database_url: str, redis_url: str, tmp_path: Path, post: PostOffice) -> Settings:
    return test_settings(tmp_path, database_url, REDIS_URL=redis_url, SMTP_URL=post.url)


Deliver = Callable[[], int]


@pytest.fixture
def deliver(sweep: Sweep, machine: Machine) -> Deliver:
    """Return a function that tells whoever is to be told, and sends the mails."""

    def do() -> int:
        sweep()
        return relay(machine)

    return do


def link(mail: Any) -> str:
    [found] = set(re.findall(r"http://[^\s\"<]+(/approve/[^\s\"<]+)", part(mail, "plain")))
    return str(found)


def test_who_is_asked_gets_a_mail_with_everything_that_is_asked(
    waiting: Any, deliver: Deliver, post: PostOffice, acme: House
) -> None:
    waiting(letter(who=[person(acme, Role.OWNER), person(acme, Role.VIEWER)], due={"in_s": 3600}))

    assert deliver() == 2
    assert deliver() == 0

    mails = sorted(post.mails, key=lambda mail: str(mail["To"]))
    assert [mail["To"] for mail in mails] == ["owner@acme.example", "viewer@acme.example"]
    assert mails[0]["Subject"] == "Approve: Check the letter"
    assert mails[0]["From"] == "Deckhand <desk@acme.example>"
    for kind in ("plain", "html"):
        text = part(mails[0], kind)
        assert "Dear Ada, pay 12.50." in text
        assert "“Letters” waits for your answer" in text
        assert "Answer until" in text
        assert link(mails[0]) in text
    assert link(mails[0]) != link(mails[1])


def test_the_link_needs_one_press_and_no_session(
    waiting: Any, deliver: Deliver, post: PostOffice, guest: Browser, program: Any, sweep: Sweep,
    change: Change, finish: Any,
) -> None:  # fmt: skip
    run, one = waiting(letter()), asked(program)["id"]
    deliver()
    [mail] = post.mails
    url = link(mail)

    for _ in range(3):  # as scanners of mails do
        page = guest.get(url)
        assert guest.head(url).status_code == 200
    assert (page.status_code, page.headers["Cache-Control"]) == (200, "no-store")
    assert "You answer as Owner of acme, by the link of a mail." in page.text
    assert program.get(f"/api/v1/approvals/{one}").get_json()["state"] == "open"
    answered = press(guest, url)

    assert (answered.status_code, answered.headers["Location"]) == (303, url)
    assert "you can take it back" in guest.get(url).text
    change(look_at=now(), effective_at=now())
    sweep()
    assert finish(run)["state"] == "done"
    assert "Owner of acme approved this on" in guest.get(url).text
    assert "by the link of a mail" in guest.get(url).text
    again = guest.submit(f"{url}/decide", decision="reject")
    assert again.status_code == 303
    assert program.get(f"/api/v1/approvals/{one}").get_json()["decision"] == "approve"


SECRETS = ("Dear Ada", "Check the letter", "Letters", "Shorter, please.")


def test_after_the_decision_the_link_says_who_decided_and_nothing_of_what_was_asked(
    waiting: Any, deliver: Deliver, post: PostOffice, guest: Browser, program: Any, owner: Browser,
    stranger: Browser,
) -> None:  # fmt: skip
    waiting(letter())
    one = asked(program)
    deliver()
    url = link(post.mails[0])
    assert "Dear Ada, pay 12.50." in guest.get(url).text
    answer(program, one["id"], "reject", note="Shorter, please.")

    for somebody in (guest, stranger):
        page = somebody.get(url).text
        pressed = somebody.submit(f"{url}/decide").text
        for text in (page, pressed):
            assert "This is over" in text
            assert "rejected this on" in text
            assert not [word for word in (*SECRETS, "/o/acme") if word in text]
    assert f'href="/o/acme/approvals/{one["id"]}"' in owner.get(url).text


def test_when_its_time_is_over_the_link_says_so_before_anybody_has_looked_after_it(
    waiting: Any, deliver: Deliver, post: PostOffice, guest: Browser, program: Any, change: Change,
    sweep: Sweep,
) -> None:  # fmt: skip
    run = waiting(letter(due={"in_s": 3600}))
    deliver()
    url = link(post.mails[0])
    assert "Dear Ada, pay 12.50." in guest.get(url).text
    past = now() - timedelta(seconds=1)
    change(due_at=past, look_at=past)

    page = guest.get(url).text
    pressed = press(guest, url)
    told = guest.get(pressed.headers["Location"]).text
    sweep()
    later = guest.get(url).text

    assert "The time to answer was over on" in page
    assert "The time to answer is over." in told
    assert "Nobody answered by" in later
    for text in (page, told, later):
        assert not [word for word in SECRETS if word in text]
    assert "approved" not in str(program.get(f"/api/v1/runs/{run}/logs").get_json())


def test_whom_it_was_passed_on_from_sees_no_more_of_it(
    waiting: Any, deliver: Deliver, post: PostOffice, guest: Browser, change: Change, acme: House
) -> None:
    then = {"pass_to": [{"role": "owner"}]}
    waiting(letter(who=[person(acme, Role.MEMBER)], due={"in_s": 3600}, at_due=then))
    deliver()
    [url] = [link(mail) for mail in post.mails if mail["To"] == "member@acme.example"]
    past = now() - timedelta(seconds=1)
    change(due_at=past, look_at=past)
    deliver()

    [new] = [link(mail) for mail in post.mails if mail["To"] == "owner@acme.example"]
    assert "This is asked of owners now." in guest.get(url).text
    assert "Dear Ada" not in guest.get(url).text
    assert "Dear Ada, pay 12.50." in guest.get(new).text


class Heard:
    """A bell that remembers what it was told."""

    def __init__(self) -> None:
        self.hints: list[Ring | Tell] = []

    def send(self, hints: list[Ring | Tell]) -> None:
        self.hints += hints


def test_pages_hear_of_an_answer_by_mail_as_soon_as_of_one_on_a_page(
    waiting: Any, deliver: Deliver, post: PostOffice, guest: Browser, app: Flask
) -> None:
    run = waiting(letter())
    deliver()
    url = link(post.mails[0])
    guest.get(url)
    bell = app.extensions["bell"] = Heard()

    press(guest, url)

    told = [hint for hint in bell.hints if isinstance(hint, Tell)]
    assert (f"run:{run}", "approval.answered") in [(one.room, one.type) for one in told]


def test_an_answer_by_mail_can_be_taken_back_too(
    waiting: Any, deliver: Deliver, post: PostOffice, guest: Browser, program: Any
) -> None:
    waiting(letter())
    deliver()
    url = link(post.mails[0])
    guest.get(url)
    guest.submit(f"{url}/decide", decision="reject")

    guest.submit(f"{url}/undo")

    assert asked(program)["state"] == "open"
    assert 'name="decision"' in guest.get(url).text


def test_a_link_that_is_not_whole_opens_nothing(
    waiting: Any, deliver: Deliver, post: PostOffice, guest: Browser, program: Any
) -> None:
    waiting(letter())
    deliver()
    url = link(post.mails[0])
    guest.get("/signin")

    for wrong in (url[:-1], f"{url}x", re.sub("apr_.", "apr_7", url), "/approve/1/1"):
        assert guest.get(wrong).status_code == 410, wrong
        assert press(guest, wrong).status_code == 410
    assert asked(program)["state"] == "open"


def test_the_link_stands_nowhere_but_in_the_mail(
    waiting: Any, deliver: Deliver, post: PostOffice, app: Flask
) -> None:
    waiting(letter())
    deliver()
    token = link(post.mails[0]).rpartition(".")[2].encode()

    with app.app_context(), Session(db.engine) as session:
        payloads = [str(row.payload) for row in session.scalars(select(Delivery))]
        with across_organizations(session, "a test looks"):
            [kept] = session.scalars(select(ApprovalPerson.token_hash)).all()

    assert all(token.decode() not in payload for payload in payloads)
    assert kept is not None
    assert token not in kept


def test_who_has_left_answers_by_no_old_link(
    waiting: Any, deliver: Deliver, post: PostOffice, guest: Browser, app: Flask, acme: House
) -> None:
    from webapp.organizations.models import Membership

    waiting(letter(who=[person(acme, Role.MEMBER), {"role": "owner"}]))
    deliver()
    [url] = [link(mail) for mail in post.mails if mail["To"] == "member@acme.example"]
    with app.app_context(), writing(), Session(db.engine) as session:
        with across_organizations(session, "a member leaves"):
            session.delete(
                session.get_one(Membership, (acme.organization_id, acme.people[Role.MEMBER]))
            )
        session.commit()

    assert guest.get(url).status_code == 410


def test_hidden_characters_are_written_out_in_the_mail_and_its_subject(
    waiting: Any, deliver: Deliver, post: PostOffice
) -> None:
    plan = letter(show=[{"name": "text", "label": "To", "value": "pay\u202etxt\u200b <b>"}])
    plan["steps"][1]["name"] = "Check\u202e the letter"
    waiting(plan)
    deliver()

    [mail] = post.mails
    assert mail["Subject"] == "Approve: Check‹U+202E› the letter"
    assert "pay‹U+202E›txt‹U+200B› <b>" in part(mail, "plain")
    assert "pay‹U+202E›txt‹U+200B› &lt;b&gt;" in part(mail, "html")


def test_a_reminder_goes_once_to_those_who_have_not_answered_and_to_the_deputy(
    waiting: Any, deliver: Deliver, post: PostOffice, acme: House, change: Change
) -> None:
    deputy = person(acme, Role.MEMBER)
    waiting(letter(remind_s=3600, deputy=deputy))
    deliver()
    past = now() - timedelta(seconds=1)
    change(remind_at=past, look_at=past)

    deliver()
    deliver()

    said = sorted((str(mail["To"]), str(mail["Subject"])) for mail in post.mails)
    assert said == [
        ("member@acme.example", "Reminder: approve: Check the letter"),
        ("owner@acme.example", "Approve: Check the letter"),
        ("owner@acme.example", "Reminder: approve: Check the letter"),
    ]
    assert len({mail["Message-ID"] for mail in post.mails}) == 3
    owners = [link(mail) for mail in post.mails if mail["To"] == "owner@acme.example"]
    assert owners[0] == owners[1]


def test_a_mail_that_is_not_taken_is_tried_again_and_is_the_same_mail(
    waiting: Any, deliver: Deliver, post: PostOffice, app: Flask
) -> None:
    waiting(letter())
    post.refuses = True
    assert deliver() == 1
    assert post.mails == []
    post.refuses = False
    with app.app_context(), writing(), Session(db.engine) as session:
        [delivery] = session.scalars(select(Delivery).where(Delivery.kind == "mail"))
        assert (delivery.state, delivery.attempts) == ("due", 1)
        assert delivery.last_error == "SMTPRecipientsRefused"
        session.execute(update(Delivery).values(due_at=now()))
        session.commit()

    deliver()

    assert len(post.mails) == 1


def test_without_a_mail_server_people_are_asked_on_their_pages_only(
    waiting: Any, program: Any, tmp_path: Path, settings: Settings, app: Flask
) -> None:
    from jobs.base import make_machine
    from jobs.sweeping import keep_approvals

    waiting(letter())
    quiet = make_machine(settings.model_copy(update={"smtp_url": ""}))
    keep_approvals(quiet)
    quiet.close()

    with app.app_context(), Session(db.engine) as session:
        assert session.scalars(select(Delivery).where(Delivery.kind == "mail")).all() == []
    assert asked(program)["state"] == "open"
