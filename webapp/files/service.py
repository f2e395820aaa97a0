"""Keep and give files. The bytes go to the shelf first, so that a row never lacks them."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import select

from webapp.access.context import Context, requires, system_only
from webapp.access.permissions import Permission
from webapp.access.tenancy import across_organizations
from webapp.files.models import File
from webapp.files.schemas import FileOut
from webapp.files.shelf import DiskShelf
from webapp.kernel.clock import now
from webapp.kernel.errors import Gone, Invalid, NotFound
from webapp.kernel.ids import parse_id, public_id

MOST_BYTES: Final = 20 * 2**20
UPLOADS_KEPT: Final = timedelta(days=30)


@requires(Permission.START_RUNS)
def upload_file(ctx: Context, name: str, media_type: str, content: bytes) -> FileOut:
    """Keep an upload for 30 days.

    Raises:
        Invalid: it is larger than 20 MB.
    """
    if len(content) > MOST_BYTES:
        raise Invalid.at("/file", "E-FILE", name=name, reason="We take files up to 20 MB.")
    return keep_file(ctx, name, media_type, content, kept_until=now() + UPLOADS_KEPT)


@requires(Permission.START_RUNS)
def keep_file(
    ctx: Context, name: str, media_type: str, content: bytes, kept_until: datetime | None = None
) -> FileOut:
    """Keep bytes that the product itself made or brought; None is for ever."""
    file = File(
        organization_id=ctx.organization_id,
        sha256=shelf(ctx).put(content),
        size=len(content),
        name=_plain(name),
        type=media_type[:100] or "application/octet-stream",
        kept_until=kept_until,
    )
    ctx.session.add(file)
    ctx.session.flush()  # the id and the time are made here
    return present(file)


@requires(Permission.VIEW_RUNS)
def get_file(ctx: Context, file_id: str) -> tuple[FileOut, bytes]:
    """Return a file and its bytes.

    Raises:
        NotFound: this organization has no such file.
        Gone: it was kept only until some day.
    """
    file = ctx.get(File, parse_id("file", file_id))
    if file.kept_until is not None and file.kept_until < now():
        raise Gone("E-FILE-GONE", until=f"{file.kept_until:%d %B %Y}")
    return present(file), shelf(ctx).get(file.sha256)


@requires(Permission.VIEW_RUNS)
def describe_file(ctx: Context, file_id: str) -> FileOut:
    """Return what is known about a file, without its bytes."""
    return present(ctx.get(File, parse_id("file", file_id)))


@requires(Permission.VIEW_RUNS)
def describe_files(ctx: Context, file_ids: Iterable[str]) -> dict[str, FileOut]:
    """Return what is known about these files by id; one that is not here is left out."""
    ids = []
    for file_id in file_ids:
        with suppress(NotFound):
            ids.append(parse_id("file", file_id))
    if not ids:
        return {}
    found = [present(row) for row in ctx.session.scalars(select(File).where(File.id.in_(ids)))]
    return {file.id: file for file in found}


@system_only
def forget_old_files(ctx: Context) -> int:
    """Delete rows whose time is over, in every organization, and bytes nobody refers to.

    Returns how many rows went. Run by housekeeping.
    """
    with across_organizations(ctx.session, "forget files whose time is over"):
        old = ctx.session.scalars(select(File).where(File.kept_until < now()).limit(500)).all()
        hashes = {file.sha256 for file in old}
        for file in old:
            ctx.session.delete(file)
        ctx.session.flush()  # the question below must not see them
        needed = set(ctx.session.scalars(select(File.sha256).where(File.sha256.in_(hashes))))
    for sha256 in hashes - needed:
        shelf(ctx).drop(sha256)
    return len(old)


def shelf(ctx: Context) -> DiskShelf:
    """Return where this installation keeps bytes."""
    return DiskShelf(ctx.settings.data / "files")


def present(file: File) -> FileOut:
    return FileOut(
        id=public_id("file", file.id),
        name=file.name,
        type=file.type,
        size=file.size,
        kept_until=file.kept_until,
    )


def _plain(name: str) -> str:
    """Return a name that is only a name: no folders, no control characters."""
    last = name.replace("\\", "/").rsplit("/", 1)[-1]
    return "".join(c for c in last if c.isprintable()).strip(". ")[:200] or "file"
