"""What every route says to doubtful bodies, to strangers' ids and to the wrong method."""

from __future__ import annotations

import json
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from tests.fixtures import Browser, House, MakeKey, Program
from tests.workflows.plans import WHO, plan_of, text
from webapp.access.permissions import Role
from webapp.kernel.ids import new_id, public_id
from webapp.web.openapi import Route, routes

DOUBTFUL = {
    "nothing": b"",
    "blanks": b" \n",
    "null": b"null",
    "a list": b"[]",
    "a text": b'"x"',
    "a number": b"1",
    "not a number": b'{"name":NaN}',
    "infinity": b'{"name":-Infinity}',
    "a key twice": b'{"name":"a","name":"b"}',
    "a key twice, inside": b'{"inputs":{"a":1,"\\u0061":2}}',
    "a byte order mark": b'\xef\xbb\xbf{"name":"a"}',
    "UTF-16": '{"name":"a"}'.encode("utf-16"),
    "not UTF-8": b'{"name":"\xff"}',
    "cut off": b'{"name":"a"',
    "more behind it": b'{"name":"a"} {}',
    "a comma too many": b'{"name":"a",}',
    "a comment": b'{"name":"a"} // x',
    "NUL": b'{"name":"a\\u0000b"}',
    "NUL in a key": b'{"inputs":{"a\\u0000b":1}}',
    "half a surrogate pair": b'{"name":"\\ud800"}',
    "half a pair, inside": b'{"plan":{"steps":[{"id":"\\udc00"}]}}',
    "200,000 digits": b'{"rev":' + b"9" * 200_000 + b"}",
    "a large power": b'{"rev":1e999999999}',
    "more than 64 bits": b'{"rev":9223372036854775808}',
    "65 levels": b'{"a":' * 64 + b"[]" + b"}" * 64,
    "100,000 levels": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
}


def writing(app: Flask) -> list[Route]:
    return [route for route in routes(app) if route.policy.body is not None]


def send(program: Program, route: Route, body: bytes, **head: str) -> TestResponse:
    headers = {"Idempotency-Key": str(new_id()), "Content-Type": "application/json", **head}
    return program.open(address(route), method=route.method, data=body, headers=headers)


def address(route: Route, **ids: str) -> str:
    path = route.path
    unknown = {"workflow": "wf", "run": "run", "file": "file", "approval": "apr"}
    for name in route.parts:
        made = public_id(unknown[name], new_id()) if name in unknown else "1"
        path = path.replace(f"{{{name}}}", ids.get(name, made))
    return path


@pytest.mark.parametrize("doubt", DOUBTFUL)
def test_doubtful_json_is_refused_everywhere_in_words(
    doubt: str, app: Flask, program: Program
) -> None:
    for route in writing(app):
        answer = send(program, route, DOUBTFUL[doubt])

        assert answer.status_code == 400, route.path
        assert answer.mimetype == "application/problem+json"
        problem = answer.get_json()
        assert problem["code"] == "E-JSON"
        assert problem["detail"].endswith(".")
        assert len(problem["detail"]) < 120


@pytest.mark.parametrize(
    "media", ["text/plain", "text/json", "application/x-www-form-urlencoded", "", "application/xml"]
)
def test_other_types_of_body_are_refused(media: str, app: Flask, program: Program) -> None:
    for route in writing(app):
        answer = send(program, route, b'{"name":"a"}', **{"Content-Type": media})

        assert answer.status_code == 415, route.path
        assert answer.get_json()["code"] == "E-JSON-TYPE"


def test_a_body_larger_than_1_mb_is_refused(app: Flask, program: Program) -> None:
    for route in writing(app):
        answer = send(program, route, b'{"name":"' + b"x" * 1_048_576 + b'"}')

        assert answer.status_code == 413, route.path
        assert answer.get_json()["code"] == "E-TOO-LARGE"


def test_nobody_sets_what_is_not_theirs_to_set(app: Flask, program: Program) -> None:
    extra = [
        "id", "organization_id", "organization", "org", "made_by", "created_at", "changed_at",
        "role", "staff", "live_version", "live_version_id", "state", "owner", "actor", "__class__",
    ]  # fmt: skip
    for route in writing(app):
        assert route.policy.body is not None
        schema = route.policy.body.model_json_schema()
        right = schema["examples"][0]
        for name in extra:
            answer = send(program, route, json.dumps({**right, name: "x"}).encode())

            assert answer.status_code == 422, (route.path, name)
            codes = {error["pointer"]: error["code"] for error in answer.get_json()["errors"]}
            assert codes[f"/{name}"] == "E-FIELD-UNKNOWN"


def test_anothers_thing_answers_byte_for_byte_as_no_thing(
    app: Flask, program: Program, other: House, make_key: MakeKey
) -> None:
    theirs = Program(app, app.response_class, use_cookies=False)
    theirs.key = make_key(other)
    ids = _things_of(theirs)

    for route in routes(app):
        if not set(route.parts) & ids.keys():
            continue
        body = route.policy.body
        sent = json.dumps(body.model_json_schema()["examples"][0]) if body else None
        foreign, unknown = (
            program.open(
                url, method=route.method, data=sent, content_type="application/json" if sent else None,
                headers={"Idempotency-Key": str(new_id())},
            )
            for url in (address(route, **ids), address(route))
        )  # fmt: skip
        assert foreign.status_code == unknown.status_code == 404, route.path
        assert foreign.get_data() == unknown.get_data(), route.path
        assert _shown(foreign) == _shown(unknown), route.path


