"""Plan documents as drafts keep them: read strictly, hashed, and checked for what is left."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from webapp.access.context import Context, requires
from webapp.access.permissions import Permission
from webapp.engine.callees import Callees
from webapp.engine.check_approvals import people_asked
from webapp.engine.checks import Check as Finding
from webapp.engine.checks import check
from webapp.engine.plan import Plan, PlanError, PlanTooNew, load_plan, plan_sha
from webapp.kernel.errors import FieldError, Invalid
from webapp.kernel.ids import public_id
from webapp.organizations.service import members_of
from webapp.workflows.blocks import own_settings, places
from webapp.workflows.forms.cards import is_stopgap
from webapp.workflows.tokens import unknown_tokens

Doc = dict[str, Any]
EMPTY: Final[Doc] = {"plan": 1, "inputs": [], "steps": [], "result": []}


def structural(doc: Doc) -> Doc:
    """Return `doc` if a draft may hold it.

    Raises:
        Invalid: it is no plan; each problem with its place.
    """
    read(doc)
    return doc


def read(doc: Doc) -> Plan:
    """Return the draft as a `Plan`, or raise `Invalid`."""
    try:
        return load_plan(doc, "draft")
    except PlanTooNew as error:
        raise Invalid(_places(error), code="E-PLAN-NEWER", found=doc.get("plan"), known=1) from None
    except PlanError as error:
        raise Invalid(_places(error), code="E-PLAN", reason=f"{error.problems[0].text}.") from None


def _places(error: PlanError) -> list[FieldError]:
    return [FieldError(f"/plan{p.pointer}", p.code, f"{p.text}.") for p in error.problems[:50]]


def digest(doc: Doc) -> str:
    return plan_sha(doc)


@requires(Permission.VIEW_WORKFLOWS)
def findings(ctx: Context, plan: Plan, doc: Doc, callees: Callees) -> list[Finding]:
    """Return what is left to do, to look at or broken in a draft's document, read as `plan`."""
    found = [*check(plan, callees=callees), *_strangers(ctx, plan)]
    return [*found, *_unknown_values(doc), *_wordless(doc)]


def _wordless(doc: Doc) -> list[Finding]:
    """Questions that ask nothing yet: the run form would show the name that data has for them."""
    return [
        Finding(
            "look", "", f"inputs.{n}.label", "C-FIELD-EMPTY", f"Start: question {n + 1} is empty"
        )
        for n, field in enumerate(doc.get("inputs") or [])
        if not field.get("label") and is_stopgap(str(field.get("name") or ""))
    ]


def _strangers(ctx: Context, plan: Plan) -> list[Finding]:
    """People who are asked and don't belong here: nobody could answer, and the run would wait."""
    steps = enumerate(plan.walk(), 1)
    asked = [(n, step.id, *one) for n, step in steps for one in people_asked(step)]
    if not asked:
        return []
    here = {public_id("usr", member.id) for member in members_of(ctx)}
    text = "who is asked does not belong to this organization: choose somebody else"
    return [
        Finding("broken", step, field, "C-PERSON-GONE", f"Step {n}: {text}")
        for n, step, field, person in asked
        if person not in here
    ]


def _unknown_values(doc: Doc) -> list[Finding]:
    """Names of values that were typed but are not known stay text until somebody chooses."""
    found = []
    for place in places(doc):
        own = {**place.step, "with": own_settings(place.step), "on_failure": None}
        for field, text in _texts(own, ""):
            for token in unknown_tokens(text):
                words = f"Step {place.number}: choose a value, {token} is not known here"
                found.append(Finding("todo", place.step["id"], field, "C-REF-GONE", words))
    for number, output in enumerate(doc.get("result") or []):
        for token in unknown_tokens(output.get("value")):
            words = f"Result: choose a value, {token} is not known here"
            found.append(Finding("todo", "", f"result.{number}.value", "C-REF-GONE", words))
    return found


def _texts(value: Any, at: str) -> Iterator[tuple[str, str]]:
    """Yield the pointer and the text of every string inside `value` that may hold a token."""
    if isinstance(value, str):
        if "[[" in value:
            yield at, value
    elif isinstance(value, dict | list):
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        for key, inner in pairs:
            yield from _texts(inner, f"{at}.{key}" if at else str(key))


__all__ = ["EMPTY", "Doc", "Finding", "digest", "findings", "read", "structural"]
