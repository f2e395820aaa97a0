"""Whether what people or models are asked for can be answered at all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from webapp.engine.fields import fit
from webapp.engine.grammar import Field
from webapp.engine.plan import Plan, Step

Finding = tuple[str, str, str]
"""Field, code and text of a check."""
_SOME_DAY = "2026-03-04"


def asked_at_start(plan: Plan) -> Iterator[Finding]:
    """Yield what Start asks for that nobody could answer."""
    for field, code, text in _unanswerable(plan.inputs, "inputs"):
        yield field, code, f"Start: {text}"


def asked_in_step(step: Step) -> Iterator[Finding]:
    """Yield what a step asks people or a model for that they could not answer."""
    for key in ("questions", "gives"):
        fields = getattr(step.config, key, None)
        if step.kind in {"approval", "agent"} and isinstance(fields, list):
            yield from _unanswerable(fields, f"with.{key}")


def _unanswerable(fields: Sequence[Field], at: str) -> Iterator[Finding]:
    for n, field in enumerate(fields):
        yield from _of_one(field, f"{at}.{n}", field.label or field.name or f"question {n + 1}")


def _of_one(field: Field, at: str, name: str) -> Iterator[Finding]:
    if field.type == "oneof" and not field.of:
        yield f"{at}.of", "C-FIELD-EMPTY", f"“{name}” has nothing to choose from: add its choices"
    elif field.min is not None and field.max is not None and field.min > field.max:
        text = f"“{name}” can't be answered: at least {field.min} and at most {field.max}"
        yield f"{at}.min", "C-FIELD-RANGE", text
    elif field.default is not None and (wrong := _default_problem(field)):
        text = f"what “{name}” is when nothing is entered does not fit: {wrong}"
        yield f"{at}.default", "C-FIELD-RANGE", text
    if field.items is not None:
        yield from _of_one(field.items, f"{at}.items", name)
    for n, inner in enumerate(field.fields):
        yield from _of_one(inner, f"{at}.fields.{n}", inner.label or inner.name or name)


def _default_problem(field: Field) -> str:
    if field.type == "file":
        return ""  # a start may name it by its id alone, and only a start knows it
    named = field.model_copy(update={"name": "it", "required": False})
    _, problems = fit([named], {}, _SOME_DAY)
    return next(iter(problems.values()), "").rstrip(".")