def test_anothers_workflow_in_a_body_answers_as_no_workflow(
    app: Flask, program: Program, other: House, make_key: MakeKey
) -> None:
    theirs = Program(app, app.response_class, use_cookies=False)
    theirs.key = make_key(other)
    foreign, unknown = _things_of(theirs)["workflow"], public_id("wf", new_id())

    for path in ("/api/v1/execute", "/api/v1/tasks"):
        answers = [
            program.post(path, json={"workflow": one}, headers={"Idempotency-Key": str(new_id())})
            for one in (foreign, unknown)
        ]
        assert [answer.status_code for answer in answers] == [404, 404]
        assert answers[0].get_data() == answers[1].get_data()
    listed = program.get(f"/api/v1/runs?workflow={foreign}").get_data()
    assert listed == program.get(f"/api/v1/runs?workflow={unknown}").get_data()


def _things_of(program: Program) -> dict[str, str]:
    plan = plan_of(text("s_1"), inputs=[WHO])
    made = program.post("/api/v1/workflows", json={"name": "Theirs", "plan": plan}).get_json()
    workflow = made["id"]
    program.post(f"/api/v1/workflows/{workflow}/live", json={})
    run = program.post(
        f"/api/v1/workflows/{workflow}/run",
        json={"inputs": {"who": "Ada"}},
        headers={"Idempotency-Key": "theirs"},
    ).get_json()["id"]
    return {"workflow": workflow, "run": run}


def _shown(answer: TestResponse) -> dict[str, str]:
    alone = {"X-Request-Id", "Server-Timing", "RateLimit", "Date"}
    return {name: value for name, value in answer.headers if name not in alone}


def test_a_method_that_an_address_does_not_take_is_a_405_problem(
    app: Flask, program: Program
) -> None:
    taken: dict[str, set[str]] = {}
    for route in routes(app):
        taken.setdefault(route.path, set()).add(route.method)
    for route in routes(app):
        for method in {"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"} - taken[
            route.path
        ]:
            if app.url_map.bind("").test(address(route), method=method):
                continue  # another address reads it as its own: …/decide is a path of a task, too
            answer = program.open(address(route), method=method)

            assert answer.status_code == 405, (method, route.path)
            assert set(answer.headers["Allow"].split(", ")) >= taken[route.path]
            assert answer.mimetype == "application/problem+json" or not route.is_api


@pytest.mark.parametrize(
    "key",
    ["", "x", "dh_live_", "dh_live_" + "0" * 38, "dh_live_" + "é" * 38, "Bearer x", "x" * 10_000],
)
def test_every_wrong_key_gets_the_same_401(key: str, app: Flask, program: Program) -> None:
    program.key = key
    answers = {
        route.path: program.open(address(route), method=route.method, data=b"{")
        for route in routes(app)
        if route.policy.auth == "api_key"
    }

    for path, answer in answers.items():
        assert answer.status_code == 401, path
        assert answer.get_json()["code"] == "E-KEY"
        assert answer.headers["WWW-Authenticate"].startswith("ApiKey")
        told: dict[str, Any] = answer.get_json()
        assert {**told, "ref": ""} == {**next(iter(answers.values())).get_json(), "ref": ""}


def test_a_session_opens_no_api_door(app: Flask, owner: Browser) -> None:
    for route in routes(app):
        if route.policy.auth == "api_key":
            answer = owner.open(address(route), method=route.method)
            assert answer.status_code == 401, route.path


def test_a_viewers_key_changes_nothing(
    app: Flask, program: Program, acme: House, make_key: MakeKey
) -> None:
    program.key = make_key(acme, Role.VIEWER)
    for route in routes(app):
        is_asked = "/approvals/" in route.path  # viewers too, where a plan names them
        if route.method != "GET" and not route.path.endswith("/validate") and not is_asked:
            answer = send(program, route, b"{}")
            assert answer.status_code == 403, route.path
            assert answer.get_json()["code"] == "E-ROLE"


def test_every_answer_of_the_api_is_guarded(app: Flask, program: Program) -> None:
    for route in routes(app):
        for answer in (program.open(address(route), method=route.method), program.get("/api/v1/x")):
            head = answer.headers
            assert head["X-Content-Type-Options"] == "nosniff"
            assert "default-src 'none'" in head["Content-Security-Policy"]
            assert "frame-ancestors 'none'" in head["Content-Security-Policy"]
            assert head["Referrer-Policy"] == "same-origin"
            assert head["Cross-Origin-Resource-Policy"] == "same-origin"
            assert head["X-Request-Id"]
            assert "no-store" in head["Cache-Control"] or "no-cache" in head["Cache-Control"]
            assert "Set-Cookie" not in head
            assert "Access-Control-Allow-Origin" not in head
            assert "Server" not in head
