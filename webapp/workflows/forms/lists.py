"""Settings that are lists: flat rows, cards with fields of their own, conditions."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from webapp.workflows.forms.parts import (
    ABSENT,
    Choose,
    Doc,
    Element,
    Env,
    Given,
    Part,
    Value,
    as_number,
    read_all,
    show_all,
)

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
_UNITS = ("minutes", "hours", "days", "weeks", "months")
_WITHIN = re.compile(r"(\d{1,6})\s*(minute|hour|day|week|month)s?", re.IGNORECASE)


def name_from(label: str, used: set[str]) -> str:
    """Return a name for data made from what people read: "Total amount" -> total_amount."""
    plain = unicodedata.normalize("NFKD", label).encode("ascii", "ignore").decode().lower()
    stem = re.sub(r"[^a-z0-9]+", "_", plain).strip("_")[:36]
    stem = stem if stem[:1].isalpha() else f"value_{stem}".rstrip("_")
    name, number = stem, 1
    while name in used:
        number += 1
        name = f"{stem}_{number}"
    return name


def is_stopgap(name: str) -> bool:
    """Whether the name was only given because a thing needs one before it has a label."""
    return re.fullmatch(r"(question|value)_\d+", name) is not None


@dataclass(frozen=True, slots=True)
class Cell:
    """One column of flat rows. `values`: it may hold values of earlier steps."""

    key: str
    label: str
    kind: str = "text"
    choices: Sequence[tuple[str, str]] = ()
    values: bool = False
    width: str = ""
    placeholder: str = ""
    columns: bool = False
    more: bool = False
    """Few need it: behind one line."""


@dataclass(frozen=True, slots=True)
class Rows(Part):
    """Rows of a few cells: headers, columns, sort keys. Empty rows are dropped."""

    cells: Sequence[Cell] = ()
    add_label: str = "Add a row"
    blank: int = 0
    """How many empty rows stand there at least."""
    load: Callable[[Any], list[Doc]] = list
    store: Callable[[list[Doc]], Any] = list
    """From the setting to rows and back; the value cells are VALUEs in both."""

    def show(self, settings: Doc, at: str, env: Env) -> Element:
        name = self.name(at)
        shown = [self._shown(row, env) for row in self.load(settings.get(self.key) or [])]
        blank = max(env.more.get(name, 0), self.blank) - len(shown)
        shown += [{} for _ in range(blank)]
        for number, row in enumerate(shown):
            row["errors"] = {
                cell.key: env.errors[f"{name}-{number}-{cell.key}"]
                for cell in self.cells
                if f"{name}-{number}-{cell.key}" in env.errors
            }
        columns = [self._column(cell, env) for cell in self.cells]
        return self._element("rows", at, env, rows=shown, columns=columns, add=self.add_label)

    def _shown(self, row: Doc, env: Env) -> Doc:
        shown: Doc = {}
        for cell in self.cells:
            value = row.get(cell.key)
            shown[cell.key] = env.here.show(value) if cell.values else _as_text(value)
        return shown

    def _column(self, cell: Cell, env: Env) -> Element:
        offered = env.tokens if cell.values else "columns" if cell.columns else ""
        return {
            "name": cell.key,
            "label": cell.label,
            "kind": cell.kind,
            "choices": cell.choices,
            "width": cell.width,
            "placeholder": cell.placeholder,
            "list": offered,
            "more": cell.more,
        }

    def read(self, given: Given, at: str, old: Doc, env: Env) -> Any:
        name = self.name(at)
        before = self.load(old.get(self.key) or [])
        rows = []
        for index in given.indexes(name):
            was = before[index] if index < len(before) else {}
            row = self._row(given, f"{name}-{index}", was, env)
            if row is not None:
                rows.append(row)
        return self.store(rows) if rows else ABSENT

    def _row(self, given: Given, at: str, was: Doc, env: Env) -> Doc | None:
        row = dict(was)
        is_empty = True
        for cell in self.cells:
            text = given.text(f"{at}-{cell.key}").strip()
            is_empty = is_empty and (not text or cell.kind == "select")
            value: Any = env.here.read(text, was.get(cell.key)) if cell.values else text
            if value is None or value == "":
                row.pop(cell.key, None)
            elif _as_text(was.get(cell.key)) != text or cell.values:
                row[cell.key] = value
        return None if is_empty else row


def _as_text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else ""
    if isinstance(value, list):
        return ", ".join(str(one) for one in value)
    return "" if value is None else str(value)


@dataclass(frozen=True, slots=True)
class Cards(Part):
    """A list of records, each with fields of its own.

    Attributes:
        parts: the fields of a record.
        kinds: instead, the fields by the record's word under `by`, as operations have.
        fresh: a new record for an added word, given the ones that are there.
        title: heading of a record.
    """

    parts: Sequence[Part] = ()
    by: str = ""
    kinds: Mapping[str, tuple[str, Sequence[Part]]] = field(default_factory=dict)
    add_label: str = "Add"
    one: str = "entry"
    in_rows: bool = False
    named: bool = False
    """Whether a record's name for data is made from its label."""
    choose: Callable[[Doc], Sequence[Part]] | None = None
    """Instead of `parts`: the fields that this record needs."""
    fresh: Callable[[str, list[Doc]], Doc] = lambda word, present: {}
    title: Callable[[Doc], str] = lambda entry: str(entry.get("label") or "")

    def show(self, settings: Doc, at: str, env: Env) -> Element:
        name = self.name(at)
        was, env.in_rows = env.in_rows, self.in_rows or env.in_rows
        entries = settings.get(self.key) or []
        cards = [
            self._card(entry, f"{name}-{number}", number, env)
            for number, entry in enumerate(entries)
            if isinstance(entry, dict)
        ]
        env.in_rows = was
        adds = [(word, label) for word, (label, _) in self.kinds.items()] or [("", self.add_label)]
        return self._element("cards", at, env, cards=cards, adds=adds, one=self.one)

    def _card(self, entry: Doc, at: str, number: int, env: Env) -> Element:
        word = str(entry.get(self.by, "")) if self.by else ""
        label = self.kinds[word][0] if word in self.kinds else ""
        return {
            "at": at,
            "number": number + 1,
            "word": word,
            "title": label or self.title(entry) or f"{self.one.capitalize()} {number + 1}",
            "elements": show_all(self._parts(entry), entry, at, env),
        }

    def _parts(self, entry: Doc) -> Sequence[Part]:
        if self.choose is not None:
            return self.choose(entry)
        if not self.by:
            return self.parts
        return self.kinds.get(str(entry.get(self.by, "")), ("", ()))[1]

    def read(self, given: Given, at: str, old: Doc, env: Env) -> Any:
        name = self.name(at)
        was, env.in_rows = env.in_rows, self.in_rows or env.in_rows
        before = [one for one in old.get(self.key) or [] if isinstance(one, dict)]
        # A card that the form did not show, because somebody else added it, is kept.
        entries = [
            read_all(self._parts(entry), given, f"{name}-{number}", entry, env)
            if given.has(f"{name}-{number}")
            else entry
            for number, entry in enumerate(before)
        ]
        env.in_rows = was
        added = given.text(f"{name}-new")
        entries = given.rearranged(name, entries, lambda word: self._fresh(word or added, entries))
        if self.named:
            _name_all(entries)
        return entries or ABSENT

    def _fresh(self, word: str, present: list[Doc]) -> Doc:
        known = {self.by: word} if word in self.kinds else {}
        return {**self.fresh(word, present), **known}


