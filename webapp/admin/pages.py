"""Health for machines at the root, and the staff area for people."""

from __future__ import annotations

from typing import Any

from flask import Response, current_app, render_template

from webapp.admin import service
from webapp.kernel.errors import Forbidden
from webapp.web import jsons
from webapp.web.database import brief_reading
from webapp.web.doors import Doors
from webapp.web.identities import visitor

doors = Doors("admin", __name__)


@doors.get("/health", public=True)
def health() -> Response:
    """Say that the web process answers. Asks nobody else, so that it is quick and honest."""
    return jsons.answer({"status": "ok"})


@doors.get("/ready", public=True)
def ready() -> Response:
    """Say whether requests that need the database would work."""
    with brief_reading() as session:
        if service.database_answers(session):
            return jsons.answer({"status": "ok"})
    answer = jsons.answer({"status": "down"}, 503)
    answer.headers["Retry-After"] = "5"
    return answer


@doors.get("/status", public=True)
def status() -> Response:
    """Say how each part of the machine is."""
    with brief_reading() as session:
        found: dict[str, Any] = service.machine_status(session, current_app.extensions["redis"])
    return jsons.answer(found, 503 if found["status"] == "down" else 200)


@doors.get("/admin/ui", signed_in=True)
def catalogue() -> str:
    """Show every piece that pages are made of, in all its states."""
    person = visitor()
    if person is None or not person.staff:
        raise Forbidden("E-ROLE", who="Only people who look after this machine", what="see this")
    return render_template("admin/ui.html")
