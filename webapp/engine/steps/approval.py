"""Ask a person: the run waits until somebody has agreed, refused, or asked for changes.

What is shown is frozen in the step's waiting row, and the result is made of these bytes: what a
person saw is what later steps use. Who may answer, by when, and what happens otherwise is looked
after where people are known (`runs/approvals.py`); the answer comes by the run's mailbox.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Annotated, Any, Literal

import pydantic
from pydantic import model_validator

from webapp.engine.canonical import to_bytes
from webapp.engine.errors import StepError
from webapp.engine.grammar import (
    Field,
    Name,
    StepId,
    Strict,
    unfinished,
)
from webapp.engine.ports import WaitFor
from webapp.engine.readings import as_moment, as_text
from webapp.engine.steps.asking import (
    ByGroup,
    ByPerson,
    ByRole,
    ByStarter,
    Due,
    PassOn,
    Seconds,
    Shown,
    SoMany,
    Who,
    Words,
)
from webapp.engine.steps.kind import Frozen, StepKind
from webapp.engine.values import CHANGES, Scope, render

MOST_SHOWN = 20
ANSWERS = frozenset({"text", "number", "boolean", "date", "datetime", "oneof"})
"""Types of questions that people can answer in a form of a few lines."""


class Config(Strict):
    who: Annotated[list[Who], pydantic.Field(min_length=1, max_length=20)] = pydantic.Field(
        title="Who is asked"
    )
    need: Literal["any", "all"] | SoMany = pydantic.Field(
        default="any", title="Who must agree", description="One of them, all, or so many."
    )
    not_starter: bool = pydantic.Field(default=False, title="Not whoever started the run")
    show: Annotated[list[Shown], pydantic.Field(max_length=MOST_SHOWN)] = pydantic.Field(
        default=[], title="To check"
    )
    edit: Annotated[list[Name], pydantic.Field(max_length=MOST_SHOWN)] = pydantic.Field(
        default=[], title="May be edited"
    )
    questions: Annotated[list[Field], pydantic.Field(max_length=10)] = pydantic.Field(
        default=[], title="Questions"
    )
    due: Due | None = pydantic.Field(default=None, title="Answer until")
    at_due: Literal["stop", "continue", "reject"] | PassOn = pydantic.Field(
        default="stop", title="If nobody answers"
    )
    remind_s: Seconds | None = pydantic.Field(default=None, title="Remind after")
    deputy: ByPerson | None = pydantic.Field(default=None, title="Deputy")
    back_to: StepId | None = pydantic.Field(
        default=None,
        title="Ask for changes goes back to",
        description="An earlier step of the same block; it is done again, and all behind it.",
    )
    rounds: Annotated[int, pydantic.Field(ge=1, le=10)] = pydantic.Field(
        default=3,
        title="Rounds",
        description="How often people are asked in all, when changes are asked for.",
    )
    refusal: Literal["fail", "continue"] = pydantic.Field(
        default="fail",
        title="If it is rejected, or changes are asked for",
        description="The step fails, or the run goes on and later steps look at the decision.",
    )
    words: Words = pydantic.Field(default=Words(), title="Words on the buttons")

    @model_validator(mode="after")
    def _names_are_known(self) -> Config:
        names = names_of(self)
        if len(set(names)) != len(names):
            raise unfinished("Give each value to check a name of its own", "/show/0")
        for n, name in enumerate(self.edit):
            if name not in names:
                raise unfinished(f"There is no value called “{name}” to edit", f"/edit/{n}")
        for n, one in enumerate(self.questions):
            if one.type not in ANSWERS:
                raise unfinished(
                    "A question asks for a text, a number, a date, yes or no, or one of some words",
                    f"/questions/{n}/type",
                )
        asked = [one.name for one in self.questions]
        if None in asked or len(set(asked)) != len(asked):
            raise unfinished("Give each question a name of its own", "/questions/0")
        return self

    @model_validator(mode="after")
    def _can_be_answered(self) -> Config:
        named = most_named(self.who, self.not_starter)
        if named is None:
            return self
        if not named:
            raise unfinished("Name somebody else: nobody is left to ask", "/who/0")
        if isinstance(self.need, SoMany) and self.need.n > named:
            word = "1 person is" if named == 1 else f"{named} people are"
            raise unfinished(f"{self.need.n} must agree, but only {word} named", "/need/n")
        return self


def most_named(who: Sequence[Who], not_starter: bool) -> int | None:
    """Return how many can answer; None: as many as there are of a role or a group."""
    if any(isinstance(one, ByRole | ByGroup) for one in who):
        return None
    people = {one.person for one in who if isinstance(one, ByPerson)}
    starter = any(isinstance(one, ByStarter) for one in who)
    return len(people) + (starter and not not_starter)


def names_of(config: Config) -> list[str]:
    """Return the names of what is shown; what has none is called by its place."""
    return [one.name or f"value_{n}" for n, one in enumerate(config.show, 1)]


def waits(config: Config, scope: Scope) -> WaitFor:
    """Return what is asked, with everything shown as it is now.

    Raises:
        StepError: E-WAIT, the time until which to answer is none.
    """
    asked = {
        "who": [one.model_dump() for one in config.who],
        "need": config.need if isinstance(config.need, str) else config.need.model_dump(),
        "not_starter": config.not_starter,
        "show": [
            {"name": name, "label": one.label or name, "value": render(one.value, scope)}
            for name, one in zip(names_of(config), config.show, strict=True)
        ],
        "edit": config.edit,
        "questions": [one.model_dump(exclude_defaults=True) for one in config.questions],
        "at_due": config.at_due if isinstance(config.at_due, str) else config.at_due.model_dump(),
        "remind_s": config.remind_s,
        "deputy": config.deputy.model_dump() if config.deputy is not None else None,
        "refusal": config.refusal,
        "words": config.words.model_dump(),
        **_due(config, scope),
        **_rounds(config, scope),
    }
    return WaitFor(frozen={"approval": asked})


def _rounds(config: Config, scope: Scope) -> dict[str, Any]:
    """Return which round it is, with what people said in those before."""
    if config.back_to is None:
        return {}
    told = scope.lookup([CHANGES]) or {"round": 1, "before": []}
    return {"round": told["round"], "rounds": config.rounds, "before": told["before"]}


def _due(config: Config, scope: Scope) -> dict[str, Any]:
    if config.due is None:
        return {}
    if config.due.in_s is not None:
        return {"due_s": config.due.in_s}
    value = render(config.due.at, scope)
    moment = as_moment(value, str(scope.facts.get("zone") or "UTC"))
    if moment is None:
        shown = as_text(value)[:60]
        text = f"“{shown}” is no date and no time, so nobody can be asked until then."
        raise StepError("E-WAIT", text, proven=True, retryable=False, facts={"value": shown})
    return {"due_at": moment.isoformat()}


def seal_of(asked: Frozen) -> str:
    """Return the SHA-256 of what is asked, as whoever answers and whoever goes on compute it."""
    return sha256(to_bytes(asked)).hexdigest()


def heard(frozen: Frozen, answer: Any) -> dict[str, Any]:
    """Return the result of what was asked and what was answered.

    Args:
        frozen: the waiting row's bytes.
        answer: `decision` (approve, reject, changes, late), `seal` of what was asked, `by`, `at`,
            `note`, `values` as edited, by name, and `answers`; of "late", `until` in words and the
            names of who `agreed`, when others had to.

    Raises:
        StepError: E-APPROVAL-BLOCKED, E-REJECTED, E-CHANGES or E-APPROVAL-LATE.
    """
    asked = frozen["approval"]
    if answer.get("seal") != seal_of(asked):
        text = "What was approved is not what this step asked, so the run was stopped here."
        raise StepError("E-APPROVAL-BLOCKED", text, proven=True, retryable=False)
    decision = str(answer["decision"])
    if decision == "late":
        decision = _nobody_answered(asked, answer)
    number, most = asked.get("round", 1), asked.get("rounds", 1)
    goes_back = decision == "changes" and number < most
    if decision in {"reject", "changes"} and not goes_back and asked["refusal"] == "fail":
        raise _refused(decision, answer, most)
    shown = {one["name"]: one["value"] for one in asked["show"]}
    edited = {k: v for k, v in (answer.get("values") or {}).items() if k in asked["edit"]}
    return {
        "decision": decision,
        "by": answer.get("by"),
        "at": answer["at"],
        "note": answer.get("note") or None,
        "values": shown | edited,
        "answers": answer.get("answers") or {},
        **({"round": number} if "round" in asked else {}),
    }


def rehearsed(frozen: Frozen) -> dict[str, Any]:
    """Return what a rehearsal goes on with: everybody has agreed, and answered nothing."""
    shown = {one["name"]: one["value"] for one in frozen["approval"]["show"]}
    given = {"decision": "approve", "by": None, "note": None, "values": shown, "answers": {}}
    return given | ({"round": 1} if "round" in frozen["approval"] else {})


def _nobody_answered(asked: Frozen, answer: Any) -> str:
    """Return what silence counts as."""
    match asked["at_due"]:
        case "continue":
            return "late"
        case "reject":
            return "reject"
    text = f"{_silence(answer)}, so the run stopped here."
    raise StepError(
        "E-APPROVAL-LATE", text, proven=True, retryable=False, facts={"until": answer["until"]}
    )


def _silence(answer: Any) -> str:
    agreed, until = answer.get("agreed"), answer["until"]
    if not agreed:
        return f"Nobody answered by {until}"
    return f"Too few agreed by {until} (only {', '.join(agreed)})"


def _refused(decision: str, answer: Any, rounds: int) -> StepError:
    by, note = answer.get("by"), str(answer.get("note") or "").strip()
    if by is None:
        said = f"{_silence(answer)}, which counts as a rejection"
    else:
        said = f"{by} rejected this" if decision == "reject" else f"{by} asked for changes"
    if decision == "changes" and rounds > 1:
        said += f" in the last of {rounds} rounds, so nothing was done again"
    text = f"{said}: {note}" if note else f"{said}."
    code = "E-REJECTED" if decision == "reject" else "E-CHANGES"
    facts = {"by": by, "note": note}
    return StepError(code, text, proven=True, retryable=False, facts=facts)


def gives(config: Config) -> list[Field]:
    shown = [
        Field(name=name, label=one.label, type=one.type)
        for name, one in zip(names_of(config), config.show, strict=True)
    ]
    decisions = ["approve"]
    if config.refusal == "continue":
        decisions += ["reject", "changes"]
    if config.due is not None and config.at_due == "continue":
        decisions.append("late")
    return [
        Field(name="decision", label="Decision", type="oneof", of=decisions),
        Field(name="by", label="Who", type="text", required="late" not in decisions),
        Field(name="at", label="When", type="datetime"),
        Field(name="note", label="Note", type="text", required=False),
        Field(name="values", label="Checked", type="record", fields=shown),
        Field(name="answers", label="Answers", type="record", fields=list(config.questions)),
        *([Field(name="round", label="Round", type="number")] if config.back_to else []),
    ]


KIND = StepKind(
    name="approval",
    label="Ask a person",
    about="Waits until somebody agrees, answers questions, or says no.",
    icon="person",
    group="People",
    config=Config,
    gives=gives,
    waits=waits,
    heard=heard,
    rehearsed=rehearsed,
    timeout_s=None,
)
