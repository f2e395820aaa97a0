"""The first person on a new machine: three fields, once."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
from flask import Flask
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from tests.fixtures import Browser, House
from webapp.accounts import service as accounts
from webapp.accounts.models import SetupLink, User
from webapp.kernel.clock import now
from webapp.kernel.db import make_engine, writing
from webapp.kernel.errors import Gone
from webapp.organizations import service as organizations
from webapp.web.database import brief_reading, brief_writing

OLGA: dict[str, Any] = {
    "name": "Olga Berg",
    "email": "Olga@Box.local",
    "password": "seven blue boats at noon",
}


def link(app: Flask, goal: str = "") -> str:
    """Return the path of a new set-up link, as the terminal prints it."""
    with app.app_context(), brief_writing() as session:
        organizations.ensure_first_organization(session)
        url = accounts.make_setup_link(session, "http://localhost", goal)
    parts = urlsplit(url)
    return f"{parts.path}?{parts.query}"


def hidden(page: str, name: str) -> str:
    return page.split(f'name="{name}" value="')[1].split('"', maxsplit=1)[0]


def test_the_link_makes_an_owner_signed_in(app: Flask, guest: Browser) -> None:
    page = guest.get(link(app, "/o/main/runs/run_1")).text
    answer = guest.submit("/setup", code=hidden(page, "code"), next=hidden(page, "next"), **OLGA)

    assert (answer.status_code, answer.location) == (303, "/o/main/runs/run_1")
    assert "HttpOnly" in answer.headers["Set-Cookie"]
    me = guest.get("/me")
    assert "Olga Berg, Olga@box.local" in me.text
    assert "Olga’s organization" in me.text
    with app.app_context(), brief_reading() as session:
        person = session.scalars(select(User)).one()
        assert person.staff
        assert person.password_hash.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
        organization = organizations.find_organization(session)
        assert (organization.slug, organization.name) == ("main", "Olga’s organization")
        assert organizations.has_owner(session, organization.id)


def test_the_page_asks_three_things(app: Flask, guest: Browser) -> None:
    page = guest.get(link(app)).text

    shown = [part for part in page.split("<input")[1:] if 'type="hidden"' not in part.split(">")[0]]
    assert len(shown) == 3
    assert page.count('class="btn btn--main') == 1


def test_without_script_or_link_the_page_asks_for_the_code(app: Flask, guest: Browser) -> None:
    address = link(app)
    assert guest.get("/").location == "/setup"
    page = guest.get("/setup")
    assert "Set-up code" in page.text

    answer = guest.get(address)

    assert "Your name" in answer.text


def test_a_wrong_code_says_where_the_right_one_stands(app: Flask, guest: Browser) -> None:
    link(app)
    answer = guest.get("/setup?code=wrong")

    assert answer.status_code == 422
    assert "That set-up code does not match." in answer.text
    assert "deckhand setup-link" in answer.text


def test_a_link_works_once(app: Flask, guest: Browser) -> None:
    page = guest.get(link(app)).text
    code = hidden(page, "code")
    guest.submit("/setup", code=code, **OLGA)

    answer = guest.submit("/setup", code=code, **{**OLGA, "email": "eve@evil.example"})

    assert answer.status_code in (400, 410)
    with app.app_context(), brief_reading() as session:
        assert session.scalars(select(User.email)).all() == ["Olga@box.local"]


def test_an_old_link_is_refused(app: Flask, guest: Browser) -> None:
    page = guest.get(link(app)).text
    with app.app_context(), brief_writing() as session:
        session.execute(update(SetupLink).values(expires_at=now() - timedelta(seconds=1)))

    answer = guest.submit("/setup", code=hidden(page, "code"), **OLGA)

    assert answer.status_code == 410
    assert "deckhand setup-link" in answer.text


def test_a_new_link_ends_the_one_before(app: Flask, guest: Browser) -> None:
    old = link(app)
    link(app)

    assert guest.get(old).status_code == 422


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("name", "  ", "Enter your name."),
        ("email", "olga", "Enter an email address like name@example.com."),
        ("email", "", "Enter your email address."),
        ("password", "short", "Password must be 12 characters or more."),
        ("password", "password1234", "It is one that others would try early."),
        ("password", "olga@box.local", "It is one that others would try early."),
        ("password", "aaaaaaaaaaaaaaaa", "It repeats the same few characters."),
        ("password", "x" * 257, "Password must be 256 characters or fewer. It has 257."),
    ],
)
def test_a_wrong_field_is_told_and_the_code_is_kept(
    app: Flask, guest: Browser, field: str, value: Any, sentence: str
) -> None:
    page = guest.get(link(app)).text
    code = hidden(page, "code")

    answer = guest.submit("/setup", code=code, **{**OLGA, field: value})

    assert answer.status_code == 422
    assert answer.text.count(sentence) == 2, "in the summary and at the field"
    assert 'value="Olga' in answer.text or field in ("name", "email")
    assert "seven blue boats" not in answer.text
    assert guest.submit("/setup", code=code, **OLGA).status_code == 303


def test_htmx_gets_the_form_alone(app: Flask, guest: Browser) -> None:
    code = hidden(guest.get(link(app)).text, "code")

    answer = guest.submit("/setup", htmx=True, code=code, **{**OLGA, "name": ""})
    done = guest.submit("/setup", htmx=True, code=code, **OLGA)

    assert answer.status_code == 422
    assert "<html" not in answer.text
    assert (done.status_code, done.headers["HX-Redirect"]) == (204, "/o/main/workflows")


def test_a_machine_that_is_set_up_has_no_set_up(app: Flask, acme: House, guest: Browser) -> None:
    assert guest.get("/setup?code=x").location == "/"
    assert guest.get("/").location == "/signin"
    with app.app_context(), brief_writing() as session, pytest.raises(Gone):
        accounts.make_setup_link(session, "http://localhost")


def test_two_processes_that_make_the_first_organization_get_the_same_one(
    database_url: str,
) -> None:
    engine = make_engine(database_url)
    found, meet = [], threading.Barrier(2)

    def make() -> None:
        with writing(), Session(engine) as session:
            session.connection()
            if engine.dialect.name == "postgresql":  # SQLite lets one writer in at a time
                meet.wait(5)
            found.append(organizations.ensure_first_organization(session).id)
            session.commit()

    threads = [threading.Thread(target=make) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    engine.dispose()

    assert len(found) == 2
    assert len(set(found)) == 1