def _name_all(entries: list[Doc]) -> None:
    """Give each labelled entry the name that data has for it; a name once given stays."""
    used = {str(one["name"]) for one in entries if one.get("name")}
    for entry in entries:
        if entry.get("label") and not entry.get("name"):
            entry["name"] = name_from(str(entry["label"]), used)
            used.add(entry["name"])


@dataclass(frozen=True, slots=True)
class Label(Part):
    """What people call a named thing; its name for data is made once and kept.

    A thing that only has a name shows that.
    """

    def show(self, settings: Doc, at: str, env: Env) -> Element:
        name = str(settings.get("name") or "")
        value = str(settings.get(self.key) or ("" if is_stopgap(name) else name))
        return self._element("text", at, env, value=value, attrs={"maxlength": 60})

    def read(self, given: Given, at: str, old: Doc, env: Env) -> Any:
        text = " ".join(given.text(self.name(at)).split())[:60]
        is_name = not old.get(self.key) and text == old.get("name")
        return ABSENT if is_name or not text else text


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
            operators=OPERATORS,
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
        row: Doc = {"is": op if op in dict(OPERATORS) else "equal"}
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


def _joined(condition: Doc) -> tuple[str, list[Doc]]:
    word = "any" if "any" in condition else "all"
    return word, list(condition.get(word) or [])


def _is_group(row: Any) -> bool:
    return isinstance(row, dict) and bool(row.keys() & {"all", "any"})


__all__ = [
    "OPERATORS",
    "Cards",
    "Cell",
    "Choose",
    "ConditionPart",
    "Label",
    "Rows",
    "Value",
    "name_from",
]
