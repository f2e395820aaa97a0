"""The description of the API is right, whole and readable."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from jsonschema import Draft202012Validator
from jsonschema.validators import validator_for
from schemathesis.specs.openapi.definitions import OPENAPI_31

from tests.conftest import KEYS
from tests.fixtures import Browser, Program
from webapp.app import create_app
from webapp.engine.plan import json_schema
from webapp.kernel.settings import Settings
from webapp.web.database import db
from webapp.web.openapi import document, routes

ROOT = Path(__file__).parents[2]
Operation = dict[str, Any]


@pytest.fixture
def described(app: Flask) -> dict[str, Any]:
    return document(app)


def operations(described: dict[str, Any]) -> Iterator[tuple[str, Operation]]:
    for path, item in described["paths"].items():
        for method, operation in item.items():
            yield f"{method.upper()} {path}", operation


def test_the_description_keeps_to_the_official_schema(described: dict[str, Any]) -> None:
    official = validator_for(OPENAPI_31)(OPENAPI_31)

    assert [error.message for error in official.iter_errors(described)] == []


def test_every_schema_is_one_and_every_reference_leads_somewhere(
    described: dict[str, Any],
) -> None:
    for schema in described["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)
    for ref in re.findall(r'"\$ref": "([^"]+)"', json.dumps(described)):
        found: Any = described
        for part in ref.removeprefix("#/").split("/"):
            found = found[part]


def test_every_schema_is_used(described: dict[str, Any]) -> None:
    refs = set(re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(described)))

    assert set(described["components"]["schemas"]) == refs


def test_every_api_door_is_there_once_with_its_words(app: Flask, described: dict[str, Any]) -> None:
    shown = dict(operations(described))
    doors = [rule for rule in app.url_map.iter_rules() if rule.rule.startswith("/api/")]

    assert len(doors) == len([entry for entry in shown if " /api/" in entry])
    assert len({one["operationId"] for one in shown.values()}) == len(shown)
    for entry, one in shown.items():
        assert one["summary"].endswith("."), entry
        assert len(one["summary"]) <= 90, entry
        assert one["tags"][0] in {tag["name"] for tag in described["tags"]}


def test_the_guide_names_every_address(app: Flask) -> None:
    guide = (ROOT / "docs/api.md").read_text()
    named = re.findall(r"^\| `([A-Z]+ /[^`]*)` \|", guide, re.M)

    assert sorted(named) == sorted(
        f"{route.method} {route.path.removeprefix('/api/v1')}" for route in routes(app)
    )


def test_every_door_but_the_public_ones_asks_for_the_key(
    app: Flask, described: dict[str, Any]
) -> None:
    public = {e for e, operation in operations(described) if operation["security"] == []}

    assert public == {"GET /health", "GET /ready", "GET /status", "GET /api/v1/plan/schema"}
    for route in routes(app):
        assert route.policy.public == (f"{route.method} {route.path}" in public)


def test_every_body_has_an_example_that_keeps_to_its_schema(described: dict[str, Any]) -> None:
    for entry, operation in operations(described):
        content = operation.get("requestBody", {}).get("content", {})
        if "application/json" in content:
            schema = content["application/json"]["schema"]
            name = schema["$ref"].rpartition("/")[2]
            examples = described["components"]["schemas"][name]["examples"]
            checker = Draft202012Validator({**schema, "components": described["components"]})
            assert examples, entry
            for example in examples:
                assert list(checker.iter_errors(example)) == [], entry


def test_every_start_needs_a_key_of_its_own_and_may_wait(described: dict[str, Any]) -> None:
    for path in ("/workflows/{workflow}/run", "/execute", "/tasks"):
        start = described["paths"][f"/api/v1{path}"]["post"]
        named = {parameter["name"]: parameter for parameter in start["parameters"]}
        assert named["Idempotency-Key"]["required"] is True
        assert named["Prefer"]["required"] is False
        assert set(start["responses"]) >= {"200", "202", "400", "409", "422"}


def test_limits_of_a_query_are_shown_as_they_are_kept(
    described: dict[str, Any], program: Program
) -> None:
    for entry, operation in operations(described):
        for parameter in operation.get("parameters", ()):
            if parameter["name"] == "limit":
                most = parameter["schema"]["maximum"]
                url = entry.partition(" ")[2]
                if "{" not in url and url != "/api/v1/tasks":
                    assert program.get(f"{url}?limit={most}").status_code == 200
                    assert program.get(f"{url}?limit={most + 1}").status_code == 422


def test_an_unknown_word_behind_the_question_mark_is_refused(program: Program) -> None:
    for url in ("/workflows?nmae=x", "/runs?stat=done", "/plan/schema?levle=draft"):
        answer = program.get(f"/api/v1{url}")
        assert answer.status_code == 422
        assert answer.get_json()["errors"][0]["code"] == "E-FIELD-UNKNOWN"
    twice = program.get("/api/v1/runs?limit=1&limit=2").get_json()
    assert twice["errors"][0]["detail"] == "“limit” may be there only once."
    assert twice["detail"] == "“limit” may be there only once."


def test_the_description_is_public_and_the_same_for_all(guest: Browser, program: Program) -> None:
    answer = guest.get("/openapi.json")

    assert answer.status_code == 200
    assert answer.mimetype == "application/json"
    assert answer.get_json()["openapi"] == "3.1.0"
    assert answer.get_data() == program.get("/openapi.json").get_data()
    again = guest.get("/openapi.json", headers={"If-None-Match": answer.headers["ETag"]})
    assert again.status_code == 304


def test_readers_get_the_plan_by_name_and_everything_else_the_same(guest: Browser) -> None:
    whole = guest.get("/openapi.json").get_json()
    short = guest.get("/openapi.json?plan=short").get_json()

    assert short["paths"] == whole["paths"]
    assert "/api/v1/plan/schema" in short["components"]["schemas"]["Plan"]["description"]
    assert "Plan." not in json.dumps(short)
    assert [
        error.message for error in validator_for(OPENAPI_31)(OPENAPI_31).iter_errors(short)
    ] == []


def test_it_shows_nothing_of_this_machine(app: Flask, described: dict[str, Any]) -> None:
    settings: Settings = app.extensions["settings"]
    text = json.dumps(described)

    assert str(settings.data) not in text
    for secret in KEYS.values():
        assert secret not in text


@pytest.mark.parametrize("level", ["live", "draft"])
def test_the_schema_of_plans_needs_no_key(guest: Browser, level: str) -> None:
    answer = guest.get(f"/api/v1/plan/schema?level={level}")

    assert answer.mimetype == "application/schema+json"
    assert json.loads(answer.text) == json_schema(level)  # type: ignore[arg-type]
    Draft202012Validator.check_schema(json.loads(answer.text))
    assert guest.get("/api/v1/plan/schema").get_json()["title"] == "Deckhand plan"


@pytest.mark.parametrize("url", ["/docs", "/redoc"])
def test_readers_are_pages_of_this_machine_only(guest: Browser, url: str) -> None:
    answer = guest.get(url)

    assert answer.status_code == 200
    assert 'data-url="/openapi.json?plan=short"' in answer.text
    for address in re.findall(r'(?:src|href)="([^"#][^"]*)"', answer.text):
        assert address.startswith("/"), address
        with guest.get(address) as there:
            assert there.status_code in {200, 303}


def test_in_production_readers_sign_in_first_and_the_description_stays_public(
    settings: Settings,
) -> None:
    changed = {"app_env": "production", "base_url": "https://localhost"}
    app = create_app(settings.model_copy(update=changed))
    client = app.test_client()

    answers = {
        page: client.get(page, base_url="https://localhost")
        for page in ("/docs", "/redoc", "/openapi.json")
    }

    assert [answers[page].status_code for page in ("/docs", "/redoc")] == [303, 303]
    assert answers["/docs"].location == "/signin?next=/docs"
    assert answers["/openapi.json"].status_code == 200
    with app.app_context():
        db.engine.dispose()
