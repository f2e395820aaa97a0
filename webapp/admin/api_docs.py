"""The description of the API, for programs and for people."""

from __future__ import annotations

from typing import Any

from flask import Response, current_app, render_template, request

from webapp.kernel.settings import Settings
from webapp.web import openapi
from webapp.web.doors import Doors

DESCRIPTION = "/openapi.json"
READABLE = f"{DESCRIPTION}?plan=short"


def doors_for(settings: Settings) -> Doors:
    """Return the doors; in production, readers sign in first. The description itself is public."""
    doors = Doors("api_docs", __name__)
    readers: dict[str, Any] = {"signed_in": True} if settings.production else {"public": True}

    @doors.get(DESCRIPTION, public=True)
    def description() -> Response:
        short = request.args.get("plan") == "short"
        return Response(openapi.text(current_app, short=short), mimetype="application/json")

    @doors.get("/docs", **readers)
    def swagger() -> str:
        return render_template("layouts/api.html", reader="swagger", url=READABLE)

    @doors.get("/redoc", **readers)
    def redoc() -> str:
        return render_template("layouts/api.html", reader="redoc", url=READABLE)

    return doors
