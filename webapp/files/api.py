"""Files for programs: upload, describe, fetch."""

from __future__ import annotations

from flask import Response, request

from webapp.access.context import Context
from webapp.access.permissions import Permission
from webapp.files import service
from webapp.files.schemas import FileOut
from webapp.files.sending import attachment
from webapp.kernel.errors import Invalid
from webapp.web import jsons
from webapp.web.doors import ApiDoors

doors = ApiDoors("files", __name__)

WITH_THE_FORM = 64 * 1024
"""What a multipart body needs around the file itself."""


@doors.post(
    "/files",
    permission=Permission.START_RUNS,
    most_bytes=jsons.MOST_UPLOAD_BYTES + WITH_THE_FORM,
    upload="file",
    answer=FileOut,
    status=201,
)
def upload(ctx: Context) -> FileOut:
    """Keep the file of the multipart field `file` for 30 days; its id may then be an input."""
    _refuse_other_fields()
    file = request.files.get("file")
    if file is None or not file.filename:
        raise Invalid.at("/file", "E-FIELD-EMPTY", what="a file in the multipart field “file”")
    return service.upload_file(ctx, file.filename, file.mimetype, file.read())


def _refuse_other_fields() -> None:
    other = next((name for name in (*request.form, *request.files) if name != "file"), None)
    if other is not None:
        raise Invalid.at(f"/{other}", "E-FIELD-UNKNOWN", name=other, known="file")


@doors.get("/files/<file>", permission=Permission.VIEW_RUNS, answer=FileOut, errors=(410,))
def describe(ctx: Context, file: str) -> FileOut:
    """Return what is known about a file."""
    return service.describe_file(ctx, file)


@doors.get("/files/<file>/content", permission=Permission.VIEW_RUNS, answer=bytes, errors=(410,))
def content(ctx: Context, file: str) -> Response:
    """Return the file itself."""
    described, body = service.get_file(ctx, file)
    return attachment(body, described.name, described.type)
