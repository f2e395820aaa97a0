"""Runs and tasks as programs see them (RULINGS.md section 3, item 4)."""

from __future__ import annotations

from contextlib import suppress
from datetime import date, datetime
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainValidator

from webapp.kernel.asking import (
    Exact,
    Listed,
    WholeNumber,
    a_cursor,
    an_id,
    exact,
    id_pattern,
    whole,
)
from webapp.kernel.drafts import Draft
from webapp.workflows.schemas import PaceShown

RunState = Literal[
    "queued", "running", "waiting", "paused", "needs_review", "done", "failed", "cancelled"
]


def _which(value: Any) -> Any:
    """Read a union by hand, so that what is wrong with it is one sentence at one place."""
    if value in ("live", "draft"):
        return value
    with suppress(ValueError):
        if 1 <= (number := whole(value)) < 2**31:
            return number
    raise ValueError("Send the number of a version, “live” or “draft”.")


WhichVersion = Annotated[
    int | Literal["live", "draft"],
    PlainValidator(
        _which,
        json_schema_input_type=Annotated[int, Field(ge=1, lt=2**31)] | Literal["live", "draft"],
    ),
]


def _example(value: dict[str, Any]) -> ConfigDict:
    return ConfigDict(json_schema_extra={"examples": [value]})


_BY: Final = f"^me$|{id_pattern('usr')}|{id_pattern('key')}"


def _read_day(value: Any) -> Any:
    """Take a day as people and programs write it, and no moment."""
    with suppress(ValueError):
        if isinstance(value, str) and len(value) == 10:
            return date.fromisoformat(value)
    raise ValueError("Write a day such as 2026-03-04.")


Day = Annotated[date, BeforeValidator(_read_day)]


class RunsAsked(Listed):
    """Which runs to list."""

    after: Annotated[str | None, a_cursor("run")] = None
    cursor: Annotated[str | None, a_cursor("run")] = None
    state: RunState | None = Field(
        None,
        description="Only runs in this state. A run over a long list is in `needs_review` when a "
        "part of the list is, and nothing else of the run is at work; `input.child` of the task "
        "that waits names the part, whose tasks say what is in doubt.",
    )
    workflow: Annotated[str | None, an_id("wf")] = Field(
        None, description="Only runs of this workflow."
    )
    by: Annotated[str | None, Field(pattern=_BY)] = Field(
        None, description="Only runs that this person or key started; `me` is the key that asks."
    )
    since: Day | None = Field(None, description="Only runs accepted on this day (UTC) or later.")
    until: Day | None = Field(None, description="Only runs accepted on this day (UTC) or before.")


class TasksAsked(Draft):
    """Which tasks to list."""

    run: Annotated[str, an_id("run")] = Field(description="The run whose tasks to list.")
    limit: WholeNumber = Field(50, ge=1, le=200, description="How many come at most.")
    after: str = Field("", max_length=400, description="What `next` said in the answer before.")


class LogsAsked(Draft):
    """Which part of a run's log to return."""

    limit: WholeNumber = Field(200, ge=1, le=500, description="How many events come at most.")
    after: WholeNumber = Field(
        0, ge=0, le=2**31 - 1, description="Only events behind this number; `next` said it."
    )


class RunStart(Draft):
    """What a run is started with."""

    model_config = _example({"inputs": {"who": "Ada"}})

    inputs: dict[str, Any] = Field(
        default_factory=dict,
        title="Inputs",
        description="Values for the workflow's questions.",
        json_schema_extra={"x-component": "JsonObject"},
    )
    version: WhichVersion = Field(
        "live", title="Version", description="A number, the live version, or the draft."
    )
    rehearsal: bool = Field(
        False,
        title="Rehearsal",
        description="Read for real, and only write down what would be sent or changed.",
    )

    priority: Literal["high", "normal", "low"] = Field(
        "normal",
        title="Priority",
        description="A run of high priority takes a tenth of a turn in line, one of low "
        "priority ten.",
    )


class Execute(RunStart):
    """A run to start, with the workflow named in the body."""

    model_config = _example({"workflow": "wf_01k9z3v8q4e7m2n5r6t8w0x1y3", "inputs": {"who": "Ada"}})

    workflow: Annotated[str, an_id("wf")] = Field(
        title="Workflow", description="Id of the workflow."
    )


