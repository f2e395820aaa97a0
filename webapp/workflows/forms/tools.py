"""The fields of a tool's arguments, made from the tool's schema."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from webapp.engine.tools import TOOLS
from webapp.workflows.forms.cards import name_from
from webapp.workflows.forms.parts import (
    ABSENT,
    Amount,
    Check,
    Choose,
    Doc,
    Element,
    Env,
    Fold,
    Given,
    Inside,
    Part,
    Value,
    Words,
)
from webapp.workflows.forms.rows import Cell, Rows

Schema = dict[str, Any]
_CHOICES: Final = (("", "Choose a tool"), *((tool.name, tool.label) for tool in TOOLS.values()))
_YES_NO: Final = (("", "no"), ("yes", "yes"))


def parts_of_tool(settings: Doc) -> Sequence[Part]:
    """Return the choice of the tool, and what the chosen one needs."""
    choose = Choose("tool", "Tool", "", _CHOICES)
    tool = TOOLS.get(str(settings.get("tool") or ""))
    if tool is None:
        return (choose,)
    schema = tool.args.model_json_schema()
    needed = set(schema.get("required") or [])
    parts = {name: _part(name, one, schema) for name, one in schema["properties"].items()}
    main = [part for name, part in parts.items() if name in needed or isinstance(part, Rows)]
    rest = [part for part in parts.values() if part not in main]
    more = (Fold("fold", "More about the tool", "", rest),) if rest else ()
    return (choose, Inside("args", "What it gets", tool.description, (*main, *more)))


def _part(name: str, one: Schema, whole: Schema) -> Part:
    one = _plain(one, whole)
    label = str(one.get("title") or name.replace("_", " ").capitalize())
    hint = str(one.get("description") or "")
    match one.get("type"):
        case "boolean":
            return Check(name, label, hint, bool(one.get("default")))
        case "integer" | "number":
            shown = f"{one['default']:,} when empty." if one.get("default") else ""
            return Amount(name, label, " ".join(filter(None, (hint, shown))))
        case "array":
            return _array(name, label, hint, _plain(one.get("items") or {}, whole), whole)
        case "object":
            return ArgumentPairs(name, label, hint, _PAIR, "Add a value", blank=1)
    if "enum" in one:
        words = sorted(one["enum"], key=lambda word: word != one.get("default"))
        return Choose(name, label, hint, tuple((str(w), str(w).capitalize()) for w in words))
    return Value(name, label, hint, rows=1)


def _plain(one: Schema, whole: Schema) -> Schema:
    """Follow `$ref`, and take the one branch of an `anyOf` that is not null."""
    if "$ref" in one:
        found = whole.get("$defs", {}).get(one["$ref"].rpartition("/")[2], {})
        return {**found, **{key: value for key, value in one.items() if key != "$ref"}}
    options = [option for option in one.get("anyOf") or [] if option.get("type") != "null"]
    return {**options[0], **one} if len(options) == 1 else one


def _array(name: str, label: str, hint: str, item: Schema, whole: Schema) -> Part:
    if item.get("type") == "object" and item.get("properties"):
        needed = {*(item.get("required") or []), "type"}
        cells = tuple(
            _cell(key, _plain(inner, whole), key in needed)
            for key, inner in item["properties"].items()
        )
        return ArgumentRows(name, label, hint, cells, "Add a row", blank=1, schema=item)
    return ArgumentWords(name, label, f"{hint} With commas between them.".strip())


def _cell(name: str, one: Schema, is_main: bool) -> Cell:
    label = str(one.get("title") or name.capitalize())
    if one.get("type") == "boolean":
        return Cell(name, label, "select", _YES_NO)
    if "enum" in one:
        words = sorted(one["enum"], key=lambda word: word != one.get("default"))
        choices = tuple((str(word), str(word).capitalize()) for word in words)
        return Cell(name, label, "select", choices, more=not is_main)
    shown = ", ".join(one["default"]) if isinstance(one.get("default"), list) else ""
    return Cell(name, label, placeholder=shown, more=not is_main)


_PAIR: Final = (Cell("name", "Name"), Cell("value", "Value", values=True))


class ArgumentWords(Words):
    """Words that the plan keeps as `{"list": [...]}`."""

    def show(self, settings: Doc, at: str, env: Env) -> Element:
        return Words.show(self, {self.key: _listed(settings.get(self.key))}, at, env)

    def read(self, given: Given, at: str, old: Doc, env: Env) -> Any:
        words = Words.read(self, given, at, old, env)
        return ABSENT if words is ABSENT else {"list": words}


class ArgumentPairs(Rows):
    """Names and values that the plan keeps as `{"record": {...}}`."""

    def show(self, settings: Doc, at: str, env: Env) -> Element:
        return Rows.show(self, {self.key: self._pairs(settings)}, at, env)

    def read(self, given: Given, at: str, old: Doc, env: Env) -> Any:
        pairs = Rows.read(self, given, at, {self.key: self._pairs(old)}, env)
        if pairs is ABSENT:
            return ABSENT
        return {"record": {pair["name"]: pair.get("value") for pair in pairs if pair.get("name")}}

    def _pairs(self, settings: Doc) -> list[Doc]:
        value = settings.get(self.key)
        record = value.get("record", {}) if isinstance(value, dict) else {}
        return [{"name": name, "value": one} for name, one in record.items()]


class ArgumentRows(Rows):
    """Rows that the plan keeps as `{"list": [{"record": {...}}]}`."""

    def __init__(self, *args: Any, schema: Schema, **named: Any) -> None:
        super().__init__(*args, **named)
        object.__setattr__(self, "schema", schema)

    def show(self, settings: Doc, at: str, env: Env) -> Element:
        return Rows.show(self, {self.key: self._rows(settings)}, at, env)

    def read(self, given: Given, at: str, old: Doc, env: Env) -> Any:
        rows = Rows.read(self, given, at, {self.key: self._rows(old)}, env)
        if rows is ABSENT:
            return ABSENT
        used: set[str] = set()
        return {"list": [{"record": self._record(row, used)} for row in rows]}

    def _row(self, given: Given, at: str, was: Doc, env: Env) -> Doc | None:
        """Return the row; what is as usual and was not written before is left out."""
        row = Rows._row(self, given, at, was, env)
        if row is None:
            return None
        properties = self.schema["properties"]  # type: ignore[attr-defined]
        usual = {name: one.get("default") for name, one in properties.items()}
        return {
            name: value for name, value in row.items() if name in was or value != usual.get(name)
        }

    def _rows(self, settings: Doc) -> list[Doc]:
        found = [one.get("record", {}) for one in _listed(settings.get(self.key))]
        return [{key: _listed_or_plain(value) for key, value in row.items()} for row in found]

    def _record(self, row: Doc, used: set[str]) -> Doc:
        """Return the row in the types of the schema."""
        record: Doc = {}
        for name, one in self.schema["properties"].items():  # type: ignore[attr-defined]
            value = row.get(name)
            if value in (None, "", []):
                continue
            kind = _plain(one, {}).get("type")
            if kind == "boolean":
                value = value is True or value == "yes"
            elif kind == "array":
                words = value if isinstance(value, list) else str(value).split(",")
                value = {"list": [word.strip() for word in words if word.strip()]}
            elif kind == "integer" and str(value).isdecimal():
                value = int(value)
            record[name] = value
        return _with_name(record, used)


def _with_name(record: Doc, used: set[str]) -> Doc:
    """Keep a column's name as data needs it, and what was typed as its heading in the file."""
    typed = record.get("name")
    if not isinstance(typed, str):
        return record
    name = name_from(typed, used)
    used.add(name)
    if name == typed:
        return record
    return {"name": name, "heading": typed, **{k: v for k, v in record.items() if k != "name"}}


def _listed(value: Any) -> list[Any]:
    return value.get("list", []) if isinstance(value, dict) else []


def _listed_or_plain(value: Any) -> Any:
    return value["list"] if isinstance(value, dict) and "list" in value else value
