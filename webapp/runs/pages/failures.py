"""Why runs failed, and many of them run again."""

from __future__ import annotations

from typing import Any, Final

from flask import Response, make_response, render_template, request

from webapp.access.context import Context
from webapp.access.permissions import Permission
from webapp.kernel.drafts import validated
from webapp.kernel.errors import Invalid
from webapp.kernel.ids import parse_id, public_id
from webapp.runs import replaying
from webapp.runs.pages.doors import doors, list_url, whole_number
from webapp.runs.replaying import Cause
from webapp.runs.schemas import CauseKey, Replay
from webapp.web.htmx import done, wants_part

SPANS: Final = [(1, "1 day"), (7, "7 days"), (30, "30 days"), (90, "90 days")]
USUAL_DAYS: Final = 7


@doors.get("/o/<org>/runs/failed", permission=Permission.VIEW_RUNS)
def failed(ctx: Context) -> str:
    """Group failed runs by their cause."""
    return _list(ctx)


@doors.get("/o/<org>/runs/failed/check", permission=Permission.START_RUNS)
def check_replay(ctx: Context) -> Response | str:
    """Say what running the chosen groups again would mean."""
    if not request.args.getlist("cause"):
        return make_response(_list(ctx, [("causes", "Choose what to run again.")]), 422)
    return _check(ctx, request.args.getlist("cause"), {"pace": str(replaying.USUAL_A_MINUTE)})


@doors.post("/o/<org>/runs/failed/replay", permission=Permission.START_RUNS)
def replay(ctx: Context) -> Response:
    """Start the runs. The form's one-time field makes a second press harmless."""
    causes = request.form.getlist("cause")
    typed = {"pace": request.form.get("pace", ""), "send_again": request.form.get("send_again", "")}
    sent = {"causes": [_read(one).model_dump() for one in causes], "days": _days()}
    try:
        draft = validated(
            Replay, sent | {"pace": typed["pace"], "send_again": typed["send_again"] == "yes"}
        )
        runs, left = replaying.replay(
            ctx, draft.days, keys_of(draft.causes), draft.pace, send_again=draft.send_again
        )
    except Invalid as wrong:
        return make_response(_check(ctx, causes, typed, wrong), 422)
    many = f"{len(runs):,} runs are started, {draft.pace} a minute."
    said = many if len(runs) > 1 else "1 run is started."
    return done(list_url(), say=f"{said} {left:,} are left for next time." if left else said)


def keys_of(causes: list[CauseKey]) -> list[replaying.Key]:
    return [(parse_id("wf", one.workflow), one.step, one.code) for one in causes]


def _list(ctx: Context, problems: list[tuple[str, str]] | None = None) -> str:
    found = replaying.causes(ctx, _days())
    return render_template(
        "runs/_failures.html" if wants_part("list") else "runs/failures.html",
        found=found,
        rows=[_shown(cause) for cause in found.items],
        spans=SPANS,
        list_url=list_url(),
        problems=problems or [],
    )


def _check(
    ctx: Context, causes: list[str], typed: dict[str, str], wrong: Invalid | None = None
) -> str:
    keys = keys_of([_read(one) for one in causes])
    errors = [one.detail for one in wrong.errors] if wrong is not None else []
    pace = {"id": "pace", "name": "pace", "value": typed["pace"], "errors": errors}
    return render_template(
        "runs/failures_check.html",
        batch=replaying.preview(ctx, _days(), keys),
        causes=causes,
        days=_days(),
        pace=pace,
        sends=typed.get("send_again", ""),
        list_url=list_url(),
        problems=[("pace", text) for text in errors],
    )


def _shown(cause: Cause) -> dict[str, Any]:
    newest = public_id("run", cause.newest.id)
    return {
        "id": f"{public_id('wf', cause.workflow_id)}.{cause.step}.{cause.code}",
        "workflow": cause.workflow,
        "step": cause.step_name,
        "code": cause.code,
        "text": cause.text,
        "count": len(cause.runs),
        "first": cause.oldest.at,
        "last": cause.newest.at,
        "newest": newest,
        "url": f"{list_url()}/{newest}",
    }


def _read(text: str) -> CauseKey:
    workflow, _, rest = text.partition(".")
    step, _, code = rest.partition(".")
    return validated(CauseKey, {"workflow": workflow, "step": step, "code": code})


def _days() -> int:
    return whole_number(request.values.get("days", "")) or USUAL_DAYS
