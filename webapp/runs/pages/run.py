"""One run: as it works, what it gave, and how to stop it."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from flask import Response, current_app, g, make_response, render_template, request

from webapp.access.context import Context
from webapp.access.permissions import Permission
from webapp.files.csvs import as_csv
from webapp.files.sending import attachment
from webapp.kernel import jsons
from webapp.kernel.drafts import validated
from webapp.kernel.errors import Conflict, Invalid, NotFound
from webapp.kernel.ids import parse_id
from webapp.live.texts import text_so_far
from webapp.runs import (
    approvals,
    deciding,
    looking,
    panes,
    pausing,
    seeing,
    service,
    showing,
    signals,
    watching,
)
from webapp.runs.doubting import doubt_of
from webapp.runs.pages.approvals import view_of
from webapp.runs.pages.doors import doors, list_url, org_url, run_url, whole_number, zone
from webapp.runs.rehearsing import as_rows, would_have_sent
from webapp.runs.relations import relations
from webapp.runs.schemas import SignalSent, StepDecision
from webapp.runs.showing import RunView
from webapp.runs.signals import read_json
from webapp.runs.standing import standing_of
from webapp.runs.watching import Watched
from webapp.spending.service import paid_by_step
from webapp.web.forms import DraftForm, posted
from webapp.web.htmx import done, wants_part

STOP_POLLING = 286
MOST_PATH = 400


@doors.get("/o/<org>/runs/<run>", permission=Permission.VIEW_RUNS)
def show(ctx: Context, run: str) -> Response | str:
    """Show a run; `part` is live (what changed behind `after`), pane or items."""
    run_id = parse_id("run", run)
    if wants_part("items"):
        return _items(ctx, run_id)
    after = whole_number(request.args.get("after", "")) if wants_part("live") else None
    watched = watching.watch(ctx, run_id, request.args.get("step", "")[:MOST_PATH], after)
    view = _view(watched)
    view.standing = standing_of(ctx, watched.row)
    if after is not None:
        return _live(ctx, view)
    _fill(ctx, view)
    if wants_part("pane"):
        return render_template("runs/_pane_part.html", v=view)
    return _page(ctx, view)


def _page(ctx: Context, view: RunView) -> str:
    _relate(ctx, view)
    view.neighbors = watching.neighbors(ctx, view.row)
    return render_template("runs/show.html", v=view)


def _relate(ctx: Context, view: RunView) -> None:
    """Bring what the head says beside the run itself."""
    view.relations = relations(ctx, view.row, view.watched.places)
    view.unsent = would_have_sent(ctx, view.row, view.watched.places)


def _view(watched: Watched) -> RunView:
    step, view = request.args.get("step", "")[:MOST_PATH], request.args.get("view", "")
    return RunView(
        watched,
        run_url(watched.row),
        step if watched.places.step_at(step) is not None else "",
        view if view in showing.VIEWS else "out",
        still="still" in request.args,
        whole=request.args.get("all", ""),
        zone=zone(),
    )


def _fill(ctx: Context, view: RunView) -> None:
    """Bring what the page shows beside the lines: result, pane, files."""
    values: list[Any] = [view.run.inputs]
    if view.run.state == "done":
        result = watching.result_of(ctx, view.row)
        showing.result_outputs(view, result)
        values.append(result)
    if view.watched.chosen is not None:
        values += _fill_pane(ctx, view)
    _name_files(ctx, view, values)
    _ask(ctx, view)


def _ask(ctx: Context, view: RunView, typed: tuple[str, Any] = ("", None)) -> None:
    """Bring what a person has to decide; `typed` is the path and note of a refused form."""
    asks = any(step.kind == "approval" for step in view.watched.places.steps.values())
    if asks and view.active:
        found = approvals.open_in_run(ctx, view.run.id)
        view.approvals = [view_of(ctx, one, back=view.base) for one in found]
    if view.run.state == "needs_review":
        rows, view.doubts_in_all = deciding.open_questions(ctx, view.run.id)
        places, (path, note) = view.watched.places, typed
        view.doubts = [doubt_of(row, places, note if row.path == path else None) for row in rows]


def _name_files(ctx: Context, view: RunView, values: list[Any]) -> None:
    view.files = {
        file_id: {"name": file.name, "size": file.size, "url": f"{org_url()}/files/{file_id}"}
        for file_id, file in watching.files_in(ctx, *values).items()
    }


def _fill_pane(ctx: Context, view: RunView) -> list[Any]:
    """Bring what the open view of the pane shows; return its values."""
    chosen = view.watched.chosen
    assert chosen is not None
    mark, word = panes.pane_state(chosen)
    view.pane = {"mark": mark, "word": word, "path": chosen.path}
    row = chosen.row
    if view.view == "in":
        values = seeing.went_in(ctx, view.row, view.watched.places, chosen.path)
        view.pane["given"] = [panes.narrow("", label, value) for label, value in values]
        return [value for _, value in values]
    if view.view == "details":
        asks_models = row is not None and row.kind == "agent"
        paid = paid_by_step(ctx, view.run.id, chosen.path) if asks_models else []
        facts = panes.details(chosen, zone(), paid)
        facts += [("Note", note) for note in watching.notes_in(ctx, view.watched)]
        view.pane |= {"facts": facts, "raw": panes.raw_parts(chosen)}
        return []
    if view.view == "talk":
        calls = panes.tool_calls(watching.calls_in(ctx, view.watched))
        view.pane |= {"told": panes.told(chosen), "calls": calls}
        return []
    if view.view not in {name for name, _ in view.views}:
        view.view = "out"
    view.pane |= panes.waits_for(chosen) if view.active else {}
    if chosen.step.kind == "workflow":
        view.pane["child"] = panes.child_of(chosen, watching.request_of(ctx, view.watched))
    if chosen.step.kind in {"each", "repeat"}:
        start = whole_number(request.args.get("from", ""))
        _, lines, whole = watching.items_page(ctx, view.run.id, chosen.path, start)
        view.pane |= {"lines": lines, "start": start, "whole": whole}
        if view.view == "items":
            return []
    view.pane["outputs"] = panes.came_out(chosen)
    if row is not None and row.state == "intent" and chosen.step.kind == "agent":
        url = current_app.extensions["settings"].redis_url
        view.pane["text"] = text_so_far(url, view.id, chosen.path, row.attempt) if url else ""
        view.pane["room"] = f"text:{view.id}:{chosen.path}"
    return [output.value for output in view.pane["outputs"]]


def _live(ctx: Context, view: RunView) -> Response:
    if view.watched.is_new:
        if not view.active:
            view.watched = watching.watch(ctx, view.run.id, view.step)
            _fill(ctx, view)
        elif view.watched.chosen is not None and view.watched.chosen_changed:
            _name_files(ctx, view, _fill_pane(ctx, view))
        _ask(ctx, view)
        _relate(ctx, view)
    body = render_template("runs/_live.html", v=view)
    return make_response(body, 200 if view.active else STOP_POLLING)


def _items(ctx: Context, run_id: UUID) -> str:
    each, start = (
        request.args.get("step", "")[:MOST_PATH],
        whole_number(request.args.get("from", "")),
    )
    watched, lines, whole = watching.items_page(ctx, run_id, each, start)
    view = _view(watched)
    view.pane = {"lines": lines, "start": start, "whole": whole, "path": each}
    return render_template("runs/_items.html", v=view)


@doors.post("/o/<org>/runs/<run>/cancel", permission=Permission.CONTROL_RUNS)
def cancel(ctx: Context, run: str) -> Response:
    row = service.cancel_run(ctx, parse_id("run", run))
    say = (
        "The run is cancelled." if row.run.is_over else "Cancelling. Finished steps stay finished."
    )
    return done(run_url(row), say=say)


@doors.post("/o/<org>/runs/<run>/pause", permission=Permission.CONTROL_RUNS)
def pause(ctx: Context, run: str) -> Response:
    row = pausing.pause_run(ctx, parse_id("run", run))
    at_once = row.run.state == "paused"
    say = "The run is paused." if at_once else "Pausing. What has begun is finished and kept."
    return done(run_url(row), say=say)


@doors.post("/o/<org>/runs/<run>/resume", permission=Permission.CONTROL_RUNS)
def resume(ctx: Context, run: str) -> Response:
    return done(run_url(pausing.resume_run(ctx, parse_id("run", run))), say="The run goes on.")


@doors.post("/o/<org>/runs/<run>/decide", permission=Permission.CONTROL_RUNS)
def decide(ctx: Context, run: str) -> Response:
    """Hear what a person found out about a step in doubt."""
    run_id, path, form = (
        parse_id("run", run),
        request.form.get("path", "")[:MOST_PATH],
        posted(StepDecision),
    )
    try:
        left = form.submit(
            lambda said: deciding.decide_step(ctx, run_id, path, said.decision, said.note)
        )
    except Conflict as answered:
        return done(f"{list_url()}/{run}", say=answered.text)
    if left is None:
        return _ask_again(ctx, run_id, path, form)
    say = f"{left:,} more to decide." if left else "Decided. The run is back in line."
    return done(f"{list_url()}/{run}", say=say)


@doors.post("/o/<org>/runs/<run>/signals", permission=Permission.CONTROL_RUNS)
def send_signal(ctx: Context, run: str) -> Response:
    """Send the signal that a step waits for."""
    run_id, name = parse_id("run", run), request.form.get("name", "")[:80]
    typed, step = request.form.get("data", ""), request.form.get("step", "")[:MOST_PATH]
    url = f"{list_url()}/{run}"
    try:
        sent = validated(SignalSent, {"name": name, "data": read_json(typed)})
        signals.send_signal(ctx, run_id, sent)
    except Conflict as answered:
        return done(url, say=answered.text)
    except Invalid as wrong:
        view = _view(watching.watch(ctx, run_id, step))
        _fill(ctx, view)
        view.pane |= {"typed": typed, "wrong": [one.detail for one in wrong.errors] or [wrong.text]}
        return make_response(_page(ctx, view), 422)
    return done(url, say=f"The signal “{name}” is sent.")


def _ask_again(ctx: Context, run_id: UUID, path: str, form: DraftForm[StepDecision]) -> Response:
    """Show the run with the form as it was typed."""
    view = _view(watching.watch(ctx, run_id))
    _fill(ctx, view)
    _ask(ctx, view, (path, form["note"]))
    g.invalid_form = form
    return make_response(_page(ctx, view), 422)


@doors.get("/o/<org>/runs/<run>/result/<name>.<suffix>", permission=Permission.VIEW_RUNS)
def download_result(ctx: Context, run: str, name: str, suffix: str) -> Response:
    """Return one named value of the result: a table as CSV, a text as it is, else JSON."""
    row = service.find_run(ctx, parse_id("run", run))
    result = watching.result_of(ctx, row)
    if name not in result:
        raise NotFound()
    return _download(result[name], name, suffix)


@doors.get("/o/<org>/runs/<run>/would-send.<suffix>", permission=Permission.VIEW_RUNS)
def download_unsent(ctx: Context, run: str, suffix: str) -> Response:
    """Return what a rehearsal would have sent, as CSV or JSON."""
    row = service.find_run(ctx, parse_id("run", run))
    found = as_rows(would_have_sent(ctx, row, watching.places_of(ctx, row)))
    return _download(found, "would-send", suffix)


@doors.get("/o/<org>/runs/<run>/values.json", permission=Permission.VIEW_RUNS)
def download_values(ctx: Context, run: str) -> Response:
    """Return what one step gave, whole, as JSON."""
    found = looking.task(ctx, parse_id("run", run), request.args.get("step", "")[:MOST_PATH])
    name = f"{found.attempts[-1].step_id}.json"
    return attachment(jsons.pretty(found.output), name, "application/json")


def _download(value: Any, name: str, suffix: str) -> Response:
    if suffix == "csv" and isinstance(value, list) and all(isinstance(r, dict) for r in value):
        return attachment(as_csv(value), f"{name}.csv", "text/csv; charset=utf-8")
    if suffix == "txt" and isinstance(value, str):
        return attachment(value, f"{name}.txt", "text/plain; charset=utf-8")
    if suffix == "json":
        return attachment(jsons.pretty(value), f"{name}.json", "application/json")
    raise NotFound()
