"""Values in text fields: `[[Read rows: Rows]]` on the page, a reference in the plan.

The page never shows ids. A `Names` knows what can be seen at one place of the plan; what it
cannot read stays text and is listed in What's left.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from webapp.workflows.adjusting import said, understood

TOKEN: Final = re.compile(r"\[\[([^\[\]\n]+)\]\]")
_SPOILS: Final = re.compile(r"[\[\]|\n\r]+")
_ITEMS: Final = {"first": 0, "last": -1}


@dataclass(frozen=True, slots=True)
class Choice:
    """One value that can be picked.

    Attributes: type: in words; maybe_empty: its step may not have run.
    """

    ref: tuple[str | int, ...]
    label: str
    type: str = ""
    maybe_empty: bool = False

    @property
    def sample(self) -> str:
        return "may be empty" if self.maybe_empty else ""


@dataclass(frozen=True, slots=True)
class Group:
    """The values of one step, or of Start."""

    title: str
    choices: tuple[Choice, ...]


class Names:
    """The names of values at one place.

    Args:
        groups: what can be picked there, nearest last.
        titles: title by root ("start" or a step id) of everything in the plan, so that a
            reference that can't be seen from here still has a readable name.
    """

    def __init__(self, groups: Iterable[Group], titles: dict[str, str]) -> None:
        self.groups = list(groups)
        self.titles = titles
        self._text: dict[tuple[Any, ...], str] = {}
        self._ref: dict[str, tuple[str | int, ...]] = {}
        self._parts: dict[str, dict[str, Any]] = {}
        for group in self.groups:
            for choice in group.choices:
                self._learn(choice.ref, f"{_plain(group.title)}: {_plain(choice.label)}")

    def _learn(self, ref: tuple[str | int, ...], text: str) -> None:
        if ref in self._text:
            return
        if text.casefold() in self._ref:
            text = f"{text} ({ref[0]})"
        self._text[ref] = text
        self._ref[text.casefold()] = ref

    def token(self, part: dict[str, Any]) -> str:
        """Return `[[…]]` for a part of a value; reading it again gives this part."""
        text = self._name(tuple(part["value"])) + said(part)
        self._parts.setdefault(text.casefold(), part)
        return f"[[{text}]]"

    def token_of(self, choice: Choice) -> str:
        return f"[[{self._name(choice.ref)}]]"

    def _name(self, ref: tuple[str | int, ...]) -> str:
        for length in range(len(ref), 0, -1):
            if ref[:length] in self._text:
                rest = (_segment(part) for part in ref[length:])
                return ": ".join((self._text[ref[:length]], *rest))
        title = self.titles.get(str(ref[0]), str(ref[0]))
        return ": ".join((_plain(title), *(_segment(part) for part in ref[1:])))

    def part(self, inside: str) -> dict[str, Any] | None:
        """Return the part that a token means, None when it is not known here."""
        known = self._parts.get(inside.strip().casefold())
        if known is not None:
            return known
        name, *words = (piece.strip() for piece in inside.split("|"))
        ref = self._reference(name)
        more = understood(words)
        if ref is None or more is None:
            return None
        return {"value": list(ref), **more}

    def _reference(self, name: str) -> tuple[str | int, ...] | None:
        """Find the longest known name; what follows are names or places inside the value."""
        pieces = name.split(": ")
        for length in range(len(pieces), 0, -1):
            ref = self._ref.get(": ".join(pieces[:length]).casefold())
            if ref is not None:
                inner = tuple(_piece(piece) for piece in pieces[length:])
                return (*ref, *inner) if len(ref) + len(inner) <= 8 else None
        return None

    def show(self, value: Any) -> str:
        """Return a VALUE as the text of its field; "" for what no text can say."""
        match value:
            case None | {}:
                return ""
            case bool():
                return "yes" if value else "no"
            case list():
                return "".join(
                    str(part["text"]) if "text" in part else self.token(part) for part in value
                )
            case dict():
                return ""
        return str(value)

    def read(self, text: str, old: Any = None) -> Any:
        """Return the text as a VALUE, None when it is empty.

        What was not changed keeps its exact form: a number stays a number, and a value that no
        text can say stays as it was. A name that was not known is looked up again: its step may
        be there by now.
        """
        text = text.replace("\r\n", "\n")
        if old is not None and text == self.show(old) and not any(unknown_tokens(old)):
            return old
        if not text.strip():
            return None
        parts = list(self._split(text))
        if all("text" in part for part in parts):
            return text
        return parts

    def _split(self, text: str) -> Iterator[dict[str, Any]]:
        plain, end = "", 0
        for found in TOKEN.finditer(text):
            part = self.part(found[1])
            plain += text[end : found.start()] + ("" if part else found[0])
            end = found.end()
            if part is None:
                continue
            if plain:
                yield {"text": plain}
            plain = ""
            yield part
        plain += text[end:]
        if plain:
            yield {"text": plain}


def unknown_tokens(value: Any) -> Iterator[str]:
    """Yield each `[[…]]` that stayed text in any string inside `value`."""
    if isinstance(value, str):
        for found in TOKEN.finditer(value):
            if ": " in found[1]:  # [[1, 2]] in a text is no name
                yield found[0]
    elif isinstance(value, dict):
        for inner in value.values():
            yield from unknown_tokens(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from unknown_tokens(inner)


def _plain(text: str) -> str:
    return " ".join(_SPOILS.sub(" ", text).split())


def _segment(part: str | int) -> str:
    if isinstance(part, int):
        return {0: "first", -1: "last"}.get(part, str(part + 1))
    return _plain(part) or "…"


def _piece(piece: str) -> str | int:
    if piece in _ITEMS:
        return _ITEMS[piece]
    return int(piece) - 1 if piece.isdecimal() and piece.isascii() and piece != "0" else piece
