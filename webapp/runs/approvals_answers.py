"""What came with an answer: values that were edited, and answers to questions."""

from __future__ import annotations

from typing import Any

from webapp.engine.fields import fit
from webapp.engine.grammar import Field
from webapp.engine.readings import as_number
from webapp.kernel.clock import now
from webapp.kernel.errors import FieldError, Invalid, field_error
from webapp.runs.schemas import ApprovalDecision


def read(
    asked: dict[str, Any], shown: dict[str, Any], said: ApprovalDecision
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what was edited, by name, and the answers; only an approval has any.

    Raises:
        Invalid: with a sentence for each value, answer or note that doesn't fit.
    """
    if said.decision != "approve":
        if said.decision == "changes" and not said.note.strip():
            raise Invalid([field_error("/note", "E-FIELD-EMPTY", what="what is to be changed")])
        return {}, {}
    values, problems = fit(editable(asked, shown), said.values)
    wrong = [FieldError(f"/values/{name}", "E-FIELD", text) for name, text in problems.items()]
    wrong += _unknown("/values", said.values, asked["edit"])
    answers, problems = fit(questions(asked), said.answers, now().date().isoformat())
    wrong += [FieldError(f"/answers/{name}", "E-FIELD", text) for name, text in problems.items()]
    wrong += _unknown("/answers", said.answers, [one["name"] for one in asked["questions"]])
    if wrong:
        raise Invalid(wrong)
    given = {name: values[name] for name in said.values}
    return {n: v for n, v in given.items() if not _same(v, shown[n])}, answers


def editable(asked: dict[str, Any], shown: dict[str, Any]) -> list[Field]:
    """Return the fields of what may be edited, each of the type of its present value."""
    labels = {one["name"]: one["label"] for one in asked["show"]}
    return [
        Field(name=name, label=labels[name][:60], type=_type(shown[name]), required=False)
        for name in asked["edit"]
    ]


def questions(asked: dict[str, Any]) -> list[Field]:
    return [Field.model_validate(one) for one in asked["questions"]]


def _type(value: Any) -> Any:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, list | dict):
        return "list" if isinstance(value, list) else "record"
    return "number" if as_number(value) is not None else "text"


def _unknown(pointer: str, given: dict[str, Any], known: list[str]) -> list[FieldError]:
    words = ", ".join(known) or "none"
    return [
        field_error(f"{pointer}/{name}", "E-FIELD-UNKNOWN", name=name[:40], known=words)
        for name in given
        if name not in known
    ][:20]


def _plain_ends(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _same(given: Any, shown: Any) -> bool:
    """Whether nothing was changed; a form sends other line ends than it was given."""
    if isinstance(given, str) and isinstance(shown, str):
        return _plain_ends(given) == _plain_ends(shown)
    return bool(given == shown) or (given is None and shown in (None, ""))
