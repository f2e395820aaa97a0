"""What comes in and goes out: workflows, their drafts, checks and versions."""

from __future__ import annotations

import unicodedata
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from webapp.kernel.asking import CountingNumber, Listed, a_cursor, an_id, exact, whole
from webapp.kernel.drafts import Draft


def _one_line(text: str) -> str:
    return " ".join(unicodedata.normalize("NFC", text).split())


def _nfc(text: str) -> str:
    return unicodedata.normalize("NFC", text)


# One character at least that is no blank, nowhere NUL: for schemas what `strip` does here.
_NOT_BLANK = (
    r"^[^\u0000]*[^\u0000\t-\r\u001c-\u0020\u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f"
    r"\u3000][^\u0000]*$"
)

WorkflowName = Annotated[
    str,
    Field(
        title="Name",
        min_length=1,
        max_length=80,
        pattern=_NOT_BLANK,
        json_schema_extra={"enter": "a name for the workflow"},
    ),
    AfterValidator(_one_line),  # behind the limits, or the schema would lose them
]
About = Annotated[
    str,
    Field(title="About", description="What it does, for the others here.", max_length=500),
    AfterValidator(_nfc),
]
PlanDocument = Annotated[
    dict[str, Any],
    Field(title="Plan", json_schema_extra={"x-component": "Plan"}),
]
"""A plan; its own reader checks it, and the description of the API shows its whole schema."""

EXAMPLE: dict[str, Any] = {
    "plan": 1,
    "inputs": [{"name": "who", "label": "Who", "type": "text", "required": True}],
    "steps": [
        {
            "id": "s_1",
            "kind": "text",
            "name": "Greet",
            "with": {"text": [{"text": "Hello "}, {"value": ["start", "who"]}]},
        }
    ],
    "result": [
        {
            "name": "greeting",
            "label": "Greeting",
            "type": "text",
            "value": [{"value": ["s_1", "text"]}],
        }
    ],
}
"""A plan for those who read the description of the API: small, whole and runnable."""


def _example(value: dict[str, Any]) -> ConfigDict:
    return ConfigDict(json_schema_extra={"examples": [value]})


class WorkflowsAsked(Listed):
    after: Annotated[str | None, a_cursor("wf")] = None
    cursor: Annotated[str | None, a_cursor("wf")] = None


class VersionsAsked(Listed):
    after: Annotated[str | None, a_cursor("ver")] = None
    cursor: Annotated[str | None, a_cursor("ver")] = None


class SchemaAsked(Draft):
    level: Literal["live", "draft"] = Field(
        "live", description="In a draft, steps may still lack settings."
    )


class NewWorkflow(Draft):
    model_config = _example({"name": "Greeting", "about": "Says hello.", "plan": EXAMPLE})

    name: WorkflowName
    about: About = ""
    plan: PlanDocument | None = None
    """None: an empty one."""


class WorkflowSettings(Draft):
    name: WorkflowName
    about: About = ""


RunMode = Literal["parallel", "single", "queued", "restart"]


MostRunning = Annotated[
    Annotated[int, Field(ge=1, le=1000, strict=True)] | None,
    BeforeValidator(exact),
    Field(
        title="Runs at the same time",
        description="How many may work at once; the others wait. Empty: as many as there is room.",
    ),
]


class Pace(Draft):
    """How runs of one workflow go beside each other."""

    model_config = _example({"run_mode": "queued", "most_running": None})

    run_mode: RunMode = Field(
        "parallel",
        title="When it is started while it runs",
        description="`parallel` runs both, `single` refuses the new start, `queued` runs one "
        "after the other, `restart` cancels the old run.",
        json_schema_extra={
            "widget": "radios",
            "labels": {
                "parallel": "Let both run",
                "queued": "Run them one after the other",
                "single": "Refuse the new start",
                "restart": "Cancel the old run and begin anew",
            },
        },
    )
    most_running: MostRunning = None


class OrganizationPace(Draft):
    """How many runs of the organization work at the same time."""

    model_config = _example({"most_running": 20})

    most_running: MostRunning = None


class PaceShown(BaseModel):
    """What holds back the runs of a workflow, or of the organization."""

    run_mode: RunMode
    most_running: int | None
    paused: bool
    paused_by: str | None
    paused_at: datetime | None


