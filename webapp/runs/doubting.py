"""Steps whose effect is in doubt, as their boxes on the run's page ask about them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

from webapp.engine.recovery import CALL
from webapp.kernel import jsons
from webapp.runs.paths import Places, element_id, outermost
from webapp.runs.presenting import asked, title_of
from webapp.web.formats import words

_HIDDEN: Final = "••••"
_TIMES: Final = re.compile(r"([\[#])(\d{1,6})")
_FALLEN: Final = "The machine stopped while this step was at work."
_UNSENT: Final = frozenset({"read", "ok"})
"""Parts of a frozen request that say how its answer is read."""

Pairs = list[tuple[str, Any]]


@dataclass(frozen=True, slots=True)
class Doubt:
    """One question.

    Attributes:
        sent: what was being sent, as the journal froze it before it was sent.
        note: the form's field.
    """

    id: str
    path: str
    title: str
    text: str
    code: str
    sent: Pairs
    note: dict[str, Any]


def doubt_of(row: Any, places: Places, note: Any = None) -> Doubt:
    """Return the question about a row of the journal; `note` is a field as it was typed."""
    key = element_id(row.path)
    error = row.error or {}
    empty = {"value": "", "errors": []}
    field = empty if note is None else {"value": note.shown, "errors": note.errors}
    return Doubt(
        key,
        row.path,
        f"Did {place_in_words(row.path, places)} happen?",
        str(error.get("text") or _FALLEN),
        str(error.get("code") or "E-DOUBT"),
        sent(row.request),
        {"id": f"note-{key}", "name": "note", "label": "Note"} | field,
    )


def place_in_words(path: str, places: Places) -> str:
    """Name the step at a path: by its number, and inside another by that one's too."""
    base, call, _ = path.partition(CALL)
    step, root = places.step_at(base), outermost(base)
    name = title_of(step) if step is not None else base
    number = places.numbers.get(root)
    said = f"step {number} “{name}”" if base == root else f"“{name}” in step {number}"
    for sign, number in _TIMES.findall(base) if base != root else []:
        said += f", round {int(number):,}" if sign == "#" else f", item {int(number) + 1:,}"
    return f"a tool call of {said}" if call else said


def sent(request: bytes | None) -> Pairs:
    """Return what a frozen request was to say, by names; secrets are never shown."""
    return in_pairs(asked(request))


def in_pairs(value: Any) -> Pairs:
    """Return what a frozen request says, as a value, by names."""
    if not isinstance(value, dict):
        return []
    pairs = _http(value) if {"method", "url"} <= value.keys() else _named(value)
    return [(label, part) for label, part in pairs if part not in (None, "", [], {})]


def _http(value: dict[str, Any]) -> Pairs:
    return [
        ("Request", f"{value['method']} {value['url']}"),
        ("Added to the address", _by_name(value.get("query"))),
        ("Headers", _by_name(value.get("headers"))),
        ("Content", _content(value.get("body"))),
    ]


def _named(value: dict[str, Any]) -> Pairs:
    return [(words(name), part) for name, part in value.items() if name not in _UNSENT]


def _by_name(pairs: Any) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in pairs or []:
        pieces = value if isinstance(value, list) else [value]
        text = "".join(_HIDDEN if isinstance(piece, dict) else str(piece) for piece in pieces)
        found[name] = f"{found[name]}, {text}" if name in found else text
    return found


def _content(body: Any) -> Any:
    """Return the JSON that a body holds, else the body."""
    if isinstance(body, str) and body[:1] in {"{", "["}:
        try:
            return jsons.loads(body)
        except ValueError:
            return body
    return body
