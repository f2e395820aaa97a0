"""The JSON Schema of plan documents, made from the models that read them."""

from __future__ import annotations

from typing import Any

from pydantic.json_schema import models_json_schema

from webapp.engine.grammar import Within
from webapp.engine.plan import MAX_STEPS, Level, Plan, Step
from webapp.engine.plan_values import (
    ADJUSTMENTS,
    MAX_ADJUSTMENTS,
    MAX_ITEMS,
    MAX_NAMES,
    MAX_PARTS,
    MAX_REF,
    MAX_TEXT,
)
from webapp.engine.steps import KINDS

DIALECT = "https://json-schema.org/draft/2020-12/schema"
DEFS = "#/$defs/"
BOUNDS = frozenset(
    {
        "required", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "minItems",
        "maxItems", "minLength", "maxLength", "pattern", "enum", "const", "minProperties",
        "maxProperties",
    }
)  # fmt: skip
"""What the settings of a draft's step need not keep to yet; checks speak of it."""


def plan_schema(level: Level) -> dict[str, Any]:
    """Return the schema of live plans, or of drafts, whose steps may lack settings."""
    configs: list[Any] = [(kind.config, "validation") for kind in KINDS.values()]
    models: list[Any] = [(Plan, "validation"), (Step, "validation"), (Within, "validation")]
    refs, made = models_json_schema([*models, *configs], by_alias=True)
    definitions: dict[str, Any] = made["$defs"]
    for kind in KINDS.values():
        name = _name(refs[(kind.config, "validation")])
        if level == "draft":
            _loosen(definitions[name])
    _join_steps(definitions, refs)
    definitions |= _grammar(_name(refs[(Within, "validation")]))
    if level == "draft":
        for name in ("Branch", "Lane", "Row", "SetField", "Body", "Pair", "Inline"):
            _loosen(definitions.get(name, {}))
    plan = definitions.pop(_name(refs[(Plan, "validation")]))
    plan["properties"]["steps"]["maxItems"] = MAX_STEPS
    title = {"live": "Deckhand plan", "draft": "Deckhand plan, as a draft holds it"}[level]
    whole = {"$schema": DIALECT, **plan, "title": title, "$defs": definitions}
    resolved: dict[str, Any] = _resolve(whole)
    return resolved


def _name(ref: dict[str, Any]) -> str:
    return str(ref["$ref"]).removeprefix(DEFS)


def _loosen(schema: Any) -> None:
    """Take away what a draft need not have; the names of settings stay the only ones."""
    if isinstance(schema, dict):
        for word in BOUNDS & schema.keys():
            del schema[word]
        for inner in schema.values():
            _loosen(inner)
    elif isinstance(schema, list):
        for inner in schema:
            _loosen(inner)


def _join_steps(definitions: dict[str, Any], refs: Any) -> None:
    """Say of each kind of step which settings it has."""
    step = definitions[_name(refs[(Step, "validation")])]
    step["properties"]["kind"] = {"enum": list(KINDS)}
    step["allOf"] = [
        {
            "if": {"properties": {"kind": {"const": name}}},
            "then": {"properties": {"with": refs[(kind.config, "validation")]}},
        }
        for name, kind in KINDS.items()
    ]


def _grammar(within: str) -> dict[str, Any]:
    value = {"$ref": f"{DEFS}Value"}
    literals: list[dict[str, Any]] = [
        {"type": ["null", "boolean", "number"]},
        {"type": "string", "maxLength": MAX_TEXT},
    ]
    named = {"type": "object", "maxProperties": MAX_NAMES, "additionalProperties": value}
    items = {"type": "array", "maxItems": MAX_ITEMS, "items": value}
    return {
        "Value": {
            "description": "A literal, parts joined to a text (one reference alone keeps its type),"
            " a list or a record.",
            "anyOf": [
                *literals,
                {"type": "array", "maxItems": MAX_PARTS, "items": {"$ref": f"{DEFS}Part"}},
                _record({"list": items}, ["list"]),
                _record({"record": named}, ["record"]),
            ],
        },
        "Part": {
            "anyOf": [
                _record({"text": {"type": "string", "maxLength": MAX_TEXT}}, ["text"]),
                _record(
                    {
                        "value": {"$ref": f"{DEFS}Reference"},
                        "adjust": {
                            "type": "array",
                            "maxItems": MAX_ADJUSTMENTS,
                            "items": {"anyOf": [_adjustment(word) for word in ADJUSTMENTS]},
                        },
                        "if_empty": {
                            "anyOf": [*literals, _record({"do": {"const": "stop"}}, ["do"])]
                        },
                    },
                    ["value"],
                ),
            ]
        },
        "Reference": {
            "description": "A step's id, start, run, now, item or secret, then names and places.",
            "type": "array",
            "minItems": 1,
            "maxItems": MAX_REF,
            "prefixItems": [
                {"type": "string", "pattern": "^(s_[a-z0-9]{1,12}|start|run|now|item|secret)$"}
            ],
            "items": {"anyOf": [{"type": "string", "maxLength": 200}, {"type": "integer"}]},
        },
        "Operand": {
            "anyOf": [value, {"type": "array", "items": value}, {"$ref": DEFS + within}],
        },
    }


def _record(properties: dict[str, Any], required: list[str]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }


def _adjustment(word: str) -> dict[str, Any]:
    settings: dict[str, Any] = {name: {} for name in ADJUSTMENTS[word]}
    return _record({"do": {"const": word}, **settings}, ["do"])


def _resolve(schema: Any) -> Any:
    """Replace the marks of `grammar` by references to its definitions."""
    if isinstance(schema, dict):
        if "x-grammar" in schema:
            rest = {key: inner for key, inner in schema.items() if key != "x-grammar"}
            return {**_resolve(rest), "$ref": DEFS + schema["x-grammar"]}
        return {key: _resolve(inner) for key, inner in schema.items()}
    if isinstance(schema, list):
        return [_resolve(inner) for inner in schema]
    return schema
