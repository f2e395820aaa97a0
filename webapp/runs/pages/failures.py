"""Why runs failed, and many of them run again."""

from __future__ import annotations

from collections import Counter
from typing import Any, Final

from flask import Response, make_response, render_template, request

from webapp.access.context import Context
from webapp.access.permissions import Permission
from webapp.kernel.drafts import validated
from webapp.kernel.errors import Invalid
from webapp.kernel.ids import public_id
from webapp.runs import replaying
from webapp.runs.pages.doors import doors, list_url, whole_number
from webapp.runs.replaying import Cause, Press
from webapp.runs.schemas import CauseKey, Replay
from webapp.web.doors import GoOn
from webapp.web.forms import whole_typed
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


@doors.post("/o/<org>/runs/failed/replay", permission=Permission.START_RUNS, in_turns=True)
def replay(ctx: Context, so_far: dict[str, Any]) -> Response | GoOn:
    """Start the runs. The form's one-time field makes a second press harmless."""
    causes = request.form.getlist("cause")
    typed = {"pace": request.form.get("pace", ""), "send_again": request.form.get("send_again", "")}
    sent = {"causes": [_read(one).model_dump() for one in causes], "days": _days()}
    try:
        draft = validated(
            Replay,
            sent | {"pace": whole_typed(typed["pace"]), "send_again": typed["send_again"] == "yes"},
        )
        press = replaying.replay(ctx, draft, so_far)
    except Invalid as wrong:
        return make_response(_check(ctx, causes, typed, wrong), 422)
    if press.todo:
        return GoOn(press.model_dump(mode="json"))
    return done(list_url(), say=_told(press, draft.pace))


def _told(press: Press, pace: int) -> str:
    """Return what became of a press; the reason that kept back most comes first."""
    many = len(press.started)
    said = [f"{many:,} runs are started, {pace} a minute." if many > 1 else "1 run is started."]
    if not many:
        said = ["No run is started."]
    if press.left:
        said.append(f"{press.left:,} are left for next time.")
    for text, count in Counter(one.text for one in press.refused).most_common():
        said.append(f"{'1 was' if count == 1 else f'{count:,} were'} not started: {text}")
    return " ".join(said)


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
    found = [_read(one) for one in causes]
    errors = [one.detail for one in wrong.errors] if wrong is not None else []
    pace = {"id": "pace", "name": "pace", "value": typed["pace"], "errors": errors}
    return render_template(
        "runs/failures_check.html",
        batch=replaying.preview(ctx, _days(), replaying.keys_of(found)),
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
