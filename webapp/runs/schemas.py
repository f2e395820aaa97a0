"""Runs and tasks as programs see them (RULINGS.md section 3, item 4)."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, Field

from webapp.kernel.drafts import Draft


class RunStart(Draft):
    """What a run is started with."""

    inputs: dict[str, Any] = Field(
        default_factory=dict, title="Inputs", description="Values for the workflow's questions."
    )
    version: int | Literal["live", "draft"] = Field(
        "live", title="Version", description="A number, the live version, or the draft."
    )


class Execute(RunStart):
    """A run to start, with the workflow named in the body."""

    workflow: str = Field(
        title="Workflow", description="Id of the workflow.", min_length=1, max_length=60
    )


class Reference(BaseModel):
    """Another thing, by id and name."""

    id: str
    name: str


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


class TaskDetail(TaskOut):
    """A step with what went in and what came out."""

    input: Any
    output: Any


class LogLine(BaseModel):
    """One event of a run, in order."""

    seq: int
    at: datetime
    type: str
    data: dict[str, Any]


class RunStarted(BaseModel):
    """A run that was accepted; it goes on by itself."""

    id: str
    state: str
    url: str


class RunSummary(BaseModel):
    """A run as it stands in a list."""

    id: str
    state: str
    word: str
    problems: bool
    workflow: Reference
    version: int | None = Field(description="null is a copy of the draft")
    queued_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    took_ms: int | None
    cost_usd: str
    started_by: str
    progress: dict[str, int]


class RunOut(RunSummary):
    """A run with its result and tasks."""

    inputs: dict[str, Any]
    result: dict[str, Any] | None
    error: dict[str, Any] | None
    tasks: list[TaskOut]
    more_tasks: bool = Field(description="Whether there are more tasks than these.")
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
