"""YAML in and out: the same values that JSON can hold, and nothing else.

What stands plainly is read by the core schema of YAML 1.2: `no`, `on` and 2026-03-04 are texts.
Anchors, aliases, tags and second documents are refused, each with its line. The parser gives
events one by one, so depth is bounded before anything deep is built.

Source: YAML 1.2.2, section 10.3.2.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final, NoReturn

import yaml
from yaml.resolver import Resolver

MOST_DEPTH: Final = 64
MOST_DIGITS: Final = 64
MOST_VALUES: Final = 50_000
"""Each is an event in Python: a megabyte of commas would take seconds."""
_LEAST, _MOST = -(2**63), 2**63 - 1
_NULL: Final = re.compile(r"(?:null|Null|NULL|~|)")
_TRUE: Final = re.compile(r"(?:true|True|TRUE)")
_FALSE: Final = re.compile(r"(?:false|False|FALSE)")
_INT: Final = re.compile(r"[-+]?[0-9]+")
_OCTAL: Final = re.compile(r"0o[0-7]+")
_HEX: Final = re.compile(r"0x[0-9a-fA-F]+")
_FLOAT: Final = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_NO_NUMBER: Final = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")


class YamlError(ValueError):
    """The text is no YAML that we read. The message is a sentence with the line."""


def load(text: str) -> Any:
    """Return the value of the one document in `text`; numbers with a fraction are `Decimal`.

    Raises:
        YamlError: it is none, or has something that JSON could not say.
    """
    reader = _Reader()
    try:
        for event in yaml.parse(text, Loader=yaml.CSafeLoader):
            reader.take(event)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f"line {mark.line + 1}, column {mark.column + 1}" if mark else "some line"
        raise YamlError(f"It is not YAML: {line}: {error.problem or error.context}.") from None
    except yaml.YAMLError as error:
        # A character that none may hold; libyaml says where in bytes only.
        reason = str(getattr(error, "reason", "")) or "it cannot be read"
        raise YamlError(f"It is not YAML: {reason}.") from None
    if not reader.roots:
        raise YamlError("It is empty.")
    return reader.roots[0]


class _Reader:
    """Builds the value from the parser's events, without recursion."""

    def __init__(self) -> None:
        self.roots: list[Any] = []
        self.open: list[list[Any] | dict[str, Any]] = []
        self.count = 0
        self.names: list[str | None] = []
        """Of each open mapping the name whose value comes next; None where a name comes next."""

    def take(self, event: Any) -> None:
        match event:
            case yaml.DocumentStartEvent() if self.roots:
                _refuse(event, "a second document begins; there may be one only")
            case yaml.AliasEvent():
                _refuse(event, f"the alias *{event.anchor} cannot be used; write the value out")
            case yaml.ScalarEvent():
                _refuse_marks(event)
                self.put(event, _text(event) if self.wants_name() else _value(event))
            case yaml.SequenceStartEvent():
                self.begin(event, [])
            case yaml.MappingStartEvent():
                self.begin(event, {})
            case yaml.SequenceEndEvent() | yaml.MappingEndEvent():
                self.open.pop()
                self.names.pop()

    def wants_name(self) -> bool:
        return bool(self.open) and isinstance(self.open[-1], dict) and self.names[-1] is None

    def begin(self, event: Any, holder: list[Any] | dict[str, Any]) -> None:
        _refuse_marks(event)
        if self.wants_name():
            _refuse(event, "a name must be a text")
        if len(self.open) >= MOST_DEPTH:
            _refuse(event, f"it is nested deeper than {MOST_DEPTH} levels")
        self.put(event, holder)
        self.open.append(holder)
        self.names.append(None)

    def put(self, event: Any, value: Any) -> None:
        self.count += 1
        if self.count > MOST_VALUES:
            _refuse(event, f"there are more than {MOST_VALUES:,} values; send it as JSON")
        if not self.open:
            self.roots.append(value)
            return
        holder, name = self.open[-1], self.names[-1]
        if isinstance(holder, list):
            holder.append(value)
        elif name is not None:
            holder[name] = value
            self.names[-1] = None
        elif value in holder:
            _refuse(event, f"the name “{value[:40]}” is there twice in one place")
        else:
            self.names[-1] = value


