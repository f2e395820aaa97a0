"""The description of the API (OpenAPI 3.1), made from the doors: nothing is written down twice.

A door says who may enter, what it is asked and what it answers; its docstring is its summary.
Whatever follows from that for every door alike stands in `openapi_parts`.

Source: OpenAPI Specification 3.1.0.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final, TypeGuard

from flask import Flask
from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema
from werkzeug.routing import Rule

from webapp.kernel.asking import id_pattern
from webapp.kernel.shipped import release
from webapp.web import jsons
from webapp.web import openapi_parts as parts
from webapp.web.policy import Policy, policy_of

ABOUT: Final = """\
Build workflows, run them, and see what they did.

Send your key as `X-API-Key`. Bodies are JSON in UTF-8 of 1 MB at most, files of 20 MB; times are
UTC. Words that an address doesn't know, in a body or behind the `?`, are refused. Failures are
problem JSON (RFC 9457): show `detail`, compare `code`, and find each value to correct in `errors`.

Lists answer `items` and `next`; ask again with `after={next}` until `next` is null. A change with
an `Idempotency-Key` is made once: the same key and request get the first answer for 72 hours."""

_PART: Final = re.compile(r"<(?:(?P<kind>\w+)(?:\([^)]*\))?:)?(?P<name>\w+)>")
_PARTS: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    "workflow": ("Id of the workflow.", {"type": "string", "pattern": id_pattern("wf")}),
    "run": ("Id of the run.", {"type": "string", "pattern": id_pattern("run")}),
    "approval": ("Id of the approval.", {"type": "string", "pattern": id_pattern("apr")}),
    "file": ("Id of the file.", {"type": "string", "pattern": id_pattern("file")}),
    "number": ("Number of the version.", {"type": "integer", "minimum": 1}),
    "path": (
        "Where the step stands in the run, such as `s_1`; write each `/` as `%2F`.",
        {"type": "string", "minLength": 1},
    ),
}


@dataclass(frozen=True, slots=True)
class Route:
    """A door that the description shows."""

    rule: Rule
    method: str
    policy: Policy
    view: Any

    @property
    def tag(self) -> str:
        if not self.is_api:
            return "health"
        return self.rule.endpoint.split(".")[0].removesuffix("_api")

    @property
    def path(self) -> str:
        return _PART.sub(lambda part: f"{{{part['name']}}}", self.rule.rule)

    @property
    def parts(self) -> list[str]:
        return [part["name"] for part in _PART.finditer(self.rule.rule)]

    @property
    def is_api(self) -> bool:
        return self.rule.rule.startswith("/api/")

    @property
    def answers(self) -> dict[int, Any]:
        """Return what comes back, by status."""
        policy = self.policy
        waited = {200: policy.waited} if policy.waited is not None else {}
        return {policy.status: policy.answer, **waited, **policy.also}

    @property
    def refusals(self) -> Iterable[int]:
        policy = self.policy
        found = set(policy.errors)
        if self.is_api:
            found |= {400, 422, 429, 503}
        if policy.auth == "api_key":
            found |= {401, 403}
        if self.parts:
            found.add(404)
        if policy.once:
            found.add(409)
        if self.method != "GET":
            found.add(413)
        if policy.body is not None:
            found.add(415)
        return sorted(found)


def routes(app: Flask) -> list[Route]:
    """Return the API's doors, and those beside it that say what they answer."""
    found = []
    for rule in app.url_map.iter_rules():
        policy = policy_of(app, rule.endpoint)
        if policy is None or not (rule.rule.startswith("/api/") or policy.answer is not None):
            continue
        view = app.view_functions[rule.endpoint]
        methods = (rule.methods or set()) - {"HEAD", "OPTIONS"}
        found += [Route(rule, method, policy, view) for method in methods]
    order = ["workflows", "runs", "files"]
    place = {tag: n for n, tag in enumerate(order, -len(order))}
    return sorted(
        found,
        key=lambda one: (not one.is_api, place.get(one.tag, 0), one.tag, one.path, one.method),
    )


def text(app: Flask, *, short: bool = False) -> str:
    """Return the description as JSON; it is made once.

    Args:
        short: name the schema of plans instead of showing it. Readers for people draw every way
            through it, which takes them ten seconds or for ever: steps hold steps.
    """
    made: dict[bool, str] = app.extensions.setdefault("openapi", {})
    if short not in made:
        found = document(app)
        made[short] = jsons.dump(_shortened(found) if short else found)
    return made[short]


def _shortened(described: dict[str, Any]) -> dict[str, Any]:
    components = described["components"]
    schemas = {
        name: schema
        for name, schema in components["schemas"].items()
        if not name.startswith("Plan.")
    }
    schemas["Plan"] = parts.PLAN_NAMED
    return described | {"components": components | {"schemas": schemas}}


def document(app: Flask) -> dict[str, Any]:
    shown = routes(app)
    refs, schemas = _schemas(shown)
    paths: dict[str, dict[str, Any]] = {}
    for route in shown:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, refs)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Deckhand",
            "version": release(),
            "summary": "AI workflows for programs.",
            "description": ABOUT,
            "license": {"name": "Apache 2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": _tags(shown),
        "paths": paths,
        "components": {
            "schemas": schemas,
            "responses": {
                name: parts.refusal(status) for status, (name, _) in parts.REFUSALS.items()
            },
            "headers": parts.HEADERS,
            "securitySchemes": parts.SECURITY_SCHEMES,
        },
    }


