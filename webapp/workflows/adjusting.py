"""How an adjusted value is written in a text field: `[[Start: Total | as money EUR]]`.

Each adjustment of the plan has one phrase. People pick or type the phrase; the plan keeps the
adjustment.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

Adjustment = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Phrase:
    """Attributes: example: as the help shows it; pattern: reads it; say: writes it."""

    do: str
    example: str
    pattern: re.Pattern[str]
    make: Callable[[re.Match[str]], Adjustment]
    say: Callable[[Adjustment], str]
    types: tuple[str, ...]


def _plain(do: str, words: str, *types: str) -> Phrase:
    pattern = re.compile(re.escape(words), re.IGNORECASE)
    return Phrase(do, words, pattern, lambda _: {"do": do}, lambda _: words, types)


def _phrase(
    do: str,
    example: str,
    pattern: str,
    make: Callable[[re.Match[str]], Adjustment],
    say: Callable[[Adjustment], str],
    *types: str,
) -> Phrase:
    return Phrase(do, example, re.compile(pattern, re.IGNORECASE), make, say, types)


def _counted(do: str, what: str) -> Phrase:
    return _phrase(
        do,
        f"first 20 {what}",
        rf"first (\d{{1,6}}) {what}",
        lambda m: {"do": do, "n": int(m[1])},
        lambda a: f"first {a.get('n', 1)} {what}",
        "text",
    )


def _digits(do: str, words: str, what: str) -> Phrase:
    return _phrase(
        do,
        f"{words} to 2 digits",
        rf"{words}(?: to (\d{{1,2}}) digits?)?",
        lambda m: {"do": do, "digits": int(m[1])} if m[1] else {"do": do},
        lambda a: f"{words} to {a['digits']} digits" if "digits" in a else words,
        what,
    )


def _to_number(match: re.Match[str]) -> Adjustment:
    return {"do": "to_number", "decimal": ","} if match[1] else {"do": "to_number"}


def _add(match: re.Match[str]) -> Adjustment:
    sign = -1 if match[1].lower() == "minus" else 1
    unit = match[3].lower().rstrip("s") + "s"
    return {"do": "add", "n": sign * int(match[2]), "unit": unit}


def _say_add(a: Adjustment) -> str:
    n = a.get("n", 0)
    return f"{'minus' if n < 0 else 'plus'} {abs(n)} {a.get('unit', 'days')}"


PHRASES: tuple[Phrase, ...] = (
    _counted("first_words", "words"),
    _counted("first_characters", "characters"),
    _plain("upper", "in capitals", "text"),
    _plain("lower", "in small letters", "text"),
    _plain("trim", "without blanks around", "text"),
    _plain("one_line", "in one line", "text"),
    _phrase(
        "to_number",
        "as number",
        r"as number( with decimal comma)?",
        _to_number,
        lambda a: "as number with decimal comma" if a.get("decimal") == "," else "as number",
        "text",
    ),
    _phrase(
        "to_date",
        "as date DD.MM.YYYY",
        r"as date(?: (.+))?",
        lambda m: (
            {"do": "to_date", "formats": re.split(r"\s+or\s+", m[1])[:10]}
            if m[1]
            else {"do": "to_date"}
        ),
        lambda a: f"as date {' or '.join(a['formats'])}" if a.get("formats") else "as date",
        "text",
    ),
    _digits("round", "rounded", "number"),
    _phrase(
        "money",
        "as money EUR",
        r"as money(?: ([a-z]{3}))?",
        lambda m: {"do": "money", "currency": m[1].upper()} if m[1] else {"do": "money"},
        lambda a: f"as money {a['currency']}" if "currency" in a else "as money",
        "number",
    ),
    _digits("percent", "as percent", "number"),
    _phrase(
        "format",
        "written long",
        r"written ([\w.:/ -]{1,20})",
        lambda m: {"do": "format", "style": m[1]},
        lambda a: f"written {a.get('style', 'short')}",
        "date",
        "datetime",
    ),
    _phrase(
        "add",
        "plus 14 days",
        r"(plus|minus) (\d{1,6}) (days?|hours?|months?)",
        _add,
        _say_add,
        "date",
        "datetime",
    ),
    _plain("day", "only the day", "datetime"),
    _plain("first", "the first", "list"),
    _plain("last", "the last", "list"),
    _plain("count", "how many", "list"),
    _plain("bullets", "as bullet list", "list"),
    _plain("commas", "with commas", "list"),
    _phrase(
        "field",
        "only customer of each",
        r"only (.{1,60}) of each",
        lambda m: {"do": "field", "name": m[1]},
        lambda a: f"only {a.get('name', '')} of each",
        "list",
    ),
    _phrase(
        "sum",
        "sum of amount",
        r"sum of (.{1,60})",
        lambda m: {"do": "sum", "name": m[1]},
        lambda a: f"sum of {a.get('name', '')}",
        "list",
    ),
    _plain("filename", "its name", "file"),
    _plain("link", "its link", "file"),
    _plain("text", "its text", "file"),
    _plain("label", "its label", "oneof"),
)
_BY_WORD = {phrase.do: phrase for phrase in PHRASES}
_IF_EMPTY = re.compile(r'if empty (?:stop|["“](.*)["”])', re.IGNORECASE | re.DOTALL)


def said(part: dict[str, Any]) -> str:
    """Return what follows the value's name in its token, " | as money EUR" or ""."""
    words = [_BY_WORD[a["do"]].say(a) for a in part.get("adjust") or [] if a.get("do") in _BY_WORD]
    if "if_empty" in part:
        otherwise = part["if_empty"]
        words.append("if empty stop" if isinstance(otherwise, dict) else f"if empty “{otherwise}”")
    return "".join(f" | {word}" for word in words)


def understood(words: list[str]) -> dict[str, Any] | None:
    """Return the adjustments as keys of a part, or None when a phrase is not known."""
    adjustments: list[Adjustment] = []
    part: dict[str, Any] = {}
    for word in words:
        empty = _IF_EMPTY.fullmatch(word)
        if empty is not None:
            part["if_empty"] = {"do": "stop"} if empty[1] is None else empty[1]
            continue
        found = next((p for p in PHRASES if p.pattern.fullmatch(word)), None)
        match = found.pattern.fullmatch(word) if found else None
        if found is None or match is None:
            return None
        adjustments.append(found.make(match))
    if adjustments:
        part["adjust"] = adjustments
    return part


_GROUPS: Final = (
    ("Text", ("text",)),
    ("Number", ("number",)),
    ("Date", ("date", "datetime")),
    ("List", ("list",)),
    ("File", ("file",)),
    ("Choice", ("oneof",)),
)
AS_IT_IS: Final = "as it is"


def offered() -> list[tuple[str, list[str]]]:
    """Return what can be chosen, by kind of value."""
    groups = [
        (title, [p.example for p in PHRASES if set(p.types) & set(types)])
        for title, types in _GROUPS
    ]
    return [("Any", [AS_IT_IS, "if empty “–”", "if empty stop"]), *groups]


def adjusted(token: str, phrase: str) -> str:
    """Return a token with one more phrase; "as it is" takes all away."""
    name, *phrases = (piece.strip() for piece in token.strip("[]").split("|"))
    is_about_empty = phrase.startswith("if empty")
    if phrase == AS_IT_IS:
        phrases = []
    else:
        kept = [one for one in phrases if not (is_about_empty and one.startswith("if empty"))]
        phrases = [*kept, phrase]
    return f"[[{' | '.join([name, *phrases])}]]"
