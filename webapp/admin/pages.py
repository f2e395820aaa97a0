"""Health for machines at the root, and the staff area for people."""

from __future__ import annotations

from typing import Any

from flask import Response, current_app, g, render_template

from webapp.access.context import NOWHERE, Context
from webapp.access.permissions import Permission
from webapp.admin import service
from webapp.admin.schemas import Alive, MachineState, Ready
from webapp.runs import holding, traffic
from webapp.runs.schemas import QueueDraft
from webapp.runs.starting import MOST_WAITING
from webapp.web import jsons
from webapp.web.database import brief_reading, db
from webapp.web.doors import Doors
from webapp.web.forms import form_of, posted
from webapp.web.htmx import done, invalid
from webapp.web.identities import places

doors = Doors("admin", __name__)


@doors.get("/health", public=True, answer=Alive)
def health() -> Response:
    """Say that the web process answers. Asks nobody else, so that it is quick and honest."""
    return jsons.answer({"status": "ok"})


@doors.get("/ready", public=True, answer=Ready, also={503: Ready})
def ready() -> Response:
    """Say whether requests that need the database would work."""
    with brief_reading() as session:
        if service.database_answers(session):
            return jsons.answer({"status": "ok"})
    answer = jsons.answer({"status": "down"}, 503)
    answer.headers["Retry-After"] = "5"
    return answer


@doors.get("/status", public=True, answer=MachineState, also={503: MachineState})
def status() -> Response:
    """Say how each part of the machine is."""
    with brief_reading() as session:
        found: dict[str, Any] = service.machine_status(session, current_app.extensions["redis"])
    return jsons.answer(found, 503 if found["status"] == "down" else 200)


STAFF = Permission.USE_STAFF_PAGES


def _context() -> Context:
    """Return the context of somebody who looks after the machine, in their own organization."""
    home = places()[0].organization_id if places() else NOWHERE
    settings = current_app.extensions["settings"]
    return Context(db.session(), home, g.actor, settings, g.get("request_id", ""))


@doors.get("/admin/queues", permission=STAFF)
def queues() -> str:
    """Show what waits and works on this machine, and how the queue is kept."""
    ctx = _context()
    setting = traffic.queue_setting(ctx)
    form = form_of(QueueDraft, mode=setting.mode, max_waiting=setting.max_waiting)
    return render_template("admin/queues.html", form=form, **_queue(ctx))


def _queue(ctx: Context) -> dict[str, Any]:
    return {
        "setting": traffic.queue_setting(ctx),
        "traffic": traffic.traffic_of_queue(ctx),
        "shares": traffic.shares(ctx),
        "most": MOST_WAITING,
    }


@doors.post("/admin/queues", permission=STAFF)
def change_queue() -> Response:
    """Say in which order the queue is worked off, and how much may wait in it."""
    ctx, form = _context(), posted(QueueDraft)
    if form.submit(lambda draft: holding.change_queue(ctx, draft)) is None:
        return invalid(form, "admin/queues.html", "admin/_queue_form.html", **_queue(ctx))
    return done("/admin/queues", say="Saved. Runs that are in line keep their places.")


@doors.post("/admin/queues/pause", permission=STAFF)
def pause_queue() -> Response:
    holding.pause_queue(_context())
    return done("/admin/queues", say="The queue is paused. New starts wait.")


@doors.post("/admin/queues/resume", permission=STAFF)
def resume_queue() -> Response:
    holding.resume_queue(_context())
    return done("/admin/queues", say="The queue goes on.")


@doors.get("/admin/services", permission=STAFF)
def outside_services() -> str:
    """Show which outside services are left alone, and what was answered from the cache."""
    found = service.outside(_context(), current_app.extensions["redis"])
    return render_template("admin/services.html", found=found)


@doors.get("/admin/ui", permission=Permission.USE_STAFF_PAGES)
def catalogue() -> str:
    """Show every piece that pages are made of, in all its states."""
    return render_template("admin/ui.html")
