"""One setting of a step as a field: shown from the plan, read back from what was typed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from webapp.workflows.tokens import Names

Doc = dict[str, Any]
Element = dict[str, Any]
"""What a template draws; `type` names the macro, `id` is the field's name and id alike."""


class Absent:
    """Nothing was given: the key is left out of the plan."""


ABSENT: Final = Absent()


class Given:
    """What a form sent, by field name. Missing fields read as empty.

    Args:
        values: the fields.
        added: "<list>:<word>", the list that a button adds an entry to.
        removed: "<list>-<number>", the entry that a button removes.
        moved: "<list>-<number>:up" or ":down".
    """

    def __init__(
        self, values: Mapping[str, str], added: str = "", removed: str = "", moved: str = ""
    ) -> None:
        self._values = {
            key: value
            for key, value in values.items()
            if not removed or not f"{key}-".startswith(f"{removed}-")
        }
        self.added, self.removed, self.moved = added, removed, moved

    def text(self, name: str) -> str:
        return self._values.get(name, "")

    def has(self, name: str) -> bool:
        return name in self._values

    def names(self, prefix: str) -> list[str]:
        """Return the names of the fields that begin so, in their order."""
        return [name for name in self._values if name.startswith(prefix)]

    def rearranged(self, name: str, entries: list[Any], fresh: Callable[[str], Any]) -> list[Any]:
        """Return the entries of the list `name` after what a button asked for."""
        kept = [one for n, one in enumerate(entries) if self.removed != f"{name}-{n}"]
        for number in range(len(kept)):
            to = {f"{name}-{number}:up": number - 1, f"{name}-{number}:down": number + 1}.get(
                self.moved, number
            )
            if to != number and 0 <= to < len(kept):
                kept[number], kept[to] = kept[to], kept[number]
                break
        if self.added.startswith(f"{name}:"):
            kept.append(fresh(self.added[len(name) + 1 :]))
        return kept

    def indexes(self, name: str) -> list[int]:
        """Return the numbers of the rows called `name-<number>-…`, in their order."""
        start = f"{name}-"
        found = set()
        for key in self._values:
            if key.startswith(start):
                number = key[len(start) :].partition("-")[0]
                if number.isdecimal() and number.isascii() and len(number) < 5:
                    found.add(int(number))
        return sorted(found)


@dataclass(slots=True)
class Env:
    """What fields need beside their own setting.

    Attributes:
        names: values that can be used here.
        more: how many empty rows to show at a list, by its name.
        errors: sentence by field name.
        rows: names for the operations of a list step, its row included.
        outer: at the end of a step's own block, the names outside of it; else None.
        wrong: filled while reading: what could not be read, by field name.
        people: members of the organization, id and name, for fields that name some.
        earlier: steps before it in its block, id and title.
        workflows, versions: those that can be run, and the numbers of the chosen one.
    """

    names: Names
    rows: Names | None = None
    outer: Names | None = None
    columns: Sequence[str] = ()
    more: Mapping[str, int] = field(default_factory=dict)
    errors: Mapping[str, str] = field(default_factory=dict)
    wrong: dict[str, str] = field(default_factory=dict)
    people: Sequence[tuple[str, str]] = ()
    earlier: Sequence[tuple[str, str]] = ()
    workflows: Sequence[tuple[str, str]] = ()
    versions: Sequence[int] = ()
    in_rows: bool = False

    @property
    def here(self) -> Names:
        return self.rows if self.in_rows and self.rows is not None else self.names

    @property
    def tokens(self) -> str:
        """The id of the list of tokens that one-line fields offer."""
        if self.in_rows and self.rows is not None:
            return "row-tokens"
        return "tokens" if self.outer is None else "end-tokens"

    @property
    def outside(self) -> Env:
        """The same outside of the step's own block."""
        return self if self.outer is None else replace(self, names=self.outer, outer=None)


@dataclass(frozen=True, slots=True)
class Part:
    """A setting. `key` is its name in the plan."""

    key: str
    label: str
    hint: str = ""

    def show(self, settings: Doc, at: str, env: Env) -> Element:
        return self._element("text", at, env, value=str(settings.get(self.key) or ""))

    def read(self, given: Given, at: str, old: Doc, env: Env) -> Any:
        raise NotImplementedError

    def name(self, at: str) -> str:
        return f"{at}-{self.key}"

    def _element(self, kind: str, at: str, env: Env, **more: Any) -> Element:
        name = self.name(at)
        wrong = env.errors.get(name)
        return {
            "type": kind,
            "id": name,
            "name": name,
            "label": self.label,
            "description": self.hint,
            "errors": [wrong] if wrong else [],
            **more,
        }


