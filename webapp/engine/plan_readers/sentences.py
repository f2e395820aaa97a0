"""From pydantic's errors to sentences for people, with JSON pointers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from webapp.engine.plan import PlanProblem

MOST = 100
WAITING = frozenset({"C-FIELD-EMPTY", "C-FIELD-RANGE", "C-KIND-UNKNOWN"})
YES_OR_NO = "yes or no"
WORDS = {
    "string_type": "a text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "decimal_type": "a number",
    "bool_type": YES_OR_NO,
    "list_type": "a list",
    "dict_type": "a record",
    "model_type": "a record",
    "model_attributes_type": "a record",
    "none_required": "empty",
}
LIMITS = {
    "greater_than_equal": "must be at least {ge}",
    "greater_than": "must be more than {gt}",
    "less_than_equal": "must be at most {le}",
    "less_than": "must be less than {lt}",
    "string_too_long": "must have {max_length} characters or fewer",
    "string_too_short": "must have {min_length} characters or more",
    "too_long": "holds at most {max_length}",
    "too_short": "needs at least {min_length}",
    "literal_error": "must be {expected}",
    "enum": "must be {expected}",
    "string_pattern_mismatch": "has a letter or sign that can't stand there",
    "finite_number": "must be a real number",
}
UNITS = {"_s": " in seconds", "_usd": " in USD"}


def may_wait(problem: PlanProblem) -> bool:
    """Whether a draft may hold it: something to be filled in, not something unreadable."""
    return problem.code in WAITING


def titles_of(model: type[BaseModel]) -> dict[str, str]:
    """Return the form's labels of a model's settings, by key."""
    return {
        field.alias or name: f"“{field.title}”"
        for name, field in model.model_fields.items()
        if field.title
    }


def problems_of(
    error: ValidationError, doc: Any, at: str, titles: Mapping[str, str] | None = None
) -> list[PlanProblem]:
    """Return one problem per place of `doc`, which lies at pointer `at`; the first hundred.

    Args:
        error: what pydantic says.
        doc: the document it was said of.
        at: pointer to `doc`.
        titles: labels of the settings at the top of `doc`.
    """
    found: dict[str, PlanProblem] = {}
    words: set[str] = set()
    details = error.errors(include_url=False)[:MOST]
    fitting: defaultdict[str, set[str]] = defaultdict(set)
    for detail in details:
        if detail["type"] in WORDS:
            fitting[_pointer(detail["loc"], doc)[0]].add(WORDS[detail["type"]])
    for detail in details:
        problem = _problem(detail, doc, at, titles or {}, fitting)
        found.setdefault(problem.pointer, problem)
        if detail["type"] == "literal_error":
            words.add(problem.pointer)
    # What is no word is a record: what is wrong inside it says more.
    records = {at for at in words if any(other.startswith(f"{at}/") for other in found)}
    return [problem for pointer, problem in found.items() if pointer not in records]


def _any_of(words: Iterable[str]) -> str:
    """Return "a number", or "a number, a text, or yes or no"."""
    left = sorted(words, key=lambda word: (word == YES_OR_NO, word))
    if "a number" in left and "a whole number" in left:
        left.remove("a whole number")
    if len(left) == 1:
        return left[0]
    return f"{', '.join(left[:-1])}{',' if len(left) > 2 else ''} or {left[-1]}"


def _problem(
    detail: ErrorDetails,
    doc: Any,
    at: str,
    titles: Mapping[str, str],
    fitting: Mapping[str, set[str]],
) -> PlanProblem:
    kind, context = detail["type"], detail.get("ctx", {})
    pointer, key = _pointer(detail["loc"], doc, is_missing=kind == "missing")
    is_top = pointer.count("/") == 1
    must_be = _any_of(fitting.get(pointer) or {"written otherwise"})
    pointer = at + pointer
    label = (titles.get(key) if is_top else None) or _label(key)
    match kind:
        case "plan_grammar":
            return PlanProblem(pointer + context["at"], "P-VALUE", context["text"])
        case "plan_empty":
            return PlanProblem(pointer + context["at"], "C-FIELD-EMPTY", context["text"])
        case "missing":
            return PlanProblem(pointer, "C-FIELD-EMPTY", f"{label} is missing")
        case "extra_forbidden":
            return PlanProblem(pointer, "P-KEY", f"There is no setting called “{key}” here")
        case "union_tag_invalid" | "union_tag_not_found":
            return PlanProblem(pointer, "P-VALUE", f"{label} has a word that is not known here")
        case "value_error":
            return PlanProblem(
                pointer, "C-FIELD-RANGE", detail["msg"].removeprefix("Value error, ")
            )
    if kind == "string_too_short" and context["min_length"] == 1:
        return PlanProblem(pointer, "C-FIELD-EMPTY", f"{label} is missing")
    if kind in LIMITS:
        shown = {k: f"{v:,}" if isinstance(v, int) else v for k, v in context.items()}
        return PlanProblem(pointer, "C-FIELD-RANGE", f"{label} {LIMITS[kind].format(**shown)}")
    return PlanProblem(pointer, "P-TYPE", f"{label} must be {must_be}")


def _label(key: str) -> str:
    """Return a setting's key as people read it: "Timeout in seconds"."""
    for ending, unit in UNITS.items():
        if key.endswith(ending):
            key = f"{key.removesuffix(ending)}{unit}".removeprefix("in ")
    return key.replace("_", " ").capitalize() or "This"


def _pointer(loc: tuple[int | str, ...], doc: Any, *, is_missing: bool = False) -> tuple[str, str]:
    """Return the JSON pointer and the last key of a pydantic location.

    Pydantic names the branches of unions among the keys; they lead nowhere in the document, as
    does the last key of what is missing.
    """
    pointer, last = "", ""
    for n, key in enumerate(loc):
        try:
            doc = doc[key]
        except (KeyError, IndexError, TypeError):
            if not (is_missing and isinstance(doc, dict) and n == len(loc) - 1):
                continue
        escaped = str(key).replace("~", "~0").replace("/", "~1")
        pointer += f"/{escaped}"
        last = last if isinstance(key, int) else str(key)
    return pointer, last
