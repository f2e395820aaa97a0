"""Health for machines at the root, and the staff area for people."""

from __future__ import annotations

from typing import Any

from flask import Response, current_app, render_template

from webapp.access.permissions import Permission
from webapp.admin import service
from webapp.admin.schemas import Alive, MachineState, Ready
from webapp.web import jsons
from webapp.web.database import brief_reading
from webapp.web.doors import Doors

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


@doors.get("/admin/ui", permission=Permission.USE_STAFF_PAGES)
def catalogue() -> str:
    """Show every piece that pages are made of, in all its states."""
    return render_template("admin/ui.html")
