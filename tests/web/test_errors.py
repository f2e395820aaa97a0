"""One failure, three faces, and none of them tells what is inside."""

from __future__ import annotations

import logging
from io import BytesIO

import pytest
from flask import Flask
from sqlalchemy.exc import OperationalError

from tests.fixtures import Browser, House, Program, SignedIn, body
from webapp.access.permissions import Role
from webapp.kernel.errors import LimitReached, Unavailable
from webapp.kernel.sqlite import TurnstileBusy

HTMX = {"HX-Request": "true"}


def test_a_person_gets_a_page(owner: Browser) -> None:
    answer = owner.get("/nowhere")

    assert (answer.status_code, answer.mimetype) == (404, "text/html")
    assert "<h1>There is no page here</h1>" in answer.text
    assert "Your account" in answer.text


def test_htmx_gets_a_notice(owner: Browser) -> None:
    answer = owner.submit("/o/acme/probe/fail", htmx=True)

    assert answer.status_code == 409
    assert 'data-error-code="E-RUN-OVER"' in answer.text
    assert "<html" not in answer.text


def test_a_program_gets_problem_json(program: Program) -> None:
    answer = program.get("/api/v1/nowhere")

    assert (answer.status_code, answer.mimetype) == (404, "application/problem+json")
    assert body(answer) == {
        "type": "/problems/E-404",
        "title": "There is no page here.",
        "status": 404,
        "detail": "The address may be wrong or the thing was deleted for ever.",
        "code": "E-404",
        "not_done": "",
        "actions": [{"label": "Go to the start", "href": "/"}],
        "ref": "",
    }


def test_the_type_of_a_problem_is_a_page(guest: Browser) -> None:
    answer = guest.get("/problems/E-RATE")

    assert answer.status_code == 200
    assert "Too many requests" in answer.text
    assert guest.get("/problems/E-NONE").status_code == 404


def test_a_wrong_method_says_which_are_right(program: Program) -> None:
    answer = program.delete("/api/v1/probe")

    assert answer.status_code == 405
    assert answer.headers["Allow"] == "GET, HEAD, POST"
    assert body(answer)["detail"] == "It takes: GET, HEAD, POST."


def test_a_bug_shows_a_reference_and_nothing_else(
    owner: Browser, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        answer = owner.get("/o/acme/probe/bug")

    assert answer.status_code == 500
    reference = answer.headers["X-Request-Id"]
    assert reference in answer.text
    assert "ZeroDivisionError" not in answer.text
    assert "a-secret-value" not in answer.text
    logged = str([record.msg for record in caplog.records])
    assert reference in logged
    assert "a-secret-value" not in logged


@pytest.mark.parametrize(
    ("failure", "code"),
    [
        (OperationalError("SELECT", {}, Exception("server closed"), connection_invalidated=True),
         "E-DATABASE"),
        (TurnstileBusy(), "E-BUSY"),
    ],
)  # fmt: skip
def test_a_database_that_is_away_asks_to_come_back(
    app: Flask, program: Program, monkeypatch: pytest.MonkeyPatch, failure: Exception, code: str
) -> None:
    def away(*_: object) -> None:
        raise failure

    monkeypatch.setattr(app.extensions["identities"], "key", away)
    answer = program.get("/api/v1/probe")

    assert (answer.status_code, body(answer)["code"]) == (503, code)
    assert int(answer.headers["Retry-After"]) >= 1


def test_the_page_about_the_database_needs_no_database(
    app: Flask, owner: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> None:
        raise OperationalError("SELECT", {}, Exception("gone"), connection_invalidated=True)

    monkeypatch.setattr(app.extensions["identities"], "who", away)
    answer = owner.get("/me")

    assert answer.status_code == 503
    assert "The database does not answer" in answer.text
    assert "Signed" not in answer.text


def test_waiting_is_told_in_the_header_and_the_text(app: Flask) -> None:
    @app.errorhandler(LookupError)
    def never(_: LookupError) -> str:
        return ""

    with app.test_request_context("/api/v1/x"):
        from webapp.web.errors import answer

        shown = answer(LimitReached("E-RATE", retry_after=12))
        away = answer(Unavailable("E-BUSY", retry_after=1))

    assert shown.headers["Retry-After"] == "12"
    assert "Try again in 12 s." in shown.get_data(as_text=True)
    assert away.status_code == 503


def test_an_unknown_host_is_not_served(guest: Browser) -> None:
    answer = guest.get("/signin", headers={"Host": "evil.example"})

    assert answer.status_code == 400
    assert "E-HOST" in answer.text


@pytest.mark.parametrize(
    "path", ["/o/%00/probe", "/o/acme/probe?x=%00", "/%ff%fe", "/o/acme/probe?%ed%a0%80=1"]
)
def test_addresses_that_no_database_could_hold_are_refused(
    acme: House, signed_in: SignedIn, path: str
) -> None:
    answer = signed_in(acme, Role.OWNER).get(path)

    assert answer.status_code < 500


def test_a_form_with_nul_is_refused(owner: Browser) -> None:
    answer = owner.submit("/o/acme/probe", name="a\0b")

    assert answer.status_code == 400
    assert "E-BAD-REQUEST" in answer.text


def test_a_form_of_too_many_parts_is_refused(owner: Browser) -> None:
    many = {f"f{n}": (None, "x") for n in range(300)}
    answer = owner.post(
        "/o/acme/probe",
        data={"csrf_token": owner.token, **dict.fromkeys(many, "x")},
        content_type="multipart/form-data",
    )

    assert answer.status_code == 413


def test_a_form_of_too_many_fields_is_refused(owner: Browser) -> None:
    answer = owner.submit("/o/acme/probe", **{f"f{n}": "x" for n in range(1000)})

    assert answer.status_code == 400
    assert "A form has at most 1,000 fields." in answer.text


@pytest.mark.parametrize(("length", "status"), [(1_000_000, 201), (1_100_000, 413)])
def test_a_body_in_chunks_is_whole_or_refused(program: Program, length: int, status: int) -> None:
    body = b'{"name":"x"' + b" " * length + b"}"

    answer = program.post(
        "/api/v1/probe",
        input_stream=BytesIO(body),
        content_type="application/json",
        environ_overrides={"wsgi.input_terminated": True},
    )

    assert answer.status_code == status, answer.text


def test_a_form_in_chunks_does_not_lose_its_end(owner: Browser) -> None:
    form = f"csrf_token={owner.token}&name={'x' * 1_100_000}&last=y".encode()

    answer = owner.post(
        "/o/acme/probe",
        input_stream=BytesIO(form),
        content_type="application/x-www-form-urlencoded",
        environ_overrides={"wsgi.input_terminated": True},
    )

    assert answer.status_code == 413


def test_a_form_that_is_too_large_is_refused_by_a_page_that_leads_back_to_it(
    owner: Browser,
) -> None:
    here = {"Referer": "http://localhost/o/acme/probe"}

    answer = owner.post("/o/acme/probe", data={"name": "x" * 1_100_000}, headers=here)

    assert answer.status_code == 413
    assert "<h1>The request is too large</h1>" in answer.text
    assert 'href="/o/acme/probe">Back to the page</a>' in answer.text
    assert "<nav" in answer.text