def _refuse(event: Any, text: str) -> NoReturn:
    raise YamlError(f"Line {event.start_mark.line + 1}: {text}.")


def _refuse_marks(event: Any) -> None:
    if event.anchor is not None:
        _refuse(event, f"the anchor &{event.anchor} cannot be used; write the value out")
    if event.tag is not None:
        _refuse(event, f"the tag {event.tag} cannot be used; write the value plainly")


def _text(event: Any) -> str:
    """Return a name, which is a text in JSON too."""
    value = _value(event)
    if not isinstance(value, str):
        _refuse(event, f"the name {event.value or 'of nothing'} is no text; put it in quotes")
    return value


def _value(event: Any) -> Any:
    text: str = event.value
    if "\0" in text or any("\ud800" <= letter <= "\udfff" for letter in text):
        _refuse(event, "a text holds a character that cannot be stored")
    if not event.implicit[0]:
        return text
    for form, read in _FORMS:
        if form.fullmatch(text):
            return read(event, text)
    return text


def _whole(base: int) -> Callable[[Any, str], int]:
    def read(event: Any, text: str) -> int:
        if len(text) > 24 or not _LEAST <= int(text, base) <= _MOST:
            _refuse(event, "a whole number is larger than 64 bits; put it in quotes as a text")
        return int(text, base)

    return read


def _fraction(event: Any, text: str) -> Decimal:
    value = Decimal(text) if len(text) <= MOST_DIGITS else None
    if value is None or not -400 < value.adjusted() < 400:
        _refuse(event, "a number is too long or too large; put it in quotes as a text")
    return value


def _no_number(event: Any, text: str) -> NoReturn:
    _refuse(event, f"{text} is no number that can be kept; put it in quotes as a text")


_FORMS: Final[tuple[tuple[re.Pattern[str], Callable[[Any, str], Any]], ...]] = (
    (_NULL, lambda event, text: None),
    (_TRUE, lambda event, text: True),
    (_FALSE, lambda event, text: False),
    (_INT, _whole(10)),
    (_OCTAL, _whole(0)),
    (_HEX, _whole(0)),
    (_FLOAT, _fraction),
    (_NO_NUMBER, _no_number),
)


# Writing


class _Writer(yaml.CSafeDumper):
    """Quotes every text that this reader, or one of YAML 1.1, would take for something else."""

    yaml_implicit_resolvers: dict[Any, Any] = {}

    def ignore_aliases(self, data: Any) -> bool:
        return True


_CORE: Final = (
    ("null", _NULL, [*"nN~", ""]),
    ("bool", re.compile(f"{_TRUE.pattern}|{_FALSE.pattern}"), [*"tTfF"]),
    ("int", re.compile(f"{_INT.pattern}|{_OCTAL.pattern}|{_HEX.pattern}"), [*"-+0123456789"]),
    ("float", re.compile(f"{_FLOAT.pattern}|{_NO_NUMBER.pattern}"), [*"-+.0123456789"]),
)
for _word, _form, _first in _CORE:
    _whole_form = re.compile(f"(?:{_form.pattern})$")
    _Writer.add_implicit_resolver(f"tag:yaml.org,2002:{_word}", _whole_form, _first)
for _letter, _old in Resolver.yaml_implicit_resolvers.items():
    _Writer.yaml_implicit_resolvers.setdefault(_letter, []).extend(_old)


def _write_text(writer: Any, text: str) -> Any:
    style = "|" if "\n" in text else None
    return writer.represent_scalar("tag:yaml.org,2002:str", text, style=style)


def _write_decimal(writer: Any, number: Decimal) -> Any:
    text = str(number)
    if _INT.fullmatch(text) and not _LEAST <= number <= _MOST:
        text += ".0"  # which is no whole number to a reader, and has no bounds of 64 bits
    tag = "int" if _INT.fullmatch(text) else "float"
    return writer.represent_scalar(f"tag:yaml.org,2002:{tag}", text)


_Writer.add_representer(str, _write_text)
_Writer.add_representer(Decimal, _write_decimal)


def dump(value: Any) -> str:
    """Return what `load` reads as `value`, with names in the order they have."""
    text: str = yaml.dump(
        value, Dumper=_Writer, sort_keys=False, allow_unicode=True, width=1 << 20, indent=2
    )
    return text
