"""Why runs failed, and many of them run again, for programs."""

from __future__ import annotations

from typing import Any

from webapp.access.context import Context
from webapp.access.permissions import Permission
from webapp.kernel.ids import public_id
from webapp.runs import replaying
from webapp.runs.schemas import (
    FailureCause,
    FailureList,
    FailuresAsked,
    Reference,
    Replay,
    Replayed,
)
from webapp.web.doors import ApiDoors, GoOn

doors = ApiDoors("failures", __name__)


@doors.get("/failures", permission=Permission.VIEW_RUNS, query=FailuresAsked, answer=FailureList)
def list_failures(ctx: Context, query: FailuresAsked) -> FailureList:
    """Group failed runs that nobody has run again by their cause, the most frequent first."""
    found = replaying.causes(ctx, query.days)
    return FailureList(items=[_shown(one) for one in found.items], looked_back_to=found.reached)


@doors.post(
    "/failures/replay",
    permission=Permission.START_RUNS,
    once="required",
    body=Replay,
    answer=Replayed,
    status=202,
    errors=(409,),
    in_turns=True,
)
def replay_failures(ctx: Context, body: Replay, so_far: dict[str, Any]) -> Replayed | GoOn:
    """Run failed runs again, each from the step that failed, 500 at most and at a pace."""
    press = replaying.replay(ctx, body, so_far)
    if press.todo:
        return GoOn(press.model_dump(mode="json"))
    runs = [public_id("run", run_id) for run_id in press.started]
    return Replayed(runs=runs, refused=press.refused, left=press.left)


def _shown(cause: replaying.Cause) -> FailureCause:
    return FailureCause(
        workflow=Reference(id=public_id("wf", cause.workflow_id), name=cause.workflow),
        step=cause.step,
        step_name=cause.step_name,
        code=cause.code,
        text=cause.text,
        count=len(cause.runs),
        first_at=cause.oldest.at,
        last_at=cause.newest.at,
        newest=public_id("run", cause.newest.id),
    )
