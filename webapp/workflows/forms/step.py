"""The form of one step, of Start, of the result and of the limits: shown and read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Final

from webapp.engine.steps import KINDS
from webapp.kernel.errors import FieldError, Invalid
from webapp.workflows.blocks import own_settings
from webapp.workflows.forms.cards import is_stopgap, name_from
from webapp.workflows.forms.conditions import ConditionPart
from webapp.workflows.forms.kinds import parts_of
from webapp.workflows.forms.limits import LIMITS, Cost
from webapp.workflows.forms.parts import (
    ABSENT,
    Choose,
    Doc,
    Element,
    Env,
    Fold,
    Given,
    Number,
    Part,
    Text,
    read_all,
    show_all,
)
from webapp.workflows.forms.questions import CARRY, COLLECT, INPUTS, RESULT
from webapp.workflows.visible import Sights

AT: Final = "with"
NAME: Final = Text("name", "Name", most=80)
_FAILURE: Final = Choose(
    "do",
    "If it fails",
    "",
    (
        ("stop", "Stop and tell me"),
        ("continue", "Go on, its values are empty"),
        ("branch", "Go to steps of its own"),
    ),
    radios=True,
)


class Retry(Number):
    """How often to try again; kept as `retry.times`."""

    def show(self, settings: Doc, at: str, env: Env) -> Element:
        times = (settings.get("retry") or {}).get("times")
        return self._element(
            "number", at, env, value="" if times is None else str(times), unit="times"
        )

    def read(self, given: Given, at: str, old: Doc, env: Env) -> Any:
        times = Number.read(self, given, at, {}, env)
        if times is ABSENT:
            return ABSENT
        return {**(old.get("retry") or {}), "times": times}


_NOTE: Final = Text("note", "Note", "For whoever builds here. It does not change the run.", 1000,
                    area=2)  # fmt: skip
_TIMES: Final = (
    Number("timeout_s", "Time limit of one try", "", 1, 86_400, "seconds"),
    Retry("retry", "Try again after a failure", "Empty: twice when the step only reads.", 0, 10),
)


_OF_THE_END: Final[Mapping[str, Sequence[Part]]] = {
    "each": (COLLECT,),
    "repeat": (ConditionPart("until", "Until", "Looked at after each round."), CARRY),
}
"""What is settled at the end of the steps inside, and so can use their values."""


def _common(step: Doc) -> Fold:
    kind = KINDS.get(step.get("kind", ""))
    acts = kind is not None and (kind.prepare is not None or kind.perform is not None)
    parts: list[Part] = [*_TIMES] if acts else []
    if step.get("kind") == "agent":
        parts.append(Cost("cost_usd", "Cost limit"))
    return Fold("more", "More", "", (*parts, _NOTE))


def may_fail(step: Doc) -> bool:
    return step.get("kind") not in {"stop"}


def _hardly_fails(step: Doc) -> bool:
    kind = KINDS.get(step.get("kind", ""))
    return kind is not None and (kind.compute is not None or kind.container or kind.name == "wait")


@dataclass(frozen=True, slots=True)
class Around:
    """What some forms offer beside earlier values: see `Env`."""

    people: Sequence[tuple[str, str]] = ()
    earlier: Sequence[tuple[str, str]] = ()
    workflows: Sequence[tuple[str, str]] = ()
    versions: Sequence[int] = ()


NOTHING: Final = Around()


@dataclass(frozen=True, slots=True)
class StepForm:
    """What the template draws of the open step."""

    name: Element
    settings: list[Element]
    at_end: list[Element]
    failure: Element | None
    more: Element


def show_step(
    step: Doc,
    sights: Sights,
    *,
    more: Mapping[str, int] | None = None,
    errors: Mapping[str, str] | None = None,
    around: Around = NOTHING,
) -> StepForm:
    env = env_of(step, sights, more, errors)
    env.people, env.earlier = around.people, around.earlier
    env.workflows, env.versions = around.workflows, around.versions
    settings = step.get("with") or {}
    failure = step.get("on_failure") or {}
    end = _end_of(step, sights, env)
    more_of_it = _common(step).show(step, "step", env)
    handling = _FAILURE.show(failure, "failure", env) if may_fail(step) else None
    if handling is not None and not failure and _hardly_fails(step):
        more_of_it["elements"].insert(0, handling)
        handling = None
    return StepForm(
        name=NAME.show(step, "step", env),
        settings=show_all(parts_of(step, sights.callee(step)), settings, AT, env),
        at_end=show_all(_OF_THE_END.get(step.get("kind", ""), ()), settings, AT, end),
        failure=handling,
        more=more_of_it,
    )


def env_of(
    step: Doc,
    sights: Sights,
    more: Mapping[str, int] | None = None,
    errors: Mapping[str, str] | None = None,
) -> Env:
    is_list = step.get("kind") == "list"
    return Env(
        sights.names(step["id"]),
        rows=sights.names_of_rows(step["id"]) if is_list else None,
        columns=sights.columns(step["id"]) if is_list else (),
        more=more or {},
        errors=errors or {},
    )


def _end_of(step: Doc, sights: Sights, env: Env) -> Env:
    """Return what fields need that are about the end of the step's own block."""
    names = sights.names(step["id"], inside=True)
    return Env(names, outer=env.names, more=env.more, errors=env.errors, wrong=env.wrong)


