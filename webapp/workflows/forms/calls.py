"""The fields of a step that runs another workflow: which, in what version, and what it gets."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from webapp.engine.callees import Callee
from webapp.engine.grammar import Field
from webapp.workflows.forms.parts import (
    ABSENT,
    Check,
    Doc,
    Element,
    Env,
    Given,
    Inside,
    Part,
    Value,
)

_ID: Final = re.compile(r"wf_[0-9a-z]{1,40}")
_NUMBER: Final = re.compile(r"-?\d{1,15}(\.\d{1,15})?", re.ASCII)
_HINTS: Final = {
    "boolean": "yes, no, or an earlier value.",
    "date": "A date such as 2026-03-04, or an earlier value.",
    "datetime": "A time such as 2026-03-04T13:02:11Z, or an earlier value.",
    "file": "A file that Start or an earlier step gives.",
    "list": "An earlier list, or one entry in each line.",
    "number": "A number, or an earlier value.",
    "record": "An earlier value with fields.",
}
_LINES: Final = {"text": 2, "list": 3, "any": 2}


def parts_of_call(settings: Doc, callee: Callee | None) -> Sequence[Part]:
    """Return the choice of the workflow and, of the chosen one, everything that it asks for."""
    choose = Workflow("workflow", "Workflow", "Those that are live can be chosen.")
    if not settings.get("workflow"):
        return (choose,)
    asked = list(callee.inputs) if callee is not None else []
    parts: list[Part] = [_asked(field) for field in asked]
    known = {str(field.name) for field in asked}
    parts += [
        Typed(name, name, "It is not asked for. Empty it to take it away.", rows=1)
        for name in settings.get("inputs") or {}
        if name not in known
    ]
    return (
        choose,
        Number("version", "Version"),
        *((Inside("inputs", "What it gets", "", parts),) if parts else ()),
        Check(
            "wait", "Wait until it has finished", "Then later steps can use what it gives.", True
        ),
    )


def _asked(field: Field) -> Part:
    words = [field.help, _HINTS.get(field.type, "")]
    if field.type == "oneof":
        words.append(f"One of: {', '.join(field.of)}.")
    if field.default is not None and field.type == "file":
        words.append("It has one of its own when empty.")
    elif field.default is not None:
        words.append(f"{_plain(field.default)} when empty.")
    elif not field.required:
        words.append("It may stay empty.")
    name = str(field.name)
    hint = " ".join(word if word.endswith(".") else f"{word}." for word in words if word)
    return Typed(name, field.label or name, hint, _LINES.get(field.type, 1), type=field.type)


def _plain(value: Any) -> str:
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else f"“{value}”"


@dataclass(frozen=True, slots=True)
class Typed(Value):
    """A value of an earlier step, or one that is written here in the type that is asked for."""

    type: str = "any"

    def read(self, given: Given, at: str, old: Doc, env: Env) -> Any:
        value = Value.read(self, given, at, old, env)
        if not isinstance(value, str) or value == old.get(self.key):
            return value
        word = value.strip()
        match self.type:
            case "boolean" if word.lower() in {"yes", "no"}:
                return word.lower() == "yes"
            case "number" if _NUMBER.fullmatch(word.replace(",", "")):
                plain = word.replace(",", "")
                return Decimal(plain) if "." in plain else int(plain)
            case "text" | "any" | "list":
                return value
        return word


class Workflow(Part):
    """Which workflow; one that is not among those to choose stays until another is chosen."""

    def show(self, settings: Doc, at: str, env: Env) -> Element:
        value = str(settings.get(self.key) or "")
        choices = [("", "Choose a workflow"), *env.workflows]
        if value not in dict(choices):
            choices.append((value, "One that can’t be chosen"))
        return self._element("select", at, env, value=value, choices=choices)

    def read(self, given: Given, at: str, old: Doc, env: Env) -> Any:
        word = given.text(self.name(at))
        return word if _ID.fullmatch(word) else ABSENT


class Number(Part):
    """Its live version, whichever that is then, or one that stays."""

    def show(self, settings: Doc, at: str, env: Env) -> Element:
        value = str(settings.get(self.key) or "live")
        numbers = [str(number) for number in env.versions]
        if value not in {"live", *numbers}:
            numbers.append(value)
        choices = [("live", "The one that is live then"), *((n, f"Version {n}") for n in numbers)]
        return self._element("select", at, env, value=value, choices=choices)

    def read(self, given: Given, at: str, old: Doc, env: Env) -> Any:
        word = given.text(self.name(at))
        if word.isdecimal() and word.isascii() and len(word) < 10 and int(word) > 0:
            return int(word)
        return "live" if self.key in old else ABSENT