@dataclass(frozen=True, slots=True)
class Text(Part):
    most: int = 200
    width: str = ""
    area: int = 0
    """Rows of the field; 0 is one line."""

    def show(self, settings: Doc, at: str, env: Env) -> Element:
        attrs = {"maxlength": self.most}
        kind = "area" if self.area else "text"
        value = str(settings.get(self.key) or "")
        return self._element(
            kind, at, env, value=value, attrs=attrs, rows=self.area, width=self.width
        )

    def read(self, given: Given, at: str, old: Doc, env: Env) -> Any:
        text = given.text(self.name(at)).replace("\r\n", "\n")
        return (text if self.area else " ".join(text.split())) or ABSENT


@dataclass(frozen=True, slots=True)
class Filled(Part):
    """The answer that stands in a question already: text, or a number where one is asked for."""

    def show(self, settings: Doc, at: str, env: Env) -> Element:
        value = settings.get(self.key)
        return self._element("text", at, env, value="" if value is None else _plain(value))

    def read(self, given: Given, at: str, old: Doc, env: Env) -> Any:
        text = given.text(self.name(at)).strip()
        if self.key in old and (text == _plain(old[self.key]) or not given.has(self.name(at))):
            return old[self.key]
        match old.get("type"):
            case "number" if as_number(text) != text:
                return as_number(text)
            case "boolean" if text.lower() in {"yes", "no"}:
                return text.lower() == "yes"
        return text or ABSENT


def _plain(value: Any) -> str:
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)


@dataclass(frozen=True, slots=True)
class Value(Part):
    """A text that may hold values of earlier steps."""

    rows: int = 3

    def show(self, settings: Doc, at: str, env: Env) -> Element:
        return self._element(
            "values",
            at,
            env,
            value=env.here.show(settings.get(self.key)),
            rows=self.rows,
            offers=env.tokens,
            kept=is_unsayable(settings.get(self.key)),
        )

    def read(self, given: Given, at: str, old: Doc, env: Env) -> Any:
        value = env.here.read(given.text(self.name(at)), old.get(self.key))
        if value is None and is_unsayable(old.get(self.key)):
            return old[self.key]
        return ABSENT if value is None else value


@dataclass(frozen=True, slots=True)
class Outside(Value):
    """Among settings of the end of a step's own block, one that is worked out before it."""

    def show(self, settings: Doc, at: str, env: Env) -> Element:
        return Value.show(self, settings, at, env.outside)

    def read(self, given: Given, at: str, old: Doc, env: Env) -> Any:
        return Value.read(self, given, at, old, env.outside)


def is_unsayable(value: Any) -> bool:
    """Whether the value is a list or record of a plan, which no text field can say."""
    return isinstance(value, dict) and bool(value)


@dataclass(frozen=True, slots=True)
class Amount(Value):
    """A number, or a value of an earlier step."""

    rows: int = 1

    def read(self, given: Given, at: str, old: Doc, env: Env) -> Any:
        value = Value.read(self, given, at, old, env)
        if isinstance(value, str):
            text = value.strip().replace(",", "")
            if text.lstrip("-").isdecimal() and text.isascii() and len(text) < 16:
                return int(text)
        return value


@dataclass(frozen=True, slots=True)
class Number(Part):
    least: int = 0
    most: int = 1_000_000
    unit: str = ""
    default: int | None = None

    def show(self, settings: Doc, at: str, env: Env) -> Element:
        value = settings.get(self.key, self.default)
        return self._element(
            "number", at, env, value="" if value is None else str(value), unit=self.unit
        )

    def read(self, given: Given, at: str, old: Doc, env: Env) -> Any:
        name = self.name(at)
        text = given.text(name).replace(",", "").replace(" ", "").strip()
        if not text:
            return ABSENT
        is_whole = text.lstrip("-").isdecimal() and text.isascii() and len(text) < 12
        number = int(text) if is_whole else None
        if number is None or not self.least <= number <= self.most:
            env.wrong[name] = (
                f"{self.label} must be a number between {self.least:,} and {self.most:,}."
            )
            return old.get(self.key, ABSENT)
        if number == self.default and self.key not in old:
            return ABSENT
        return number


