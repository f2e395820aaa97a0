"""The run form: a plan's questions as fields, and what was typed as answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Final
from zoneinfo import ZoneInfo

from webapp.engine.grammar import Field
from webapp.files.schemas import FileOut
from webapp.kernel import jsons
from webapp.kernel.errors import BadRequest, FieldError
from webapp.web import jsons as strict

PREFIX: Final = "q-"
"""Before the name of every question, so that none can be called like a field of ours."""
KEPT: Final = "-kept"
FEW_CHOICES: Final = 6
_SHORT: Final = 200


@dataclass(slots=True)
class Question:
    """One field of the form, as templates/shared/fields.html reads it."""

    name: str
    label: str
    kind: str
    value: Any = ""
    description: str = ""
    optional: bool = False
    choices: list[tuple[str, str]] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    kept: FileOut | None = None

    @property
    def id(self) -> str:
        return self.name


_KINDS: Final = {
    "number": "decimal",
    "boolean": "check",
    "date": "date",
    "datetime": "datetime",
    "list": "area",
    "record": "area",
    "any": "area",
    "file": "file",
}
_HINTS: Final = {
    "list": "One entry a line.",
    "record": 'Names and values as JSON, such as {"name": "Ada"}.',
    "datetime": "In your own time zone.",
}


def questions(
    fields: Sequence[Field], values: Mapping[str, Any], files: Mapping[str, FileOut], zone: str
) -> list[Question]:
    """Return the form's fields with `values` filled in.

    Args:
        values: as a run keeps them, or as they were typed.
        files: what is known of the files among the values.
    """
    return [_question(one, values.get(str(one.name)), files, zone) for one in fields]


def _question(one: Field, value: Any, files: Mapping[str, FileOut], zone: str) -> Question:
    hint = " ".join(part for part in (one.help, _HINTS.get(one.type, "")) if part)
    asked = Question(
        name=f"{PREFIX}{one.name}",
        label=one.label or str(one.name),
        kind=_kind(one),
        description=hint,
        optional=not one.required and one.type != "boolean",
    )
    if one.type == "oneof":
        asked.choices = [(word, word) for word in one.of]
        if not one.required:
            asked.choices.insert(0, ("", "None"))
    if one.type == "file":
        asked.kept = files.get(value["file"]) if isinstance(value, dict) else None
    else:
        asked.value = _shown(one, value, zone)
    return asked


def _kind(one: Field) -> str:
    if one.type == "oneof":
        return "radios" if len(one.of) <= FEW_CHOICES else "select"
    if one.type == "text":
        return "text" if one.max is not None and one.max <= _SHORT else "area"
    return _KINDS[one.type]


def _shown(one: Field, value: Any, zone: str) -> Any:
    if value is None:
        return False if one.type == "boolean" else ""
    if one.type == "datetime" and isinstance(value, str):
        return _local(value, zone)
    if one.type == "list" and isinstance(value, list) and all(isinstance(v, str) for v in value):
        return "\n".join(value)
    if isinstance(value, bool | str):
        return value
    if isinstance(value, Decimal):
        return f"{value:f}"  # a form reads no 1E-7
    return jsons.pretty(value) if isinstance(value, dict | list) else str(value)


def _local(moment: str, zone: str) -> str:
    try:
        found = datetime.fromisoformat(moment)
    except ValueError:
        return moment
    if found.tzinfo is None:
        return moment
    return found.astimezone(ZoneInfo(zone)).strftime("%Y-%m-%dT%H:%M")


def answers(
    fields: Sequence[Field], typed: Mapping[str, str], uploads: Mapping[str, str], zone: str
) -> dict[str, Any]:
    """Return what was typed in the shapes that `inputs.read_inputs` reads.

    Args:
        uploads: ids of files that came with the form, by the question's name.
    """
    return {str(one.name): _answer(one, typed, uploads, zone) for one in fields}


def _answer(one: Field, typed: Mapping[str, str], uploads: Mapping[str, str], zone: str) -> Any:
    name = str(one.name)
    text = typed.get(f"{PREFIX}{name}", "")
    match one.type:
        case "file":
            file_id = uploads.get(name) or typed.get(f"{PREFIX}{name}{KEPT}", "")
            return {"file": file_id} if file_id else None
        case "boolean":
            return bool(text)
        case "datetime" if text:
            return _aware(text, zone)
        case "record" | "list" | "any" if text.lstrip()[:1] in {"{", "["}:
            return _as_json(text)
    return text


def _aware(text: str, zone: str) -> str:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return text
    return (found if found.tzinfo else found.replace(tzinfo=ZoneInfo(zone))).isoformat()


def _as_json(text: str) -> Any:
    """Return the JSON that was typed, read as strictly as what programs send; else the text."""
    try:
        return strict.load(text)
    except BadRequest:
        return text


def put_errors(form: Sequence[Question], errors: Sequence[FieldError]) -> list[tuple[str, str]]:
    """Put each sentence to its question; return (id, sentence) in the order of the form."""
    by_name = {question.name: question for question in form}
    general = []
    for error in errors:
        name = error.pointer.removeprefix("/inputs/").split("/")[0]
        question = by_name.get(f"{PREFIX}{name}")
        if question is None:
            general.append(("", error.detail))
        else:
            question.errors.append(error.detail)
    return general + [(q.id, sentence) for q in form for sentence in q.errors]


def file_ids(values: Mapping[str, Any]) -> list[str]:
    """Return the ids of files among the values of a form."""
    return [
        value["file"]
        for value in values.values()
        if isinstance(value, dict) and isinstance(value.get("file"), str)
    ]
