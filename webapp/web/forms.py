"""HTML forms made from pydantic drafts: the draft has the rules, the form only reads and shows.

WTForms fields here keep the text as it was typed and check nothing. `clean` turns it into what the
draft expects (an empty text is "not given", "1,000" is a number), pydantic decides, and its
sentences are put back to the fields (RULINGS.md 2.2.12).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from functools import cache
from typing import Any, Generic, TypeVar, cast, get_origin

from flask import g, request
from pydantic import BaseModel, EmailStr, SecretStr
from pydantic.fields import FieldInfo
from wtforms import Field, Form

from webapp.kernel.drafts import bare, choices_of, title_of, validated
from webapp.kernel.errors import Invalid

D = TypeVar("D", bound=BaseModel)
R = TypeVar("R")

_LISTS = (list, set, frozenset, tuple)


class DraftField(Field):
    """One field, as typed.

    Attributes:
        kind: which control shows it: text, area, email, password, number, decimal, check, select,
            radios, checks, date, hidden.
        choices: (value, label) pairs of select, radios and checks.
        attrs: attributes of the control that follow from the draft, such as maxlength.
    """

    data: Any

    def __init__(
        self,
        *args: Any,
        kind: str = "text",
        choices: list[tuple[str, str]] | None = None,
        attrs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.kind, self.choices, self.attrs = kind, choices or [], attrs or {}

    def process_formdata(self, valuelist: list[str]) -> None:
        if self.kind == "checks":
            self.data = valuelist
        elif self.kind == "check":
            self.data = bool(valuelist) and valuelist[-1] not in ("", "0", "false", "off")
        elif self.kind == "password":
            self.data = valuelist[0] if valuelist else ""
        elif valuelist:
            self.data = valuelist[0]

    def _value(self) -> str:
        return str(self.shown) if self.kind not in {"check", "checks"} else ""

    @property
    def shown(self) -> Any:
        """Return what the control shows: never a password."""
        if self.kind == "password":
            return ""
        if self.kind in {"check", "checks"}:
            return self.data or ([] if self.kind == "checks" else False)
        return "" if self.data is None else str(_plain(self.data))


class DraftForm(Form, Generic[D]):
    """A form over the draft `schema`.

    Attributes:
        general: sentences that belong to no field.
    """

    schema: type[D]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.general: list[str] = []
        super().__init__(*args, **kwargs)

    def submit(self, action: Callable[[D], R]) -> R | None:
        """Return what `action` made of the valid draft, or None with the errors filled in.

        An `Invalid` of the action is shown at its fields, as if the draft had said it.
        """
        try:
            return action(validated(self.schema, self.clean()))
        except Invalid as error:
            self.refuse(error)
            return None

    def draft(self) -> D | None:
        """Return the valid draft, or None with the errors filled in."""
        return self.submit(lambda draft: draft)

    def clean(self) -> dict[str, Any]:
        """Return what was typed, in the shapes that the draft reads."""
        found: dict[str, Any] = {}
        for name, info in self.schema.model_fields.items():
            field = self._fields[info.alias or name]
            value = _cleaned(field, info)
            if value is not None:
                found[info.alias or name] = value
        return found

    def refuse(self, error: Invalid) -> None:
        """Put the sentences of `error` to their fields, the rest to `general`."""
        for problem in error.errors:
            name = problem.pointer.split("/")[1] if problem.pointer else ""
            field = self._fields.get(name)
            if field is None:
                self.general.append(problem.detail)
            else:
                field.errors = [*field.errors, problem.detail]
        if not error.errors:
            self.general.append(f"{error.title} {error.text}".strip())

    @property
    def errors_in_order(self) -> list[tuple[str, str]]:
        """Return (id of the control, sentence) as the summary lists them."""
        general = [("", sentence) for sentence in self.general]
        return general + [(field.id, sentence) for field in self for sentence in field.errors]

    def __iter__(self) -> Iterator[DraftField]:
        return iter(self._fields.values())


def form_of(schema: type[D], **values: Any) -> DraftForm[D]:
    """Return an empty form, or one that shows `values`."""
    return cast("DraftForm[D]", _class_of(schema)(data=values))


def form_over(schema: type[D], row: object) -> DraftForm[D]:
    """Return a form that shows the row's attributes of the same names."""
    return form_of(schema, **{n: getattr(row, n) for n in schema.model_fields if hasattr(row, n)})


