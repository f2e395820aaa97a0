"""What a step does in one line, with the names of the values it uses, as its row shows it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from webapp.engine.tools import TOOLS
from webapp.workflows.wording import listed

Doc = dict[str, Any]
Piece = tuple[str, bool]
"""A text, and whether it is the name of a value."""

_MOST: Final = 90
_BLANKS: Final = re.compile(r"\s+")
_OPERATION_WORDS: Final = {
    "filter": "keep some",
    "sort": "sort",
    "first": "take the first",
    "last": "take the last",
    "unique": "remove doubles",
    "group": "group",
    "pick": "choose columns",
    "rename": "rename columns",
    "compute": "compute",
    "flatten": "unfold",
    "join": "add columns",
}


def summary(step: Doc, titles: Mapping[str, str]) -> list[Piece]:
    """Return the pieces of the sentence; empty when there is nothing to say yet."""
    settings = step.get("with") or {}
    say = _SAY.get(step.get("kind", ""))
    return _cut(say(settings, titles)) if say is not None else []


def value_pieces(value: Any, titles: Mapping[str, str]) -> list[Piece]:
    """Return a VALUE as text and names of values."""
    if isinstance(value, list):
        return [
            (str(part["text"]), False) if "text" in part else (_name(part["value"], titles), True)
            for part in value
        ]
    if isinstance(value, dict):
        return [("a list" if "list" in value else "some values", False)]
    return [] if value is None else [(str(value), False)]


def plain(pieces: list[Piece]) -> str:
    return "".join(text for text, _ in pieces)


def _name(ref: list[str | int], titles: Mapping[str, str]) -> str:
    words = [str(part) for part in ref[1:] if isinstance(part, str) and part != "item"]
    if not words:
        return "This item" if "item" in ref else titles.get(str(ref[0]), "a value")
    return words[-1].replace("_", " ").capitalize()


def _cut(pieces: list[Piece]) -> list[Piece]:
    kept: list[Piece] = []
    left = _MOST
    for text, is_value in pieces:
        text = _BLANKS.sub(" ", text)
        if len(text) > left:
            kept.append((f"{text[: max(left - 1, 0)]}…", is_value))
            break
        kept.append((text, is_value))
        left -= len(text)
    return kept


def _text(settings: Doc, titles: Mapping[str, str]) -> list[Piece]:
    return value_pieces(settings.get("text"), titles)


def _http(settings: Doc, titles: Mapping[str, str]) -> list[Piece]:
    url = value_pieces(settings.get("url"), titles)
    return [(f"{settings.get('method', 'GET')} ", False), *url] if url else []


def _set(settings: Doc, titles: Mapping[str, str]) -> list[Piece]:
    names = [str(f.get("label") or f.get("name") or "") for f in settings.get("fields") or []]
    return [(listed([name for name in names if name][:6]), False)] if any(names) else []


def _list(settings: Doc, titles: Mapping[str, str]) -> list[Piece]:
    source = value_pieces(settings.get("from"), titles)
    words = [_OPERATION_WORDS.get(op.get("do", ""), "") for op in settings.get("do") or []]
    if not source:
        return []
    return [("From ", False), *source, (f": {listed(words)}" if words else "", False)]


def _if(settings: Doc, titles: Mapping[str, str]) -> list[Piece]:
    branches = settings.get("branches") or []
    row = _first_row(branches[0].get("when") or {}) if branches else None
    if row is None:
        return []
    from webapp.workflows.forms.conditions import NOT_YET, OPERATORS

    words = dict([*OPERATORS, *NOT_YET]).get(row.get("is", "equal"), "is")
    to = row.get("to")
    if isinstance(to, dict):
        to = f"{to.get('n', '')} {to.get('unit', '')}"
    if row.get("is") in {"between", "one_of"}:
        to = f"{len(to) if isinstance(to, list) else 0} values"
    more = f" and {len(branches) - 1} more" if len(branches) > 1 else ""
    return [
        *value_pieces(row.get("value"), titles),
        (f" {words} ", False),
        *value_pieces(to, titles),
        (more, False),
    ]


def _first_row(condition: Doc) -> Doc | None:
    rows = condition.get("all") or condition.get("any") or []
    return next((row for row in rows if isinstance(row, dict) and "is" in row), None)


def _parallel(settings: Doc, titles: Mapping[str, str]) -> list[Piece]:
    until = settings.get("until", "all")
    if isinstance(until, dict):
        return [(f"Goes on when {until.get('n')} lanes are done.", False)]
    word = "the first lane is" if until == "first" else "all lanes are"
    return [(f"Goes on when {word} done.", False)]


def _each(settings: Doc, titles: Mapping[str, str]) -> list[Piece]:
    source = value_pieces(settings.get("list"), titles)
    if not source:
        return []
    return [("Of ", False), *source, (f", {settings.get('at_once', 3)} at once", False)]


def _wait(settings: Doc, titles: Mapping[str, str]) -> list[Piece]:
    if isinstance(signal := settings.get("signal"), dict):
        name = signal.get("name")
        return [(f"For the signal “{name}”", False)] if name else []
    if settings.get("until") is not None:
        return [("Until ", False), *value_pieces(settings["until"], titles)]
    seconds = settings.get("for_s")
    if not isinstance(seconds, int):
        return [("For ", False), *value_pieces(seconds, titles)] if seconds is not None else []
    for unit, word in ((86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second")):
        if seconds and seconds % unit == 0:
            count = seconds // unit
            return [(f"For {count:,} {word}{'' if count == 1 else 's'}", False)]
    return [("For 0 seconds", False)]


_ASKED: Final = {
    "owner": "owners", "admin": "admins", "member": "members", "viewer": "everybody",
}  # fmt: skip


def _approval(settings: Doc, titles: Mapping[str, str]) -> list[Piece]:
    who = [one for one in settings.get("who") or [] if isinstance(one, dict)]
    people = sum("person" in one for one in who)
    named = [_ASKED.get(str(one["role"]), "") for one in who if "role" in one]
    named += ["a group"] if any("group" in one for one in who) else []
    named += ["whoever started it"] if any("starter" in one for one in who) else []
    named += [f"{people} {'person' if people == 1 else 'people'}"] if people else []
    return [(f"Asks {listed(named)}", False)] if named else []


def _agent(settings: Doc, titles: Mapping[str, str]) -> list[Piece]:
    return value_pieces(settings.get("message"), titles)


def _tool(settings: Doc, titles: Mapping[str, str]) -> list[Piece]:
    tool = TOOLS.get(str(settings.get("tool") or ""))
    if tool is None:
        return []
    args = settings.get("args") or {}
    first = next((value_pieces(v, titles) for v in args.values() if isinstance(v, list)), [])
    return [(f"{tool.label}: ", False), *first] if first else []


def _stop(settings: Doc, titles: Mapping[str, str]) -> list[Piece]:
    word = "As failed" if settings.get("as") == "failed" else "As done"
    message = value_pieces(settings.get("message"), titles)
    return [(f"{word}: " if message else word, False), *message]


def _repeat(settings: Doc, titles: Mapping[str, str]) -> list[Piece]:
    most = settings.get("most", 10)
    return [(f"At most {most} rounds", False)]


def _workflow(settings: Doc, titles: Mapping[str, str]) -> list[Piece]:
    name = titles.get(str(settings.get("workflow") or ""))
    if not name:
        return []
    version = settings.get("version", "live")
    which = "" if version == "live" else f", version {version}"
    alone = "" if settings.get("wait", True) else ", and goes on at once"
    return [("Runs ", False), (name, True), (f"{which}{alone}", False)]


_SAY: Final[dict[str, Callable[[Doc, Mapping[str, str]], list[Piece]]]] = {
    "agent": _agent,
    "approval": _approval,
    "each": _each,
    "http": _http,
    "if": _if,
    "list": _list,
    "parallel": _parallel,
    "repeat": _repeat,
    "set": _set,
    "stop": _stop,
    "text": _text,
    "tool": _tool,
    "wait": _wait,
    "workflow": _workflow,
}
