"""A file's address for people: always a download, never shown in the page."""

from __future__ import annotations

from flask import Response

from webapp.access.context import Context
from webapp.access.permissions import Permission
from webapp.files import service
from webapp.files.sending import attachment
from webapp.web.doors import Doors

doors = Doors("files", __name__)


@doors.get("/o/<org>/files/<file>", permission=Permission.VIEW_RUNS)
def download(ctx: Context, file: str) -> Response:
    described, body = service.get_file(ctx, file)
    return attachment(body, described.name, described.type)
