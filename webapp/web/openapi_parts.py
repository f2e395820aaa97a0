"""What is the same at every door of the API: refusals, headers, problem JSON, plans."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from webapp.access.idempotency import KEY_PATTERN, LONGEST_KEY
from webapp.engine.plan import json_schema
from webapp.kernel.errors import AppError

SCHEMAS: Final = "#/components/schemas/"

PROBLEM: Final = {"application/problem+json": {"schema": {"$ref": f"{SCHEMAS}Problem"}}}

SECURITY_SCHEMES: Final = {
    "ApiKey": {
        "type": "apiKey",
        "in": "header",
        "name": "X-API-Key",
        "description": "`deckhand keys create --name N` makes a key and shows it once.",
    }
}

REFUSALS: Final = {
    400: ("BadRequest", "The request cannot be read, or a header that it needs is missing."),
    401: ("SignedOut", "The key is missing, wrong, revoked or over: all look the same."),
    403: ("Forbidden", "The key's role does not allow this."),
    404: ("NotFound", "There is no such thing, or it is another organization's."),
    409: ("Conflict", "The thing changed meanwhile, or its state does not allow this."),
    410: ("Gone", "It was deleted."),
    413: ("TooLarge", "The body is too large."),
    415: ("NotJson", "The body is of another type than the address takes."),
    422: ("Invalid", "Values to correct stand in `errors`."),
    429: ("LimitReached", "Too many requests: come back after `Retry-After` seconds."),
    503: ("Unavailable", "A part of ours does not answer; nothing was done."),
}

_EXAMPLES: Final[dict[int, tuple[str, dict[str, Any]]]] = {
    400: ("E-JSON", {"reason": "It is not JSON: a comma is missing at line 1, column 9."}),
    401: ("E-KEY", {}),
    403: ("E-ROLE", {"who": "Only owners, admins and members", "what": "start runs"}),
    404: ("E-404", {}),
    409: ("E-RUN-OPEN", {}),
    410: ("E-GONE", {"what": "“Greeting”", "at": "2026-11-20"}),
    413: ("E-TOO-LARGE", {"most": "1 MB"}),
    415: ("E-JSON-TYPE", {}),
    422: ("E-FIELDS", {}),
    429: ("E-RATE", {"retry_after": 12}),
    503: ("E-DATABASE", {"retry_after": 5}),
}
"""A failure of each kind, for those who read: its code, and what fills the gaps of its words."""

HEADERS: Final[dict[str, Any]] = {
    "RetryAfter": {
        "description": "Seconds to wait before the next try.",
        "schema": {"type": "integer", "minimum": 0},
    },
    "WwwAuthenticate": {
        "description": "How to say who is asking.",
        "schema": {"type": "string"},
    },
    "IdempotencyReplayed": {
        "description": "Stands here when this is the answer to an earlier, same request.",
        "schema": {"const": "true"},
    },
    "PreferenceApplied": {
        "description": "How long the answer waited at most, such as `wait=10`.",
        "schema": {"type": "string"},
    },
}

PREFER: Final = {
    "name": "Prefer",
    "in": "header",
    "required": False,
    "description": "`wait=10` waits up to 10 s (60 at most) and then answers the finished run"
    " with 200; a run that takes longer is answered as accepted with 202 (RFC 7240).",
    "schema": {"type": "string", "examples": ["wait=10"]},
}


def idempotency_key(*, required: bool) -> dict[str, Any]:
    return {
        "name": "Idempotency-Key",
        "in": "header",
        "required": required,
        "description": "Any text of yours. The same key and request again get the first answer;"
        " the same key with another request gets 422.",
        "schema": {
            "type": "string",
            "minLength": 1,
            "maxLength": LONGEST_KEY,
            "pattern": KEY_PATTERN,
            "examples": ["nightly-2026-11-20"],
        },
    }


def header(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/headers/{name}"}


def refusal(status: int) -> dict[str, Any]:
    """Return the response component of an error status."""
    content = {kind: {**what, "example": _example(status)} for kind, what in PROBLEM.items()}
    response: dict[str, Any] = {"description": REFUSALS[status][1], "content": content}
    if status in (429, 503):
        response["headers"] = {"Retry-After": header("RetryAfter")}
    if status == 401:
        response["headers"] = {"WWW-Authenticate": header("WwwAuthenticate")}
    return response


def _example(status: int) -> dict[str, Any]:
    code, facts = _EXAMPLES[status]
    error = AppError(code, **facts)
    example = {
        "type": f"/problems/{code}",
        "title": error.title,
        "status": status,
        "detail": error.text,
        "code": code,
        "not_done": error.not_done,
        "actions": [{"label": label, "href": href} for label, href in error.entry.actions],
        "ref": "" if status == 404 else "9f2c61b07a3e4d58",
    }
    if status == 422:
        empty = {"pointer": "/inputs/who", "code": "E-FIELD-EMPTY", "detail": "Enter who."}
        example |= {"errors": [empty], "detail": empty["detail"]}
    if "retry_after" in facts:
        example["retry_after"] = facts["retry_after"]
    return example


_TEXT: Final = {"type": "string"}


def _object(properties: dict[str, Any], **more: Any) -> dict[str, Any]:
    required = [name for name, schema in properties.items() if "optional" not in schema]
    for schema in properties.values():
        schema.pop("optional", None)
    return {"type": "object", "properties": properties, "required": required, **more}


PROBLEM_SCHEMAS: Final[dict[str, Any]] = {
    "Problem": _object(
        {
            "type": _TEXT | {"description": "Address of a page about this kind of problem."},
            "title": _TEXT | {"description": "What went wrong, in a few words."},
            "status": {"type": "integer", "minimum": 400, "maximum": 599},
            "detail": _TEXT | {"description": "The sentence to show: what is wrong, what to do."},
            "code": _TEXT | {"pattern": "^E(-[A-Z0-9]+)+$", "description": "Compare this one."},
            "not_done": _TEXT | {"description": "What was not done because of it, or empty."},
            "actions": {
                "type": "array",
                "items": _object({"label": dict(_TEXT), "href": dict(_TEXT)}),
                "description": "Ways out, for people.",
            },
            "ref": _TEXT | {"description": "Name this when you ask us for help."},
            "errors": {
                "type": "array",
                "items": {"$ref": f"{SCHEMAS}ProblemAt"},
                "description": "One entry for each value to correct.",
                "optional": True,
            },
            "retry_after": {"type": "integer", "description": "Seconds.", "optional": True},
        },
        description="A failure, in the words that people see too (RFC 9457).",
        examples=[_example(422)],
    ),
    "ProblemAt": _object(
        {
            "pointer": _TEXT | {"description": "JSON pointer into what was sent (RFC 6901)."},
            "code": dict(_TEXT),
            "detail": dict(_TEXT),
        },
        description="One value to correct.",
    ),
}


NO_NUL: Final = "^[^\\u0000]*$"

JSON_SCHEMAS: Final[dict[str, Any]] = {
    "Json": {
        "description": "Any value; whole numbers of 64 bits at most, 64 levels deep at most.",
        "anyOf": [
            {"type": ["null", "boolean", "number"]},
            {"type": "string", "pattern": NO_NUL},
            {"type": "array", "items": {"$ref": f"{SCHEMAS}Json"}},
            {"$ref": f"{SCHEMAS}JsonObject"},
        ],
    },
    "JsonObject": {
        "type": "object",
        "propertyNames": {"pattern": NO_NUL},
        "additionalProperties": {"$ref": f"{SCHEMAS}Json"},
    },
}


def storable(schema: Any) -> Any:
    """Return `schema` with what holds for each text that comes in: it has no NUL."""
    if isinstance(schema, list):
        return [storable(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    inner = {
        key: part if key in {"examples", "default", "const", "enum"} else storable(part)
        for key, part in schema.items()
    }
    free = inner.get("type") == "string" and not inner.keys() & {
        "pattern",
        "format",
        "enum",
        "const",
    }
    return inner | {"pattern": NO_NUL} if free else inner


PLAN_NAMED: Final = {
    "type": "object",
    "description": "A plan document: inputs, steps, result, limits."
    " [Its whole schema](/api/v1/plan/schema?level=draft) is at `/api/v1/plan/schema`.",
}


def plan_schemas() -> dict[str, Any]:
    """Return the schema of drafts' plans as components, the whole as "Plan"."""
    whole = json_schema("draft")
    names = {name: _plan_name(name) for name in whole["$defs"]}

    def move(ref: str) -> str:
        return SCHEMAS + names[ref.removeprefix("#/$defs/")]

    plan = {key: part for key, part in whole.items() if key not in {"$defs", "$schema"}}
    found = {names[name]: with_refs(part, move) for name, part in whole["$defs"].items()}
    parts = {"Plan": with_refs(plan, move), **found, **_steps(found["Plan.Step"])}
    return {name: storable(part) for name, part in parts.items()}


