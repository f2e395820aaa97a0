"""Headers of every answer, forms of other sites, and pages that change nothing."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from flask import Flask, request
from sqlalchemy import MetaData, select

from tests.fixtures import PASSWORD, Browser, House, Program, SignedIn
from webapp.access.permissions import Role
from webapp.access.tenancy import across_organizations
from webapp.app import create_app
from webapp.kernel.settings import Settings
from webapp.web.database import brief_reading, db
from webapp.web.security import EXCEPTIONS, policy

PATHS = [
    "/",
    "/signin",
    "/setup",
    "/me",
    "/nowhere",
    "/o/acme/probe",
    "/api/v1/probe",
    "/problems/E-404",
]


@pytest.mark.parametrize("path", PATHS)
def test_every_answer_carries_the_same_protection(owner: Browser, path: str) -> None:
    head = owner.get(path).headers

    rules = dict(rule.split(" ", 1) for rule in head["Content-Security-Policy"].split("; "))
    assert rules["default-src"] == "'none'"
    assert "unsafe" not in head["Content-Security-Policy"]
    for name in ("frame-ancestors", "object-src", "base-uri"):
        assert rules[name] == "'none'"
    assert head["X-Content-Type-Options"] == "nosniff"
    assert head["Referrer-Policy"] == "same-origin"
    assert head["Cross-Origin-Opener-Policy"] == "same-origin"
    assert head["X-Request-Id"]
    assert head["Server-Timing"].startswith("app;dur=")
    assert "no-store" in head["Cache-Control"] or "no-cache" in head["Cache-Control"]
    assert "Access-Control-Allow-Origin" not in head
    assert "Strict-Transport-Security" not in head


def test_one_page_is_excepted_by_name() -> None:
    assert list(EXCEPTIONS) == ["/redoc"]
    assert "unsafe" not in policy("/redoc").replace("style-src 'self' 'unsafe-inline'", "")


def test_https_brings_hsts_and_strict_cookies(settings: Settings, acme: House) -> None:
    app = create_app(settings.model_copy(update={"base_url": "https://localhost"}))
    answer = app.test_client().get("/signin", base_url="https://localhost")
    with app.app_context():
        db.engine.dispose()

    assert answer.headers["Strict-Transport-Security"].startswith("max-age=31536000")
    cookie = answer.headers["Set-Cookie"]
    assert cookie.startswith("__Host-door=")
    assert {"Secure", "HttpOnly", "Path=/", "SameSite=Lax"} <= set(cookie.split("; "))


@pytest.mark.parametrize(
    "head",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost.evil.example"},
    ],
)
def test_another_site_changes_nothing_even_with_the_token(
    owner: Browser, head: dict[str, str]
) -> None:
    answer = owner.post("/o/acme/probe", data={"csrf_token": owner.token}, headers=head)

    assert answer.status_code == 400
    assert "E-FORM-OLD" in answer.text


@pytest.mark.parametrize(
    "url", ["/o/acme/probe", "/me/appearance", "/signout", "/signin", "/setup"]
)
def test_a_change_without_this_sessions_token_is_refused(
    owner: Browser, acme: House, signed_in: SignedIn, url: str
) -> None:
    others = signed_in(acme, Role.MEMBER).token
    wrong: dict[str, dict[str, Any]] = {
        "none": {},
        "empty": {"data": {"csrf_token": ""}},
        "wrong": {"data": {"csrf_token": owner.token.swapcase()}},
        "twice": {"data": {"csrf_token": [owner.token, owner.token]}},
        "another's": {"data": {"csrf_token": others}},
        "json": {"data": '{"a":1}', "content_type": "text/plain"},
    }

    answers = {kind: owner.post(url, **sent).status_code for kind, sent in wrong.items()}

    assert answers == dict.fromkeys(wrong, 400)
    assert owner.get("/me").status_code == 200


def test_the_token_may_come_as_a_header(owner: Browser) -> None:
    answer = owner.post(
        "/o/acme/probe",
        headers={"X-CSRF-Token": owner.token, "Sec-Fetch-Site": "same-origin",
                 "Origin": "http://localhost"},
    )  # fmt: skip

    assert answer.status_code == 303


def test_looking_changes_nothing(
    app: Flask, owner: Browser, guest: Browser, program: Program
) -> None:
    guest.get("/signin")
    before = _digest(app)

    for rule in app.url_map.iter_rules():
        if "GET" in (rule.methods or set()):
            path = rule.rule.replace("<org>", "acme").replace("<code>", "E-404")
            for client in (owner, guest, program):
                if "/write" not in path:
                    client.get(path)
                    client.head(path)

    assert _digest(app) == before


def _digest(app: Flask) -> str:
    with app.app_context(), brief_reading() as session, across_organizations(session, "digest"):
        tables = MetaData()
        tables.reflect(db.engine)
        rows = [
            sorted(map(repr, session.execute(select(table)).all()))
            for table in tables.sorted_tables
        ]
    return hashlib.sha256(repr(rows).encode()).hexdigest()


def test_before_sign_in_nothing_is_kept_but_a_signed_cookie(guest: Browser, acme: House) -> None:
    answer = guest.get("/signin")

    cookies = answer.headers.getlist("Set-Cookie")
    assert len(cookies) == 1
    assert cookies[0].startswith("door=")
    assert "HttpOnly" in cookies[0]
    assert "SameSite=Lax" in cookies[0]
    assert guest.get("/signin").headers.getlist("Set-Cookie") == []


def test_files_and_the_api_touch_no_session(owner: Browser, program: Program) -> None:
    assert "Cookie" not in program.get("/api/v1/probe").headers.get("Vary", "")
    assert program.get("/api/v1/probe").headers.getlist("Set-Cookie") == []


def test_pages_travel_compressed(guest: Browser, acme: House) -> None:
    plain = guest.get("/signin")
    brotli = guest.get("/signin", headers={"Accept-Encoding": "gzip, br"})
    gzip = guest.get("/signin", headers={"Accept-Encoding": "gzip"})

    assert "Content-Encoding" not in plain.headers
    assert brotli.headers["Content-Encoding"] == "br"
    assert gzip.headers["Content-Encoding"] == "gzip"
    assert len(brotli.data) < len(gzip.data) < len(plain.data)
    assert "Accept-Encoding" in plain.headers["Vary"]


def test_what_the_browser_already_has_is_not_sent_again(owner: Browser) -> None:
    first = owner.get("/o/acme/probe")
    second = owner.get("/o/acme/probe", headers={"If-None-Match": first.headers["ETag"]})

    assert (second.status_code, second.data) == (304, b"")


def test_a_page_with_a_secret_is_never_kept(guest: Browser, acme: House) -> None:
    assert guest.get("/signin").headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(("proxies", "address"), [(0, "127.0.0.1"), (1, "9.9.9.9"), (2, "8.8.8.8")])
def test_the_callers_address_comes_from_trusted_proxies_only(
    settings: Settings, proxies: int, address: str
) -> None:
    app = create_app(settings.model_copy(update={"trusted_proxies": proxies}))
    seen: list[str] = []
    app.before_request(lambda: seen.append(str(request.remote_addr)))
    app.test_client().get("/health", headers={"X-Forwarded-For": "7.7.7.7, 8.8.8.8, 9.9.9.9"})
    with app.app_context():
        db.engine.dispose()

    assert seen == [address]


def test_a_browser_may_report_what_the_policy_stopped(guest: Browser) -> None:
    answer = guest.post("/csp", data=b"{}", headers={"Sec-Fetch-Site": "cross-site"})

    assert answer.status_code == 204


@pytest.mark.parametrize(
    "goal",
    [
        "//evil.example", "/\\evil.example", "https://evil.example", "javascript:alert(1)", "\\/evil",
        "/%0d%0aLocation:evil", "/a\r\nb", "///evil.example", "http:evil", " //evil.example", "/\tx",
        "data:text/html,x", "/\\/evil.example", "evil.example", "@evil.example", "/" + "x" * 3000,
    ],
)  # fmt: skip
def test_nobody_is_sent_to_another_site(guest: Browser, acme: House, goal: str) -> None:
    guest.get("/signin")
    answer = guest.submit("/signin", email=acme.email(Role.OWNER), password=PASSWORD, next=goal)

    assert answer.status_code == 303
    assert answer.location in {"/", "/%0d%0aLocation:evil"}