def read_step(step: Doc, sights: Sights, given: Given) -> Doc:
    """Return the step as the form says; what the form does not show stays.

    Raises:
        Invalid: something cannot be read; the pointers are the names of fields.
    """
    env = env_of(step, sights)
    read: Doc = {**deepcopy(step), "with": own_settings(deepcopy(step))}
    # The plan must not lose the steps inside; `drafting.change_step` puts them back.
    shown = read_all(parts_of(step, sights.callee(step)), given, AT, read["with"], env)
    if last := _OF_THE_END.get(step.get("kind", "")):
        shown = read_all(last, given, AT, shown, _end_of(step, sights, env))
    read["with"] = _of_another(shown, read["with"])
    read = read_all((NAME, _common(step)), given, "step", read, env)
    if may_fail(step):
        _read_failure(read, given, env)
    refuse(env.wrong)
    return read


def _of_another(settings: Doc, old: Doc) -> Doc:
    """Drop what a tool or a workflow gets that is no longer chosen."""
    if old.get("tool") and settings.get("tool") != old.get("tool"):
        return {**settings, "args": {}}
    if old.get("workflow") and settings.get("workflow") != old.get("workflow"):
        kept = {"inputs", "version"}
        return {key: value for key, value in settings.items() if key not in kept}
    return settings


def _read_failure(step: Doc, given: Given, env: Env) -> None:
    word = _FAILURE.read(given, "failure", step.get("on_failure") or {}, env)
    if word is ABSENT or word == "stop":
        step.pop("on_failure", None)
    else:
        step["on_failure"] = {"do": word, **({"steps": []} if word == "branch" else {})}


def refuse(wrong: Mapping[str, str]) -> None:
    if wrong:
        raise Invalid([FieldError(name, "E-FIELD", text) for name, text in wrong.items()])


_ENDS: Final[Mapping[str, Part]] = {"start": INPUTS, "result": RESULT, "limits": LIMITS}


def show_end(
    doc: Doc, end: str, sights: Sights, errors: Mapping[str, str] | None = None
) -> Element:
    """Return the form of Start, of the result or of the limits."""
    return _ENDS[end].show(doc, "plan", Env(sights.names(), errors=errors or {}))


def read_end(doc: Doc, end: str, sights: Sights, given: Given) -> Any:
    """Return what Start asks for, what the run gives or its limits, as the form says.

    Raises:
        Invalid: something cannot be read; the pointers are the names of fields.
    """
    part, env = _ENDS[end], Env(sights.names())
    read = read_all((part,), given, "plan", {part.key: deepcopy(doc.get(part.key))}, env)
    refuse(env.wrong)
    match end:
        case "start":
            return _questions(read.get("inputs") or [])
        case "result":
            return _outputs(read.get("result") or [])
    return read.get("limits") or {}


def _questions(fields: list[Doc]) -> list[Doc]:
    for field in fields:
        if field.get("type") != "oneof":
            field.pop("of", None)
    return _all_named(fields, "question")


def _outputs(values: list[Doc]) -> list[Doc]:
    for value in values:
        value.setdefault("value", None)
    return _all_named(values, "value")


def _all_named(entries: list[Doc], word: str) -> list[Doc]:
    """Give entries that nobody has named yet a name, so that the draft can be kept.

    Once they have a label, that makes their name, and nothing has used the first one yet.
    """
    for entry in entries:
        if entry.get("label") and is_stopgap(str(entry.get("name") or "")):
            used = {str(one.get("name")) for one in entries if one is not entry}
            entry["name"] = name_from(str(entry["label"]), used)
    used = {entry["name"] for entry in entries if entry.get("name")}
    for entry in entries:
        number = 1
        while not entry.get("name"):
            if f"{word}_{number}" not in used:
                entry["name"] = f"{word}_{number}"
                used.add(entry["name"])
            number += 1
    return entries


def element_names(form: StepForm | Element) -> list[str]:
    """Return the names and kinds of all fields, to tell whether a change needs another form."""
    found: list[str] = []
    if isinstance(form, StepForm):
        waiting = [form.name, *form.settings, *form.at_end, form.more]
        waiting += [form.failure] if form.failure is not None else []
    else:
        waiting = [form]
    while waiting:
        element = waiting.pop()
        found.append(f"{element['id']} {element['type']}")
        waiting += element.get("elements") or []
        waiting += [inner for card in element.get("cards") or [] for inner in card["elements"]]
    return sorted(found)
