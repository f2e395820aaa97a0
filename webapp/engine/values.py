"""From what the plan says to what a step gets: literals and references become values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from webapp.engine.adjust import adjust
from webapp.engine.allowance import Allowance
from webapp.engine.errors import StepError
from webapp.engine.readings import as_day, as_moment, as_text, as_truth, is_empty, read_number

MOST_NOTES = 20
CHANGES = "#changes"
"""Root under which the two ends of a round see why it is done; no plan can name it."""


class Scope:
    """What can be seen at one place of the plan: values by root, the nearest block first.

    Args:
        roots: "start", "run", "now", "item" or a step id, each with its values by name.
        around: the scope of the block outside.
        facts: what adjustments may know: `zone` of the organization, `files` by id.
    """

    __slots__ = ("allowance", "around", "facts", "notes", "roots")

    def __init__(
        self,
        roots: Mapping[str, Any],
        around: Scope | None = None,
        facts: Mapping[str, Any] | None = None,
    ) -> None:
        self.roots = roots
        self.around = around
        self.facts: Mapping[str, Any] = (
            facts if facts is not None else around.facts if around is not None else {}
        )
        self.notes: list[str] = []
        self.allowance: Allowance = around.allowance if around is not None else Allowance()

    def lookup(self, ref: Sequence[str | int]) -> Any:
        """Return the value at `ref`; a missing part is empty, never an error."""
        value = self._root(ref[0]) if ref else None
        for part in ref[1:]:
            value = _part(value, part)
            if value is None:
                return None
        return value

    def at_row(self, item: Any) -> Scope:
        """Return the scope in which `item` is a row of a list; its notes are noted here."""
        row = Scope({"item": item}, self)
        row.notes = self.notes
        return row

    def note(self, text: str) -> None:
        """Keep a sentence for the step's details; the first twenty say enough."""
        if len(self.notes) < MOST_NOTES:
            self.notes.append(text)

    def _root(self, name: str | int) -> Any:
        scope: Scope | None = self
        while scope is not None:
            if name in scope.roots:
                return scope.roots[str(name)]
            scope = scope.around
        return None


def _part(value: Any, part: str | int) -> Any:
    if isinstance(value, Mapping):
        return value.get(part)
    if isinstance(value, list) and isinstance(part, int) and -len(value) <= part < len(value):
        return value[part]
    return None


def render(value: Any, scope: Scope) -> Any:
    """Return a VALUE of the plan with its references filled in.

    A reference alone keeps its type; otherwise the parts are joined to a text.

    Raises:
        StepError: E-VALUE-EMPTY, a reference was empty and says "stop" for that case.
    """
    if isinstance(value, list):
        if len(value) == 1 and "value" in value[0]:
            return _reference(value[0], scope, if_absent=None)
        return "".join(_joined(part, scope) for part in value)
    if isinstance(value, Mapping):
        inner: Any
        if "list" in value:
            inner = [render(item, scope) for item in value["list"]]
        else:
            inner = {name: render(item, scope) for name, item in value["record"].items()}
        scope.allowance.spend(inner)
        return inner
    return value


def render_text(value: Any, scope: Scope) -> str:
    """Return a VALUE as the text people read."""
    return as_text(render(value, scope))


def render_secret(value: Any, scope: Scope) -> str | list[str | dict[str, str]]:
    """Return a text, or its pieces where some are secrets.

    A secret stays `{"secret": name}`: it is put in at the last moment, so that it is never
    written down, and no text that comes from outside can ask for one.
    """
    parts = value if isinstance(value, list) else []
    if not any(_is_secret(part) for part in parts):
        return render_text(value, scope)
    return [
        {"secret": str(part["value"][1])} if _is_secret(part) else _joined(part, scope)
        for part in parts
    ]


def _is_secret(part: Mapping[str, Any]) -> bool:
    return "value" in part and part["value"][0] == "secret"


def _joined(part: Mapping[str, Any], scope: Scope) -> str:
    text = part["text"] if "text" in part else as_text(_reference(part, scope, if_absent=""))
    scope.allowance.count(len(text))
    return str(text)


def _reference(part: Mapping[str, Any], scope: Scope, *, if_absent: Any) -> Any:
    value = scope.lookup(part["value"])
    if part.get("adjust"):
        value = adjust(value, part["adjust"], scope.facts)
        scope.allowance.spend(value)
    if not is_empty(value):
        return value
    # An empty list stays a list: "for each of no items" is an answer, not a gap.
    otherwise = part.get("if_empty", value if value is not None else if_absent)
    if isinstance(otherwise, Mapping) and otherwise.get("do") == "stop":
        name = str(part["value"][-1])
        raise StepError(
            "E-VALUE-EMPTY",
            f"“{name}” was empty, so this step had nothing to work with. Nothing was sent.",
            proven=True,
            retryable=False,
            facts={"value": name, "ref": list(part["value"])},
        )
    return otherwise


def as_type(value: Any, word: str, zone: str = "UTC") -> Any:
    """Return `value` as a field of type `word` keeps it, or None where it can't be one."""
    if is_empty(value) or word in ("any", "oneof", "file"):
        return value
    match word:
        case "text":
            return as_text(value)
        case "number":
            return read_number(value)
        case "boolean":
            return as_truth(value)
        case "date":
            day = as_day(value, zone)
            return day.isoformat() if day else None
        case "datetime":
            moment = as_moment(value, zone)
            return moment.isoformat() if moment else None
        case "list":
            return value if isinstance(value, list) else [value]
    return value if isinstance(value, dict) else None
