"""What comes in and goes out: workflows, their drafts, checks and versions."""

from __future__ import annotations

import unicodedata
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from webapp.kernel.drafts import Draft


def _one_line(text: str) -> str:
    return " ".join(unicodedata.normalize("NFC", text).split())


def _nfc(text: str) -> str:
    return unicodedata.normalize("NFC", text)


WorkflowName = Annotated[
    str,
    AfterValidator(_one_line),
    Field(
        title="Name",
        min_length=1,
        max_length=80,
        json_schema_extra={"enter": "a name for the workflow"},
    ),
]
About = Annotated[
    str,
    AfterValidator(_nfc),
    Field(title="About", description="What it does, for the others here.", max_length=500),
]
PlanDocument = Annotated[
    dict[str, Any],
    Field(title="Plan", description="A plan document; see /api/v1/plan/schema."),
]


class NewWorkflow(Draft):
    name: WorkflowName
    about: About = ""
    plan: PlanDocument | None = None
    """None: an empty one."""


class WorkflowSettings(Draft):
    name: WorkflowName
    about: About = ""


class PlanSave(Draft):
    plan: PlanDocument
    rev: Annotated[int, Field(title="Revision", ge=1)]
    """The revision the change was made for; another one is refused."""


class PlanToCheck(Draft):
    plan: PlanDocument | None = None
    """None: the draft as it is stored."""


class PutLive(Draft):
    note: Annotated[
        str,
        AfterValidator(_one_line),
        Field(title="Note", description="What changed, for the list of versions.", max_length=140),
    ] = ""


class Shown(BaseModel):
    model_config = ConfigDict(frozen=True)


class CheckShown(Shown):
    """Something left to do (`todo`), worth a look (`look`) or broken.

    `step` is the id of a step, "" for the workflow itself; `field` points inside the step.
    """

    kind: Literal["todo", "look", "broken"]
    step: str
    field: str
    code: str
    text: str


class WorkflowShown(Shown):
    id: str
    name: str
    about: str
    rev: int
    live_version: int | None
    changed: bool
    """Whether the draft differs from the live version."""
    changed_at: datetime


class WorkflowSaved(WorkflowShown):
    checks: list[CheckShown]


class WorkflowOpened(WorkflowSaved):
    plan: dict[str, Any]


class WorkflowList(Shown):
    items: list[WorkflowShown]
    next: str | None


class Verdict(Shown):
    ok: bool
    """Nothing of kind `todo` or `broken` is left."""
    checks: list[CheckShown]


class LiveVersion(Shown):
    version: int


class VersionShown(Shown):
    version: int
    live: bool
    note: str
    by: str
    at: datetime


class VersionOpened(VersionShown):
    plan: dict[str, Any]


class VersionList(Shown):
    items: list[VersionShown]
    next: str | None
