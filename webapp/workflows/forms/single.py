"""Fields that only one kind of step has: a span of time, ranges of numbers, lanes to wait for."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from webapp.workflows.forms.parts import (
    ABSENT,
    Doc,
    Element,
    Env,
    Given,
    Part,
    Value,
)
from webapp.workflows.forms.rows import Cell, Rows

PAIR: Final = (
    Cell("name", "Name", width="narrow"),
    Cell("value", "Value", values=True),
)


class Span(Part):
    """How long to wait: a number and a unit, kept as seconds."""

    units: Final = (("1", "seconds"), ("60", "minutes"), ("3600", "hours"), ("86400", "days"))

    def show(self, settings: Doc, at: str, env: Env) -> Element:
        value, unit = settings.get(self.key), "1"
        if isinstance(value, int) and value:
            unit = next(u for u, _ in reversed(self.units) if value % int(u) == 0)
            value = value // int(unit)
        return self._element(
            "span", at, env, value=env.here.show(value), unit=unit, units=self.units,
            tokens=env.tokens,
        )  # fmt: skip

    def read(self, given: Given, at: str, old: Doc, env: Env) -> Any:
        name = self.name(at)
        text, unit = given.text(name).strip(), given.text(f"{name}-unit")
        if text.isdecimal() and text.isascii() and len(text) < 9:
            return int(text) * (int(unit) if unit in dict(self.units) else 1)
        return Value.read(Value(self.key, self.label), given, at, old, env)


class StatusRanges(Part):
    """Status numbers, such as "200-299, 404"."""

    def show(self, settings: Doc, at: str, env: Env) -> Element:
        ranges = settings.get(self.key) or [[200, 299]]
        text = ", ".join(f"{a}" if a == b else f"{a}-{b}" for a, b in ranges)
        return self._element("text", at, env, value=text, width="mid")

    def read(self, given: Given, at: str, old: Doc, env: Env) -> Any:
        name, ranges = self.name(at), []
        for one in filter(None, (piece.strip() for piece in given.text(name).split(","))):
            found = re.fullmatch(r"([1-5]\d\d)(?:\s*[-–]\s*([1-5]\d\d))?", one)
            if found is None:
                env.wrong[name] = "Write status numbers such as 200-299, 404."
                return old.get(self.key, ABSENT)
            ranges.append([int(found[1]), int(found[2] or found[1])])
        is_default = ranges == [[200, 299]] and self.key not in old
        return ABSENT if is_default or not ranges else ranges


class Until(Part):
    """When a step with lanes goes on: all, the first, or so many."""

    def show(self, settings: Doc, at: str, env: Env) -> Element:
        until = settings.get(self.key) or "all"
        count = until.get("n") if isinstance(until, dict) else ""
        return self._element(
            "until", at, env, value="n" if isinstance(until, dict) else until, count=count
        )

    def read(self, given: Given, at: str, old: Doc, env: Env) -> Any:
        name = self.name(at)
        word, count = given.text(name), given.text(f"{name}-n").strip()
        if word == "n":
            if not (count.isdecimal() and count.isascii() and 1 <= int(count[:4]) <= 64):
                env.wrong[name] = "Enter how many lanes, from 1 to 64."
                return old.get(self.key, ABSENT)
            return {"n": int(count)}
        if word == "first":
            return "first"
        return "all" if self.key in old else ABSENT


@dataclass(frozen=True, slots=True)
class Needs(Part):
    """The lanes that must finish before this one starts: a box for each of the others."""

    lanes: Sequence[tuple[str, str]] = ()

    def show(self, settings: Doc, at: str, env: Env) -> Element:
        needed = settings.get(self.key) or []
        name = self.name(at)
        others = [
            {"name": f"{name}-{lane}", "label": label, "on": lane in needed}
            for lane, label in self.lanes
            if lane != settings.get("id")
        ]
        return self._element("needs", at, env, boxes=others)

    def read(self, given: Given, at: str, old: Doc, env: Env) -> Any:
        name = self.name(at)
        known = {lane for lane, _ in self.lanes}
        gone = [lane for lane in old.get(self.key) or [] if lane not in known]
        needs = [*(lane for lane, _ in self.lanes if given.has(f"{name}-{lane}")), *gone]
        was = old.get(self.key) or []
        return (was if set(was) == set(needs) else needs) or ABSENT


class Form(Part):
    """The content of a request sent as a form: names and values."""

    def show(self, settings: Doc, at: str, env: Env) -> Element:
        return PAIRS_OF_FORM.show(_as_pairs(settings), at, env)

    def read(self, given: Given, at: str, old: Doc, env: Env) -> Any:
        pairs = PAIRS_OF_FORM.read(given, at, _as_pairs(old), env)
        if pairs is ABSENT:
            return ABSENT
        return {"record": {pair["name"]: pair.get("value") for pair in pairs if pair.get("name")}}


def _as_pairs(settings: Doc) -> Doc:
    value = settings.get("value")
    record = value.get("record", {}) if isinstance(value, dict) else {}
    return {"value": [{"name": name, "value": one} for name, one in record.items()]}


PAIRS_OF_FORM: Final = Rows("value", "Content", "", PAIR, "Add a field", blank=1)
