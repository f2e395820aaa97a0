"""A value or a computation, as `set` and the operations of `list` have them."""

from __future__ import annotations

from typing import Any, Final

from webapp.workflows.forms.cards import Cards
from webapp.workflows.forms.parts import (
    ABSENT,
    Doc,
    Element,
    Env,
    Given,
    Lines,
    Part,
    Value,
)

TYPES: Final = (
    ("any", "Any"),
    ("text", "Text"),
    ("number", "Number"),
    ("boolean", "Yes or no"),
    ("date", "Date"),
    ("datetime", "Date and time"),
    ("list", "List"),
    ("record", "Fields"),
    ("file", "File"),
)


_COMPUTE: Final = (
    ("", "is this value"),
    ("add", "adds these"),
    ("subtract", "subtracts these, in order"),
    ("multiply", "multiplies these"),
    ("divide", "divides these, in order"),
    ("sum", "sums a list"),
    ("min", "takes the smallest"),
    ("max", "takes the largest"),
    ("average", "takes the average"),
    ("count", "counts"),
    ("join", "joins as text"),
)


class Computed(Part):
    """A value, or a computation over several values: one field for both, one line each."""

    def show(self, settings: Doc, at: str, env: Env) -> Element:
        op = str(settings.get("op") or "")
        lines = settings.get("of") or [] if op else [settings.get("value")]
        text = "\n".join(env.here.show(one) for one in lines)
        return self._element(
            "computed", at, env, value=text, op=op, ops=_COMPUTE, offers=env.tokens, rows=2
        )

    def read(self, given: Given, at: str, old: Doc, env: Env) -> Any:
        return ABSENT

    def change(self, given: Given, at: str, entry: Doc, env: Env) -> Doc:
        """Return the entry with either `value`, or `op` and `of`."""
        name = self.name(at)
        op = given.text(f"{name}-op")
        rest = {key: one for key, one in entry.items() if key not in {"value", "op", "of"}}
        if op not in {word for word, _ in _COMPUTE} or not op:
            rest.pop("digits", None)
            value = Value("value", "").read(_renamed(given, name, f"{at}-value"), at, entry, env)
            return rest if value is ABSENT else {**rest, "value": value}
        of = Lines("of", "").read(_renamed(given, name, f"{at}-of"), at, entry, env)
        return {**rest, "op": op, "of": [] if of is ABSENT else of}


def _renamed(given: Given, name: str, to: str) -> Given:
    return Given({to: given.text(name)})


class NamedValues(Cards):
    """Cards that each hold a name and a `Computed`."""

    def _read_entry(self, entry: Doc, given: Given, at: str, env: Env) -> Doc:
        return super()._read_entry(COMPUTED.change(given, at, entry, env), given, at, env)


COMPUTED: Final = Computed("is", "It")
