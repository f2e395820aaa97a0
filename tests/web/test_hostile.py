"""Broken and hostile requests at every door there is: never a 500, always a clear answer."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from flask import Flask
from werkzeug.routing import Rule

from tests.fixtures import Browser, Program
from webapp.kernel.ids import new_id, public_id
from webapp.web.doors import policy_of

BODIES: list[tuple[str, bytes]] = [
    ("application/json", body)
    for body in (
        b"", b"{}", b"[]", b"null", b"0", b'"x"', b"{", b"}", b"\x00", b"\xff\xfe", b"NaN",
        b'{"name":NaN}', b'{"name":null}', b'{"name":1}', b'{"name":[]}', b'{"name":{}}',
        b'{"name":""}', b'{"name":"\\u0000"}', b'{"name":"\\ud800"}', b'{"name":"x","name":"y"}',
        b'{"__proto__":{"a":1}}', b'{"name":"x","plan":1}', b'{"name":"x","plan":[]}',
        b'{"name":"x","plan":{}}', b'{"name":"x","plan":{"steps":{}}}', b'{"inputs":[]}',
        b'{"inputs":{"a":1e400}}', b'{"inputs":null,"version":-1}', b'{"version":9999999999999}',
        b'{"plan":{"steps":[{"id":null}]},"rev":"1"}', b'{"rev":18446744073709551616}',
        b'{"a":' + b"[" * 5000 + b"]" * 5000 + b"}", b'{"a":"' + b"x" * 100_000 + b'"}',
        b'{"organization_id":"org_x","id":"x","role":"owner","staff":true}',
        "{\"name\":\"\u202e\U0001f600\"}".encode(), '{"name":"é"}'.encode("latin-1"),
    )
] + [
    ("text/plain", b'{"name":"x"}'),
    ("application/xml", b"<a/>"),
    ("application/x-www-form-urlencoded", b"name=x&name=y&%00=1&a[b]=c"),
    ("multipart/form-data", b"--x\r\nbroken"),
    ("multipart/form-data; boundary=x", b"--x\r\nContent-Disposition: form-data\r\n\r\n\r\n--x--"),
    ("", b"\x00\x01\x02"),
]  # fmt: skip

ARGUMENTS = [
    "x",
    "run_",
    "wf_" + "z" * 26,
    "'%20OR%201=1",
    "..%2f..",
    "%00",
    "9" * 30,
    "%F0%9F%98%80",
]
QUERIES = [
    "?limit=x",
    "?limit=-1",
    "?after=%00",
    "?after=x",
    "?part=zzz",
    "?state=%ff",
    "?q=" + "x" * 5000,
]


def _paths(rule: Rule, given: str) -> str:
    path = rule.rule.replace("<org>", "acme")
    for name in rule.arguments - {"org"}:
        for kind in ("", "int:", "path:"):
            path = path.replace(f"<{kind}{name}>", given if kind != "int:" else "2147483648")
    return path


def _doors(app: Flask, auth: str) -> list[tuple[Rule, str]]:
    return [
        (rule, method)
        for rule in app.url_map.iter_rules()
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"})
        if (policy := policy_of(app, rule.endpoint)) is not None and policy.auth == auth
        if "probe" not in rule.rule
    ]


def _ids() -> list[str]:
    return [public_id(prefix, new_id()) for prefix in ("wf", "run")]


@pytest.fixture(autouse=True)
def _every_bug_is_seen(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR)


def test_every_api_door_survives_every_body(app: Flask, program: Program) -> None:
    bad: list[Any] = []
    for rule, method in _doors(app, "api_key"):
        if method == "GET":
            continue
        for kind, sent in BODIES:
            answer = program.open(
                _paths(rule, _ids()[0]),
                method=method,
                data=sent,
                content_type=kind,
                headers={"Idempotency-Key": str(new_id())},
            )
            _note(bad, answer, f"{method} {rule.rule}", (kind, sent[:40]))

    assert bad == []


def test_every_api_door_survives_every_address(app: Flask, program: Program) -> None:
    bad: list[Any] = []
    for rule, method in _doors(app, "api_key"):
        for given in [*ARGUMENTS, *_ids()] if rule.arguments else [""]:
            answer = program.open(_paths(rule, given), method=method, json={})
            _note(bad, answer, f"{method} {rule.rule}", given)
        for query in QUERIES:
            answer = program.open(_paths(rule, _ids()[0]) + query, method=method, json={})
            _note(bad, answer, f"{method} {rule.rule}", query)

    assert bad == []


def test_every_page_survives_every_address_and_form(app: Flask, owner: Browser) -> None:
    bad: list[Any] = []
    for rule, method in [*_doors(app, "session"), *_doors(app, "none")]:
        if rule.rule in {"/signout", "/status", "/ready"}:
            continue
        for given in [*ARGUMENTS, *_ids()] if rule.arguments - {"org"} else [""]:
            answer = owner.open(
                _paths(rule, given), method=method, data={"csrf_token": owner.token, "name": "x"}
            )
            _note(bad, answer, f"{method} {rule.rule}", given)
        for query in QUERIES:
            answer = owner.open(
                _paths(rule, _ids()[0]) + query,
                method=method,
                data={"csrf_token": owner.token, "op": "zzz", "rev": "x", "slot": "\u202e"},
            )
            _note(bad, answer, f"{method} {rule.rule}", query)

    assert bad == []


def _note(bad: list[Any], answer: Any, door: str, sent: Any) -> None:
    if answer.status_code >= 500:
        bad.append((door, sent, answer.status_code))
    elif answer.status_code >= 400 and "/api/" in door:
        told = answer.mimetype == "application/problem+json" and answer.get_json()["detail"]
        if not told:
            bad.append((door, sent, answer.text[:200]))
