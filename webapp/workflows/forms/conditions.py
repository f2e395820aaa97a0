"""Conditions: rows of value, operator, value, joined by and/or."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

from webapp.workflows.forms.parts import Doc, Element, Env, Given, Part, as_number

OPERATORS: Final = (
    ("equal", "is"),
    ("not_equal", "is not"),
    ("contains", "contains"),
    ("not_contains", "does not contain"),
    ("starts_with", "starts with"),
    ("empty", "is empty"),
    ("not_empty", "is not empty"),
    ("more", "is more than"),
    ("less", "is less than"),
    ("at_least", "is at least"),
    ("at_most", "is at most"),
    ("between", "is between"),
    ("before", "is before"),
    ("after", "is after"),
    ("in_last", "is in the last"),
    ("one_of", "is one of"),
)
NOT_YET: Final = (("asks", "asks a model: not possible yet"),)
_WITHIN = re.compile(r"(\d{1,6})\s*(minute|hour|day|week|month)s?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ConditionPart(Part):
    """Rows of value, operator, value, joined by and/or; groups inside join the other way."""

    def show(self, settings: Doc, at: str, env: Env) -> Element:
        name = self.name(at)
        condition = settings.get(self.key) or {"all": []}
        word, rows = _joined(condition)
        plain = [row for row in rows if not _is_group(row)]
        groups = [row for row in rows if _is_group(row)]
        shown = [self._row(row, env) for row in plain]
        blank = max(env.more.get(f"{name}-rows", 0), 0 if groups else 1) - len(shown)
        shown += [{"is": "equal"} for _ in range(blank)]
        inner = [
            ConditionPart(str(number), f"Group {number + 1}").show(
                {str(number): group}, f"{name}-groups", env
            )
            for number, group in enumerate(groups)
        ]
        wrong = env.errors.get(name)
        return self._element(
            "condition",
            at,
            env,
            mode=word,
            rows=shown,
            groups=inner,
            tokens=env.tokens,
            operators=_offered(plain),
            wrong=wrong,
            is_group=at.endswith("-groups"),
        )

    def _row(self, row: Doc, env: Env) -> Doc:
        to, op = row.get("to"), row.get("is", "equal")
        if op == "in_last" and isinstance(to, dict):
            text = f"{to.get('n')} {to.get('unit')}"
        elif op in {"between", "one_of"} and isinstance(to, list):
            text = (" and " if op == "between" else ", ").join(env.here.show(one) for one in to)
        else:
            text = env.here.show(to)
        return {"value": env.here.show(row.get("value")), "is": op, "to": text}

    def read(self, given: Given, at: str, old: Doc, env: Env) -> Any:
        name = self.name(at)
        word, before = _joined(old.get(self.key) or {"all": []})
        plain = [row for row in before if not _is_group(row)]
        mode = given.text(f"{name}-mode")
        mode = mode if mode in {"all", "any"} else word
        rows: list[Doc] = []
        for index in given.indexes(f"{name}-rows"):
            was = plain[index] if index < len(plain) else {}
            row = self._read_row(given, f"{name}-rows-{index}", was, env)
            if row:
                rows.append(row)
        return {mode: [*rows, *self._groups(given, name, before, mode, env)]}

    def _groups(self, given: Given, name: str, before: list[Doc], mode: str, env: Env) -> list[Doc]:
        groups = [row for row in before if _is_group(row)]
        read = []
        for index, group in enumerate(groups):
            inner = ConditionPart(str(index), "").read(
                given, f"{name}-groups", {str(index): group}, env
            )
            _, rows = _joined(inner)
            read.append({"any" if mode == "all" else "all": rows})
        return given.rearranged(
            f"{name}-groups", read, lambda _: {"any" if mode == "all" else "all": []}
        )

    def _read_row(self, given: Given, at: str, was: Doc, env: Env) -> Doc | None:
        left, op = given.text(f"{at}-value").strip(), given.text(f"{at}-is")
        right = given.text(f"{at}-to").strip()
        if not left and not right:
            return None
        row: Doc = {"is": op if op in {*dict(OPERATORS), was.get("is")} else "equal"}
        value = env.here.read(left, was.get("value"))
        if value is not None:
            row["value"] = value
        if was and right == self._row(was, env)["to"] and was.get("is") == row["is"]:
            return {**row, "to": was["to"]} if "to" in was else row
        to = _operand(row["is"], right, env)
        return row if to is None else {**row, "to": to}


def _operand(op: str, text: str, env: Env) -> Any:
    if op in {"empty", "not_empty"} or not text:
        return None
    if op == "in_last":
        found = _WITHIN.fullmatch(text)
        return {"n": int(found[1]), "unit": f"{found[2].lower()}s"} if found else {}
    if op == "between":
        pair = re.split(r"\s+and\s+", text, maxsplit=1)
        return [as_number(env.here.read(one)) for one in pair] if len(pair) == 2 else None
    if op == "one_of":
        return [as_number(env.here.read(one.strip())) for one in text.split(",") if one.strip()]
    return as_number(env.here.read(text))


def _offered(rows: list[Doc]) -> list[tuple[str, str]]:
    """Return what can be chosen; what cannot, only where a row has it already."""
    used = {row.get("is") for row in rows}
    return [*OPERATORS, *(one for one in NOT_YET if one[0] in used)]


def _joined(condition: Doc) -> tuple[str, list[Doc]]:
    word = "any" if "any" in condition else "all"
    return word, list(condition.get(word) or [])


def _is_group(row: Any) -> bool:
    return isinstance(row, dict) and bool(row.keys() & {"all", "any"})