@dataclass(frozen=True, slots=True)
class Choose(Part):
    """One of a few words. `choices` are (word, what people read); the first is the default."""

    choices: Sequence[tuple[str, str]] = ()
    radios: bool = False

    def show(self, settings: Doc, at: str, env: Env) -> Element:
        value = str(settings.get(self.key) or self.choices[0][0])
        kind = "radios" if self.radios else "select"
        return self._element(kind, at, env, value=value, choices=self.choices)

    def read(self, given: Given, at: str, old: Doc, env: Env) -> Any:
        name = self.name(at)
        word = given.text(name)
        if word not in {choice for choice, _ in self.choices}:
            return old.get(self.key, ABSENT)
        if word == self.choices[0][0] and self.key not in old:
            return ABSENT
        return word or ABSENT


@dataclass(frozen=True, slots=True)
class Check(Part):
    default: bool = False

    def show(self, settings: Doc, at: str, env: Env) -> Element:
        return self._element("check", at, env, value=bool(settings.get(self.key, self.default)))

    def read(self, given: Given, at: str, old: Doc, env: Env) -> Any:
        is_on = given.has(self.name(at))
        return ABSENT if is_on == self.default and self.key not in old else is_on


@dataclass(frozen=True, slots=True)
class Words(Part):
    """Several words in one line, with commas between them."""

    most: int = 50
    offer_columns: bool = False

    def show(self, settings: Doc, at: str, env: Env) -> Element:
        value = ", ".join(str(word) for word in settings.get(self.key) or [])
        attrs = {"list": "columns"} if self.offer_columns and env.columns else {}
        return self._element("text", at, env, value=value, attrs=attrs)

    def read(self, given: Given, at: str, old: Doc, env: Env) -> Any:
        words = [" ".join(word.split()) for word in given.text(self.name(at)).split(",")]
        return [word for word in dict.fromkeys(words) if word][: self.most] or ABSENT


@dataclass(frozen=True, slots=True)
class Lines(Part):
    """Several values, one in each line."""

    rows: int = 3

    def show(self, settings: Doc, at: str, env: Env) -> Element:
        value = "\n".join(env.here.show(one) for one in settings.get(self.key) or [])
        return self._element("values", at, env, value=value, rows=self.rows, offers=env.tokens)

    def read(self, given: Given, at: str, old: Doc, env: Env) -> Any:
        before = {env.here.show(one): one for one in old.get(self.key) or []}
        lines = [line.strip() for line in given.text(self.name(at)).splitlines()]
        return [
            before[line] if line in before else as_number(env.here.read(line))
            for line in lines
            if line
        ] or ABSENT


def as_number(value: Any) -> Any:
    """Return a plainly written whole number as one, everything else as it is."""
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) < 16:
        return int(value)
    return value


@dataclass(frozen=True, slots=True)
class Inside(Part):
    """A record of settings, such as the content of a request."""

    parts: Sequence[Part] = ()

    def show(self, settings: Doc, at: str, env: Env) -> Element:
        inner = settings.get(self.key) or {}
        return self._element(
            "group", at, env, elements=show_all(self.parts, inner, self.name(at), env)
        )

    def read(self, given: Given, at: str, old: Doc, env: Env) -> Any:
        return read_all(self.parts, given, self.name(at), old.get(self.key) or {}, env) or ABSENT


@dataclass(frozen=True, slots=True)
class Fold(Part):
    """Settings that few need, behind one line. They lie beside the others, not inside `key`."""

    parts: Sequence[Part] = ()

    def show(self, settings: Doc, at: str, env: Env) -> Element:
        elements = show_all(self.parts, settings, at, env)
        is_open = any(element["errors"] for element in elements)
        return self._element("fold", at, env, elements=elements, is_open=is_open)


def show_all(parts: Sequence[Part], settings: Doc, at: str, env: Env) -> list[Element]:
    return [part.show(settings, at, env) for part in parts]


def read_all(parts: Sequence[Part], given: Given, at: str, old: Doc, env: Env) -> Doc:
    """Return the settings with what was typed; keys that no part shows stay as they are."""
    read = dict(old)
    for part in parts:
        if isinstance(part, Fold):
            read = read_all(part.parts, given, at, read, env)
            continue
        value = part.read(given, at, old, env)
        if isinstance(value, Absent):
            read.pop(part.key, None)
        else:
            read[part.key] = value
    return read