class AgainAsked(Draft):
    """From where a run would begin again."""

    start: str = Field(
        "", alias="from", max_length=400, description="Path of a step; empty is the beginning."
    )
    version: Literal["same", "live"] = Field(
        "same", description="The version as it ran, or the one that is live now."
    )


class RunAgain(Draft):
    """From where a run begins again, and what shall be sent once more."""

    model_config = _example({"from": "s_2", "send_again": ["s_3"]})

    start: str = Field(
        "",
        alias="from",
        max_length=400,
        title="From",
        description="Path of a step; empty is the beginning.",
    )
    version: Literal["same", "live"] = Field(
        "same",
        title="Version",
        description="The version as it ran, or the one that is live now. Of what ran, only what "
        "comes before every step that the live version does otherwise is taken over.",
    )
    send_again: list[Annotated[str, Field(max_length=400)]] = Field(
        default_factory=list,
        max_length=500,
        title="Send again",
        description="Paths of effects that shall happen once more; the others are skipped.",
    )


class SentBefore(BaseModel):
    """A step that has had an effect and would be done again."""

    path: str
    step: str
    kind: str
    effect: str
    doubtful: bool = Field(description="Nobody knows whether it happened.")
    calls: int = Field(description="An agent's tool calls that had an effect.")


class AgainOut(BaseModel):
    """What running again would take over, and what it would send twice."""

    run: str
    start: str = Field(serialization_alias="from")
    version: int | None = Field(description="What the new run would go by; null is a try-out.")
    live: int | None = Field(description="The version that is live, if it is another one.")
    changed: list[str] = Field(description="Steps that the run did not have, or had otherwise.")
    kept: int
    sent: list[SentBefore]


class SignalSent(Draft):
    """A signal for a run that waits for one, or will."""

    model_config = _example({"name": "paid", "data": {"sum": "120.00"}})

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")] = Field(
        title="Signal", description="The name that the step waits for."
    )
    data: Any = Field(
        None,
        title="Data",
        description="Any JSON value up to 32 KiB; later steps can use it.",
        json_schema_extra={"x-component": "Json"},
    )


class SignalOut(BaseModel):
    """A signal that was kept for a run."""

    id: str
    run: str
    name: str
    at: datetime


class StepDecision(Draft):
    """What a person found out about a step whose effect is in doubt."""

    model_config = _example({"decision": "happened", "note": "Order 4711 is in the shop."})

    decision: Literal["happened", "again"] = Field(
        title="Decision",
        description="It happened, so the run goes on behind it; or it is done once more.",
    )
    note: str = Field("", max_length=500, title="Note", description="Kept with the decision.")