def posted(schema: type[D]) -> DraftForm[D]:
    """Return the form with what this request typed into it."""
    form = cast("DraftForm[D]", _class_of(schema)(formdata=request.form))
    g.posted_form = form
    return form


@cache
def _class_of(schema: type[BaseModel]) -> type[DraftForm[Any]]:
    fields = {
        info.alias or name: _field(info.alias or name, info)
        for name, info in schema.model_fields.items()
    }
    return type(f"{schema.__name__}Form", (DraftForm,), {"schema": schema, **fields})


def _field(name: str, info: FieldInfo) -> Any:
    kind = _kind(info)
    return DraftField(
        label=title_of(info, (name,)),
        description=info.description or "",
        default=_default(info),
        kind=kind,
        choices=_choices(info),
        attrs=_attrs(info, kind),
        id=name,
    )


def _extra(info: FieldInfo) -> dict[str, Any]:
    return info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}


def _kind(info: FieldInfo) -> str:
    if "widget" in _extra(info):
        return str(_extra(info)["widget"])
    annotation = bare(info.annotation)
    if get_origin(annotation) in _LISTS:
        return "checks" if choices_of(annotation) else "text"
    if choices_of(annotation):
        return "select"
    kinds: dict[Any, str] = {
        bool: "check",
        int: "number",
        float: "decimal",
        Decimal: "decimal",
        date: "date",
        SecretStr: "password",
        EmailStr: "email",
    }
    return kinds.get(annotation, "text")


def _choices(info: FieldInfo) -> list[tuple[str, str]]:
    labels = _extra(info).get("labels", {})
    names = choices_of(info.annotation)
    return [(name, labels.get(name, name.replace("_", " ").capitalize())) for name in names]


def _default(info: FieldInfo) -> Any:
    if info.is_required():
        return [] if _kind(info) == "checks" else None
    return info.get_default(call_default_factory=True)


_LIMITS = {"max_length": "maxlength", "min_length": "minlength", "ge": "min", "le": "max"}


def _attrs(info: FieldInfo, kind: str) -> dict[str, Any]:
    attrs: dict[str, Any] = {}
    for rule in info.metadata:
        for limit, attribute in _LIMITS.items():
            value = getattr(rule, limit, None)
            if value is not None and (kind != "checks" or attribute not in {"maxlength"}):
                attrs[attribute] = value
    if info.is_required() and kind != "check":
        attrs["required"] = True
    attrs.pop("minlength", None)  # the sentence of the server is clearer than the browser's
    if kind in {"number", "decimal"}:
        attrs["inputmode"] = "numeric" if kind == "number" else "decimal"
    extra = _extra(info)
    return attrs | {k: extra[k] for k in ("autocomplete", "inputmode", "placeholder") if k in extra}


def _cleaned(field: DraftField, info: FieldInfo) -> Any:
    """Return the typed value in the draft's shape; None is "not given"."""
    value = field.data
    if field.kind == "check":
        return bool(value)
    if get_origin(bare(info.annotation)) in _LISTS:
        if isinstance(value, str):
            return [word.strip() for word in value.split(",") if word.strip()]
        return list(value or [])
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    if field.kind in {"number", "decimal"} and isinstance(value, str):
        value = number_of(value)
        return whole_typed(value) if field.kind == "number" else value
    return value


def whole_typed(text: str) -> int | str:
    """Return the number that was typed in digits; anything else the field refuses as it is."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= 10 else text


_THOUSANDS = re.compile(r"[+-]?\d{1,3}(,\d{3})+")


def number_of(text: str) -> str:
    """Return "1234.5" for "1,234.5", "1 234,5" or "1'234.5"; anything else as it is.

    A single comma before three digits parts thousands, as everywhere in Deckhand.
    """
    plain = re.sub(r"[\s'’\u00a0\u202f_]", "", text)
    comma, dot = plain.rfind(","), plain.rfind(".")
    if comma >= 0 and dot >= 0:
        point = max(comma, dot)
        whole = plain[:point].replace(",", "").replace(".", "")
        return f"{whole}.{plain[point + 1 :]}"
    if comma >= 0:
        return plain.replace(",", "") if _THOUSANDS.fullmatch(plain) else plain.replace(",", ".")
    return plain


def _plain(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, SecretStr):
        return ""
    if isinstance(value, datetime | date):
        return value.isoformat()
    return value
