"""JSON in and out: strict about what is read, exact about what is written.

Readers that disagree about a document (duplicate keys, NaN, a byte order mark) let two parts of a
system see two requests, so whatever is doubtful is refused, each with its own sentence.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from typing import Any, NoReturn, TypeVar

import simplejson
from flask import Response, request
from pydantic import BaseModel
from werkzeug.exceptions import UnsupportedMediaType

from webapp.kernel import yamls
from webapp.kernel.drafts import validated
from webapp.kernel.errors import BadRequest, Invalid

D = TypeVar("D", bound=BaseModel)

MOST_BYTES = 1024 * 1024
MOST_UPLOAD_BYTES = 20 * 1024 * 1024
MOST_DEPTH = 64
YAML = "application/yaml"
_LEAST, _MOST = -(2**63), 2**63 - 1


def parse(schema: type[D], *, yaml: bool = False) -> D:
    """Return the request's body as a `schema`.

    Args:
        yaml: it may also be YAML, if it says so.

    Raises:
        BadRequest: it is no JSON that every reader understands alike.
        Invalid: it is, but fields are missing, unknown or wrong.
    """
    if yaml and request.mimetype == YAML:
        return validated(schema, read_yaml(request.get_data(cache=True)))
    if request.mimetype != "application/json" and not request.mimetype.endswith("+json"):
        raise UnsupportedMediaType
    return validated(schema, read(request.get_data(cache=True)))


def asked(schema: type[D]) -> D:
    """Return what stands behind the "?" of the address as a `schema`.

    Raises:
        Invalid: a word is unknown, wrong or there twice.
    """
    given = dict(request.args.lists())
    twice = [name for name, values in given.items() if len(values) > 1]
    if twice:
        raise Invalid.at(f"/{twice[0]}", "E-FIELD", text=f"“{twice[0]}” may be there only once.")
    return validated(schema, {name: values[0] for name, values in given.items()})


def read(raw: bytes) -> dict[str, Any]:
    """Return the object that `raw` holds; numbers with a fraction come as `Decimal`."""
    value = load(_text(raw))
    if not isinstance(value, dict):
        _refuse("The body must be one JSON object, written in braces.")
    return value


def read_yaml(raw: bytes) -> dict[str, Any]:
    """Return the mapping that `raw` holds as YAML, under the same rules as JSON."""
    try:
        value = yamls.load(_text(raw))
    except yamls.YamlError as error:
        _refuse(str(error))
    if not isinstance(value, dict):
        _refuse("The body must be one YAML mapping: names with values.")
    return value


def load(text: str) -> Any:
    """Return any JSON value of `text` under the same strict rules."""
    if not text.strip():
        _refuse("The body is empty. Send a JSON object, such as {}.")
    try:
        value = json.loads(
            text,
            object_pairs_hook=_pairs,
            parse_constant=_constant,
            parse_int=_int,
            parse_float=_decimal,
        )
    except json.JSONDecodeError as error:
        _refuse(f"It is not JSON: line {error.lineno}, column {error.colno} is wrong.")
    except RecursionError:
        _refuse(f"It is nested deeper than {MOST_DEPTH} levels.")
    _check_values(text, value)
    return value


def _text(raw: bytes) -> str:
    if raw.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        _refuse("It begins with a byte order mark. Send UTF-8 without one.")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        _refuse(f"It is not UTF-8: byte {error.start} is wrong.")


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                _refuse(f"The key “{key[:40]}” is there twice in one object.")
            seen.add(key)
    return found


def _constant(name: str) -> NoReturn:
    _refuse(f"{name} is not a JSON number. Leave the value out or send null.")


def _int(digits: str) -> int:
    if len(digits) > 20 or not _LEAST <= int(digits) <= _MOST:
        _refuse("A whole number is larger than 64 bits. Send it as a text.")
    return int(digits)


def _decimal(digits: str) -> Decimal:
    value = Decimal(digits) if len(digits) <= 64 else None
    if value is None or not -400 < value.adjusted() < 400:
        _refuse("A number is too long or too large. Send it as a text.")
    return value


def _check_values(text: str, value: Any) -> None:
    """Look into the values only when the text gives a reason: most bodies have none."""
    lower = text.lower()
    odd_text = "\\u0000" in lower or "\\ud" in lower
    if text.count("[") + text.count("{") <= MOST_DEPTH and not odd_text:
        return
    for depth, item in _walk(value):
        if depth > MOST_DEPTH:
            _refuse(f"It is nested deeper than {MOST_DEPTH} levels.")
        if odd_text and isinstance(item, str):
            _check_text(item)


def _walk(value: Any) -> Iterator[tuple[int, Any]]:
    waiting = [(1, value)]
    while waiting:
        depth, item = waiting.pop()
        yield depth, item
        if isinstance(item, dict):
            waiting += [(depth, key) for key in item]
            waiting += [(depth + 1, inner) for inner in item.values() if _holds(inner)]
            waiting += [(depth, inner) for inner in item.values() if not _holds(inner)]
        elif isinstance(item, list):
            waiting += [(depth + 1 if _holds(inner) else depth, inner) for inner in item]


def _holds(value: Any) -> bool:
    return isinstance(value, dict | list)


def _check_text(text: str) -> None:
    if "\0" in text:
        _refuse("A text holds the character NUL, which cannot be stored.")
    if any("\ud800" <= letter <= "\udfff" for letter in text):
        _refuse("A text holds half of a surrogate pair, which is no character.")


def _refuse(reason: str) -> NoReturn:
    raise BadRequest("E-JSON", reason=reason)


def dump(value: Any) -> str:
    """Return compact JSON: decimals as written, times in UTC with Z, models by their aliases."""
    text: str = _COMPACT.encode(plain(value))
    return text


def plain(value: Any) -> Any:
    """Return a model as what JSON can hold; anything else as it is."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="python", by_alias=True)
    return value


def _default(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return plain(value)
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, set | frozenset | tuple):
        return sorted(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


# Made once: `simplejson.dumps` makes an encoder for each call that asks for anything special.
_COMPACT = simplejson.JSONEncoder(
    use_decimal=True,
    separators=(",", ":"),
    ensure_ascii=False,
    allow_nan=False,
    default=_default,
)


def answer(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return `value` as a JSON answer."""
    return Response(dump(value), status, headers, mimetype="application/json")