class ApprovalDecision(Draft):
    """What somebody answers when a run asks."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"decision": "approve", "shown": "9f" * 32, "note": "", "values": {}, "answers": {}}
            ],
            # Readers of APIs draw "if" and "oneOf" as cases without names; this they leave alone.
            "not": {
                "properties": {"decision": {"const": "approve"}, "shown": {"enum": [None, ""]}},
                "required": ["decision"],
            },
        }
    )

    decision: Literal["approve", "reject", "changes"] = Field(
        title="Decision", description="Agree, refuse, or ask for changes, which the note says."
    )
    note: str = Field("", max_length=2000, title="Note", description="Kept with the decision.")
    values: dict[str, Any] = Field(
        default_factory=dict,
        title="Values",
        description="What is changed of what may be edited, by name.",
        json_schema_extra={"x-component": "JsonObject"},
    )
    answers: dict[str, Any] = Field(
        default_factory=dict,
        title="Answers",
        description="Answers to the questions, by name.",
        json_schema_extra={"x-component": "JsonObject"},
    )
    shown: str | None = Field(
        None,
        max_length=64,
        title="Shown",
        description="`shown` of the approval as it was read: needed to approve, and refused if it "
        "was edited since.",
    )


class Reference(BaseModel):
    """Another thing, by id and name."""

    id: str
    name: str


class FailuresAsked(Draft):
    """Which failed runs to group."""

    days: WholeNumber = Field(7, ge=1, le=90, description="Only runs of so many days.")


class CauseKey(Draft):
    """What names a group of failed runs."""

    workflow: Annotated[str, an_id("wf")] = Field(title="Workflow")
    step: str = Field("", max_length=40, title="Step", description="Empty: the run as a whole.")
    code: str = Field(max_length=60, title="Code", description="Of the error.")


class FailureCause(BaseModel):
    """Failed runs of one workflow that failed at the same step for the same reason."""

    workflow: Reference
    step: str
    step_name: str
    code: str
    text: str = Field(description="What the newest of them says.")
    count: int
    first_at: datetime
    last_at: datetime
    newest: Annotated[str, an_id("run")]


class FailureList(BaseModel):
    """Why runs failed, the most frequent cause first."""

    items: list[FailureCause]
    looked_back_to: datetime | None = Field(
        description="There are older failures than this, which were not looked at; null: none."
    )


class Replay(Draft):
    """Which failed runs to run again, and how fast."""

    model_config = _example(
        {
            "causes": [
                {"workflow": "wf_01k9z3v8q4e7m2n5r6t8w0x1y3", "step": "s_2", "code": "E-HTTP-5XX"}
            ],
            "pace": 30,
        }
    )

    causes: list[CauseKey] = Field(min_length=1, max_length=200, title="Causes")
    days: Exact = Field(7, ge=1, le=90, title="Days", description="Only runs of so many days.")
    pace: Exact = Field(
        30, ge=1, le=600, title="Runs a minute", description="How many begin in a minute."
    )
    send_again: bool = Field(
        False,
        title="Send again",
        description="Send once more what was sent behind the step that failed, which otherwise is "
        "skipped.",
    )


class NotReplayed(BaseModel):
    """A failed run that was not run again, and why."""

    run: Annotated[str, an_id("run")]
    code: str
    text: str


class Replayed(BaseModel):
    """Runs that were started again; each waits for its moment."""

    runs: list[Annotated[str, an_id("run")]]
    refused: list[NotReplayed] = Field(
        description="Failed runs that their workflow's run mode, or a full queue, kept back. They "
        "are offered again."
    )
    left: int = Field(description="How many failed runs of these causes are left for next time.")


class TaskOut(BaseModel):
    """One step of a run, its newest attempt."""

    id: str = Field(description="`{run}.{path}`")
    run: str
    path: str
    step: str
    name: str
    kind: str
    state: str
    word: str
    attempts: int
    started_at: datetime | None
    finished_at: datetime | None
    took_ms: int | None
    cost_usd: str
    tokens_in: int
    tokens_out: int
    error: dict[str, Any] | None


class ModelCall(BaseModel):
    """One call of a model, as the ledger has it."""

    model: str
    tokens_in: int
    tokens_out: int
    tokens_cached: int = Field(description="How many of those in came from the server's cache.")
    cost_usd: str | None = Field(description="null: the model had no price, so nobody knows.")
    estimate: bool = Field(description="The call was cut off, or the server did not count.")


class TaskDetail(TaskOut):
    """A step with what went in, what came out, and what it asked of models."""

    input: Any
    output: Any
    model_calls: list[ModelCall]


class LogLine(BaseModel):
    """One event of a run, in order."""

    seq: int
    at: datetime
    type: str
    data: dict[str, Any]


class RunStarted(BaseModel):
    """A run that was accepted; it goes on by itself."""

    id: Annotated[str, an_id("run")]
    state: str
    url: str


class RunSummary(BaseModel):
    """A run as it stands in a list."""

    id: Annotated[str, an_id("run")]
    state: str
    word: str
    problems: bool
    workflow: Reference
    version: int | None = Field(description="null is a copy of the draft")
    kind: str = Field(
        description="normal; tryout (of a draft); rehearsal (sends nothing, nor does what it "
        "starts); child (of a run)"
    )
    queued_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    took_ms: int | None
    cost_usd: str
    started_by: str
    progress: dict[str, int] = Field(
        description="`done`: steps that have ended, each in each item of a list. `total`: the "
        "steps of the plan, or `done` once there are more or the run is over."
    )


class LineOut(BaseModel):
    """Where a run stands that does not run."""

    ahead: int | None = Field(
        description="Runs before it in line, counted up to 1,000; null: it is not in line."
    )
    wait_s: int | None = Field(
        description="About how many seconds these take, or until its moment comes; null: unknown."
    )
    held: str = Field(description="What holds it, as a sentence; empty: only the line.")


class QueueOut(PaceShown):
    """The organization's runs in line and at work, and what holds them back."""

    waiting: int = Field(description="Runs that have not begun.")
    running: int = Field(description="Runs at work.")
    oldest_s: int | None = Field(description="How many seconds the oldest in line has waited.")
    begun_a_minute: int = Field(description="How many began in the last minute, about.")
    held: str = Field(description="What holds all of them, as a sentence; empty: nothing does.")