class PlanSave(Draft):
    model_config = _example({"plan": EXAMPLE, "rev": 1})

    plan: PlanDocument
    rev: CountingNumber = Field(
        title="Revision",
        description="The revision that the change was made for; another one is refused.",
    )


class PlanToCheck(Draft):
    model_config = _example({"plan": EXAMPLE})

    plan: PlanDocument | None = None
    """None: the draft as it is stored."""


class ExportedWorkflow(Draft):
    """What a workflow is called, in a file."""

    name: WorkflowName
    about: About = ""
    tags: Annotated[list[Annotated[str, Field(max_length=40)]], Field(max_length=20)] = []


class Need(Draft):
    """A connection that steps of an exported plan name."""

    connection: Annotated[str, Field(max_length=60)]
    service: Annotated[str, Field(max_length=80)] = ""
    label: Annotated[str, Field(max_length=80)] = ""


class Export(Draft):
    """A workflow as a file, to be kept or brought in elsewhere."""

    model_config = _example(
        {"deckhand": 1, "workflow": {"name": "Greeting", "about": "Says hello."}, "plan": EXAMPLE}
    )

    deckhand: Annotated[Literal[1], BeforeValidator(whole)] = Field(title="Format")
    workflow: ExportedWorkflow = Field(title="Workflow")
    plan: PlanDocument
    starts: Annotated[list[dict[str, Any]], Field(max_length=50)] = []
    needs: Annotated[list[Need], Field(max_length=100)] = []
    samples: Annotated[dict[str, Any], Field(max_length=500)] = {}


class PastedPlan(Draft):
    """A plan or an exported workflow as text, as a page takes it."""

    model_config = ConfigDict(str_strip_whitespace=False)

    name: Annotated[
        str,
        Field(title="Name", description="Empty: the name that stands in the file.", max_length=80),
        AfterValidator(_one_line),
    ] = ""
    text: Annotated[str, Field(title="Plan", description="YAML or JSON.")] = ""


VersionWord = Annotated[str, Field(pattern=r"^(draft|live|[1-9][0-9]{0,8})$")]


class PlanAsked(Draft):
    version: VersionWord = Field("draft", description="`draft`, `live` or a number.")


class PutLive(Draft):
    model_config = _example({"note": "Greets by name"})

    note: Annotated[
        str,
        Field(title="Note", description="What changed, for the list of versions.", max_length=140),
        AfterValidator(_one_line),
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
    id: Annotated[str, an_id("wf")]
    name: str
    about: str
    rev: int
    live_version: int | None = Field(description="null while nothing is live")
    changed: bool = Field(description="Whether the draft differs from the live version.")
    changed_at: datetime


class LastRun(Shown):
    """The newest run of a workflow, as the part above that knows runs tells it.

    Attributes: mark: key of its status mark; word: its state as people read it; at: when it was
    started.
    """

    id: Annotated[str, an_id("run")]
    url: str
    mark: str
    word: str
    at: datetime


class WorkflowSaved(WorkflowShown):
    checks: list[CheckShown]


class WorkflowOpened(WorkflowSaved):
    plan: PlanDocument


class WorkflowList(Shown):
    items: list[WorkflowShown]
    next: str | None


class Imported(WorkflowSaved):
    left_out: list[str] = Field(description="What the file has and this version cannot keep.")


class PlanYaml(BaseModel):
    """A plan as YAML."""

    model_config = ConfigDict(extra="allow", json_schema_extra={"x-media-type": "application/yaml"})


class ExportYaml(BaseModel):
    """An exported workflow as YAML."""

    model_config = ConfigDict(extra="allow", json_schema_extra={"x-media-type": "application/yaml"})


class Verdict(Shown):
    ok: bool = Field(description="Whether nothing of kind `todo` or `broken` is left.")
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
    plan: PlanDocument


class VersionList(Shown):
    items: list[VersionShown]
    next: str | None


class JsonSchema(BaseModel):
    """A JSON Schema document (draft 2020-12)."""

    model_config = ConfigDict(
        extra="allow", json_schema_extra={"x-media-type": "application/schema+json"}
    )