def _plan_name(name: str) -> str:
    words = name.split("__")
    if len(words) > 1:  # pydantic's name for one of several models called Config
        kind = words[-2].strip("_")
        return f"Plan.{kind.capitalize()}Settings"
    return f"Plan.{name}"


def _steps(step: dict[str, Any]) -> dict[str, Any]:
    """Return a schema for each kind of step; readers of APIs show these better than conditions."""
    rest = {key: part for key, part in step.items() if key not in {"allOf", "description"}}
    found: dict[str, Any] = {}
    for choice in step["allOf"]:
        kind = choice["if"]["properties"]["kind"]
        said = {"kind": kind, **choice["then"]["properties"]}
        name = f"Plan.{kind['const'].capitalize()}Step"
        found[name] = rest | {"title": name, "properties": rest["properties"] | said}
    refs = {choice["properties"]["kind"]["const"]: SCHEMAS + name for name, choice in found.items()}
    found["Plan.Step"] = {
        "description": "One entry of a plan; `with` holds the settings of its kind.",
        "oneOf": [{"$ref": ref} for ref in refs.values()],
        "discriminator": {"propertyName": "kind", "mapping": refs},
    }
    return found


def with_refs(schema: Any, move: Callable[[str], str]) -> Any:
    """Return `schema` with each reference moved, and each mark for a component made one."""
    if isinstance(schema, list):
        return [with_refs(item, move) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if "x-component" in schema:
        return {"$ref": f"{SCHEMAS}{schema['x-component']}"}
    moved: dict[str, Any] = {}
    for key, inner in schema.items():
        if key == "properties":  # pydantic titles each with its own name, which says nothing
            moved[key] = {name: with_refs(_untitled(one), move) for name, one in inner.items()}
        else:
            moved[key] = move(inner) if key == "$ref" else with_refs(inner, move)
    return moved


def _untitled(schema: dict[str, Any]) -> dict[str, Any]:
    return {key: inner for key, inner in schema.items() if key != "title"}