class QueueDraft(Draft):
    """How a queue of the machine is kept."""

    mode: Literal["fifo", "lifo", "priority"] = Field(
        "fifo",
        title="Order",
        json_schema_extra={
            "widget": "radios",
            "labels": {
                "fifo": "In turn: every organization gets its share",
                "lifo": "The newest first",
                "priority": "By priority, then the oldest first",
            },
        },
    )
    max_waiting: Annotated[
        Annotated[int, Field(ge=1, le=1_000_000, strict=True)] | None,
        BeforeValidator(exact),
        Field(title="Most runs of one organization in line"),
    ] = None


class RunOut(RunSummary):
    """A run with its result and tasks."""

    steps: dict[str, int] = Field(
        description="As its page says it: `done` of the `of` steps of the plan are behind the "
        "run. A list counts, with the steps in it, when the whole list is."
    )
    inputs: dict[str, Any]
    result: dict[str, Any] | None
    error: dict[str, Any] | None
    tasks: list[TaskOut]
    more_tasks: bool = Field(description="Whether there are more tasks than these.")
    line: LineOut | None = Field(description="Where it stands while it waits for a worker.")
    url: str


class RunList(BaseModel):
    """A page of runs, newest first."""

    items: list[RunSummary]
    next: str | None


class TaskList(BaseModel):
    """A page of a run's tasks, by path."""

    items: list[TaskOut]
    next: str | None


class LogList(BaseModel):
    """Events of a run, in order; ask again with `after` for what follows."""

    items: list[LogLine]
    next: int | None


class ShownValue(BaseModel):
    """A value to check."""

    name: str
    label: str
    value: Any
    may_edit: bool


class ChangesAsked(BaseModel):
    """What somebody wanted changed in an earlier round."""

    round: int
    by: str | None
    at: datetime
    note: str | None


class ApprovalOut(BaseModel):
    """What a run asks people, and what they said."""

    id: Annotated[str, an_id("apr")]
    run: Annotated[str, an_id("run")]
    part: str | None = Field(
        description="The part of the run that asks, when it does a long list in parts: itself a "
        "run, whose tasks have this path."
    )
    path: str
    step: str
    workflow: Reference
    state: Literal["open", "decided", "expired", "cancelled"]
    asked: str = Field(description="Whom it asks, in words.")
    asked_at: datetime
    due_at: datetime | None
    show: list[ShownValue]
    questions: list[dict[str, Any]]
    round: int | None = Field(
        description="How often people are asked by now; null when changes go back nowhere."
    )
    rounds: int | None = Field(description="How often they are asked at most.")
    before: list[ChangesAsked] = Field(description="What was to be changed in earlier rounds.")
    shown: str = Field(description="Names all that is shown; send it back with the answer.")
    needed: int = Field(description="How many must agree.")
    reachable: int = Field(description="How many can: those asked who are here, and have a say.")
    agreed: list[str]
    can_answer: bool = Field(description="Whether whoever asks this may answer it.")
    decision: str | None
    by: str | None
    at: datetime | None
    note: str | None


class ApprovalList(BaseModel):
    """What is asked of whoever looks, newest first."""

    items: list[ApprovalOut]
    next: str | None


class ApprovalsAsked(Listed):
    """Which approvals to list."""

    after: Annotated[str | None, a_cursor("apr")] = None
    cursor: Annotated[str | None, a_cursor("apr")] = None