_Refs = dict[tuple[Any, JsonSchemaMode], dict[str, Any]]


def _schemas(shown: list[Route]) -> tuple[_Refs, dict[str, Any]]:
    """Return where each model's schema stands, and all of them by name."""
    models: dict[tuple[type[BaseModel], JsonSchemaMode], None] = {}
    for route in shown:
        if route.policy.body is not None:
            models[(route.policy.body, "validation")] = None
        for answer in route.answers.values():
            if _is_model(answer):
                models[(answer, "serialization")] = None
    refs, made = models_json_schema(list(models), ref_template=parts.SCHEMAS + "{model}")
    found = parts.with_refs(made.get("$defs", {}), lambda ref: ref)
    for (_, mode), ref in refs.items():
        if mode == "validation":
            name = ref["$ref"].removeprefix(parts.SCHEMAS)
            found[name] = parts.storable(found[name])
    every = found | parts.PROBLEM_SCHEMAS | parts.JSON_SCHEMAS | parts.plan_schemas()
    return dict(refs), {name: every[name] for name in sorted(every)}


def _is_model(answer: Any) -> TypeGuard[type[BaseModel]]:
    return isinstance(answer, type) and issubclass(answer, BaseModel)


def _operation(route: Route, refs: _Refs) -> dict[str, Any]:
    summary, _, more = (inspect.getdoc(route.view) or "").partition(". ")
    operation: dict[str, Any] = {
        "operationId": f"{route.tag}_{route.view.__name__}",
        "tags": [route.tag],
        "summary": " ".join(summary.replace("`", "").split()).rstrip(".") + ".",
    }
    if more:
        operation["description"] = " ".join(more.split())
    operation["security"] = [{"ApiKey": []}] if route.policy.auth == "api_key" else []
    if parameters := list(_parameters(route)):
        operation["parameters"] = parameters
    if content := _body(route, refs):
        operation["requestBody"] = {"required": True, "content": content}
    operation["responses"] = _responses(route, refs)
    return operation


def _parameters(route: Route) -> Iterator[dict[str, Any]]:
    for name in route.parts:
        about, schema = _PARTS[name]
        yield _parameter(name, "path", schema | {"description": about}, required=True)
    if route.policy.query is not None:
        asked = route.policy.query.model_json_schema()
        for name, schema in asked["properties"].items():
            yield _parameter(name, "query", schema, required=name in asked.get("required", ()))
    if route.policy.once in ("optional", "required"):
        yield parts.idempotency_key(required=route.policy.once == "required")
    if route.policy.waited is not None:
        yield parts.PREFER


def _parameter(name: str, where: str, schema: dict[str, Any], *, required: bool) -> dict[str, Any]:
    plain = {key: value for key, value in schema.items() if key not in {"title", "description"}}
    if "anyOf" in plain:  # an optional one; an address cannot say null, and not to say it is enough
        one = next(choice for choice in plain.pop("anyOf") if choice != {"type": "null"})
        plain = one | {key: value for key, value in plain.items() if value is not None}
    shown = {"name": name, "in": where, "required": required, "schema": parts.storable(plain)}
    return shown | ({"description": schema["description"]} if "description" in schema else {})


def _body(route: Route, refs: _Refs) -> dict[str, Any]:
    policy = route.policy
    if policy.body is not None:
        content = {"schema": refs[(policy.body, "validation")]}
        return {"application/json": content} | ({jsons.YAML: content} if policy.yaml else {})
    if policy.upload:
        file = {"type": "string", "format": "binary", "description": "The file, with its name."}
        form = {
            "type": "object",
            "properties": {policy.upload: file},
            "required": [policy.upload],
            "additionalProperties": False,
        }
        return {"multipart/form-data": {"schema": form}}
    return {}


def _responses(route: Route, refs: _Refs) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for status, answer in sorted(route.answers.items()):
        found[str(status)] = _response(route, status, answer, refs)
    for status in route.refusals:
        ref = {"$ref": f"#/components/responses/{parts.REFUSALS[status][0]}"}
        found.setdefault(str(status), ref)
    return found


def _response(route: Route, status: int, answer: Any, refs: _Refs) -> dict[str, Any]:
    response: dict[str, Any] = {"description": _WORDS.get(status, "Done.")}
    if _is_model(answer):
        media = "application/json"
        extra = answer.model_config.get("json_schema_extra")
        if isinstance(extra, dict):
            media = str(extra.get("x-media-type", media))
        response["content"] = {media: {"schema": refs[(answer, "serialization")]}}
    elif answer is bytes:
        response["content"] = {"*/*": {}}
    if status >= 400:
        response["content"] |= parts.PROBLEM
        response["headers"] = {"Retry-After": parts.header("RetryAfter")}
    elif route.policy.once:
        response["headers"] = {"Idempotency-Replayed": parts.header("IdempotencyReplayed")}
        if status == 200 and route.policy.waited is not None:
            response["headers"]["Preference-Applied"] = parts.header("PreferenceApplied")
    return response


_WORDS: Final = {
    201: "Created.",
    202: "Accepted; it goes on by itself.",
    204: "Done; there is nothing to say.",
    503: "A part of the machine is down.",
}


def _tags(shown: list[Route]) -> list[dict[str, str]]:
    """Return each feature once, with what its module says it is."""
    said = {
        route.tag: (inspect.getdoc(sys.modules[route.view.__module__]) or "").split("\n")[0]
        for route in shown
    }
    said["health"] = "How the machine is, for whatever watches it."
    return [{"name": tag, "description": words} for tag, words in said.items()]
