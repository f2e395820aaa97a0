"""Which earlier values a field can use, with the names people see.

What can be seen where is the engine's to say; here the columns of lists are added, as far as the
settings of earlier steps tell, and ids become names.
"""

from __future__ import annotations

from itertools import islice
from typing import Any, Final

from webapp.engine.callees import Callee, Callees, call_of
from webapp.engine.grammar import Field
from webapp.engine.plan import Plan, Step
from webapp.engine.sight import NOW, RUN, Seen, given, walk
from webapp.workflows.columns import csv_columns, listed_columns, source_of
from webapp.workflows.tokens import Choice, Group, Names
from webapp.workflows.wording import step_title

TYPE_WORDS: Final = {
    "text": "text",
    "number": "number",
    "boolean": "yes or no",
    "date": "date",
    "datetime": "date, time",
    "oneof": "one of",
    "list": "list",
    "record": "fields",
    "file": "file",
    "any": "",
}
_LAST: Final = ("run", "now")
_Then = tuple[Seen, int]
"""What a walk had seen, and how much of it there was at the time."""


class Sights:
    """What each place of one draft can see; one walk answers for all of them."""

    def __init__(self, plan: Plan, callees: Callees) -> None:
        self._callees = callees
        self._steps = {step.id: step for step in plan.walk()}
        self._inputs = list(plan.inputs)
        self._seen: dict[str, _Then] = {}
        self._inside: dict[str, _Then] = {}
        self._fields: dict[str, list[Field]] = {}
        self._end = walk(plan, self._look, callees)
        self.titles = {step.id: _title(step) for step in plan.walk()}
        self.titles |= {"start": "Start", "run": "Run", "now": "Now", "item": "Row"}

    def _look(self, step: Step, seen: Seen, inside: Seen) -> None:
        # The walk goes on to fill what it hands out, and only ever adds to it.
        self._seen[step.id], self._inside[step.id] = (seen, len(seen)), (inside, len(inside))

    def callee(self, step: dict[str, Any]) -> Callee | None:
        """Return what is known of the workflow that the step runs."""
        found = self._steps.get(str(step.get("id")))
        call = call_of(found) if found is not None else None
        return self._callees.get(call) if call is not None else None

    def names(self, step_id: str = "", *, inside: bool = False) -> Names:
        """Return the names for a step's settings; without a step, for the result.

        Args:
            inside: at the end of the step's own block, as what `each` collects sees it.
        """
        places = self._inside if inside else self._seen
        found, count = places.get(step_id, (self._end, len(self._end)))
        seen = dict(islice(found.items(), count))
        roots = [root for root in seen if root not in _LAST] + [r for r in _LAST if r in seen]
        groups = []
        for root in roots:
            sight = seen[root]
            is_item = any(field.name == "item" for field in sight.fields)
            fields = self._item_fields(root) if is_item else self._known(root, list(sight.fields))
            if fields:
                groups.append(self._group(root, fields, sight.may_be_empty))
        return Names(groups, self.titles)

    def names_of_rows(self, step_id: str) -> Names:
        """Return the names for a list step's operations: also the columns of its row."""
        names = self.names(step_id)
        known = {str(field.name): field for field in self._row_columns(step_id)}
        row = self._group("item", list(known.values()), False)
        return Names([row, *names.groups] if known else names.groups, self.titles)

    def columns(self, step_id: str) -> list[str]:
        """Return the names of the columns that a list step's operations can speak of."""
        return list(dict.fromkeys(str(field.name) for field in self._row_columns(step_id)))

    def gives(self, step_id: str) -> list[Choice]:
        """Return what the step gives to later ones."""
        return list(self._group(step_id, self._fields_of(step_id), False).choices)

    def _row_columns(self, step_id: str) -> list[Field]:
        step = self._steps[step_id]
        columns = self._columns_of(step)
        return [*columns, *listed_columns(_doc(step), columns, self._source)[1]]

    def _columns_of(self, step: Step) -> list[Field]:
        source = self._source(_settings(step).get("from"))
        return list(source.fields) if source is not None else []

    def _source(self, value: Any) -> Field | None:
        """Return what one item is of the list that a VALUE refers to."""
        return source_of(value, self._field_at)

    def _field_at(self, ref: list[str | int]) -> Field | None:
        if len(ref) < 2:
            return None
        root, name = str(ref[0]), ref[1]
        if name == "item" and root in self._steps:
            found = next(iter(self._item_fields(root)), None)
        else:
            found = next((f for f in self._fields_of(root) if f.name == name), None)
        for part in ref[2:]:
            if found is None:
                return None
            if isinstance(part, int):
                found = found.items
            else:
                found = next((field for field in found.fields if field.name == part), None)
        return found

    def _item_fields(self, root: str) -> list[Field]:
        source = self._source(_settings(self._steps[root]).get("list")) or Field(type="any")
        return [
            source.model_copy(update={"name": "item", "label": "This item"}),
            Field(name="index", label="Its place in the list", type="number"),
        ]

    def _fields_of(self, root: str) -> list[Field]:
        if root not in self._fields:
            self._fields[root] = []  # a step that refers to itself gets nothing
            if root in self._steps:
                self._fields[root] = self._known(root, given(self._steps[root], self._callees)[0])
            else:
                self._fields[root] = {"start": self._inputs, "run": RUN, "now": NOW}.get(root, [])
        return self._fields[root]

    def _known(self, root: str, fields: list[Field]) -> list[Field]:
        """Add the columns of the lists that the step gives."""
        step = self._steps.get(root)
        if step is None:
            return fields
        if step.kind == "list":
            is_known, columns = listed_columns(_doc(step), self._columns_of(step), self._source)
            return _with_columns(fields, "items", columns if is_known else [])
        if _settings(step).get("tool") == "csv.read":
            return _with_columns(fields, "rows", csv_columns(_settings(step)))
        return fields

    def _group(self, root: str, fields: list[Field], maybe_empty: bool) -> Group:
        choices: list[Choice] = []
        for field in fields:
            _choose(choices, (root, str(field.name)), _label(field), field, maybe_empty)
        return Group(self.titles.get(root, root), tuple(choices))


def _choose(
    choices: list[Choice],
    ref: tuple[str | int, ...],
    label: str,
    field: Field,
    maybe_empty: bool,
) -> None:
    choices.append(Choice(ref, label, TYPE_WORDS.get(field.type, ""), maybe_empty))
    if field.type == "record" and len(ref) < 5:
        for inner in field.fields:
            here = (*ref, str(inner.name))
            _choose(choices, here, f"{label}: {_label(inner)}", inner, maybe_empty)


def _with_columns(fields: list[Field], name: str, columns: list[Field]) -> list[Field]:
    items = Field(type="record", fields=columns)
    return [f.model_copy(update={"items": items}) if f.name == name else f for f in fields]


def _label(field: Field) -> str:
    return field.label or str(field.name).replace("_", " ").capitalize()


def _settings(step: Step) -> dict[str, Any]:
    return step.with_ if isinstance(step.with_, dict) else {}


def _doc(step: Step) -> dict[str, Any]:
    return {"kind": step.kind, "with": _settings(step)}


def _title(step: Step) -> str:
    return step_title({"kind": step.kind, "name": step.name, "with": _settings(step)})
