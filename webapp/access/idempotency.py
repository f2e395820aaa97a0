"""Answers kept under the caller's key, so that a repeated request does its work once.

The row is written in the transaction of the work itself: there is no "running" state to take
over. A rival with the same key waits on the row (PostgreSQL) or before the turnstile (SQLite)
and then finds the answer. Work in several transactions keeps in the row, with status 0, how far
it has come, each time in the transaction that came so far: whoever repeats the request goes on
from there, also beside the first. Rows live for 72 hours.

Source: IETF draft-ietf-httpapi-idempotency-key-header, and Stripe's rule that the first status
and body are answered again, whatever they were.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import Index, LargeBinary, SmallInteger, String, delete
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Mapped, mapped_column

from webapp.access.context import Context, system_only
from webapp.access.tenancy import OrganizationOwned, across_organizations
from webapp.kernel.clock import now
from webapp.kernel.crashpoints import crashpoint
from webapp.kernel.db import Base, Id, Json, UtcDateTime
from webapp.kernel.errors import BadRequest, Conflict, Invalid
from webapp.kernel.rawsql import sql_for

KEPT: Final = timedelta(hours=72)
LONGEST_KEY: Final = 255
KEY_PATTERN: Final = "^[!-~]([ -~]*[!-~])?$"
"""Headers are ASCII, and what carries them takes the blanks around them away."""
OURS: Final = ("again:", "child:", "example:", "form:", "hook:", "sched:")
"""How the keys of runs begin that Deckhand starts by itself: who took one of these would be taken
for what it was about to start.
"""
_RIVAL_WAIT_MS: Final = 2000


class IdempotentAnswer(OrganizationOwned, Base):
    """What was answered to (route, key); a row exists only committed."""

    __tablename__ = "idem"

    organization_id: Mapped[UUID] = mapped_column(Id, primary_key=True, sort_order=-1)
    route: Mapped[str] = mapped_column(String(120), primary_key=True)
    key: Mapped[str] = mapped_column(String(LONGEST_KEY), primary_key=True)
    principal: Mapped[str] = mapped_column(String(80))
    request_sha: Mapped[str] = mapped_column(String(64))
    status: Mapped[int] = mapped_column(SmallInteger, default=0)
    headers: Mapped[dict[str, str]] = mapped_column(Json, default=dict)
    body: Mapped[bytes] = mapped_column(LargeBinary, default=b"")
    made_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)

    __table_args__ = (Index("idem_made", "made_at"), {"sqlite_with_rowid": False})


@dataclass(frozen=True, slots=True)
class Answer:
    """A stored HTTP answer, byte for byte; with status 0 how far the work has come."""

    status: int
    body: bytes
    headers: dict[str, str]


def check_key(key: str | None) -> str:
    """Return the key of a request that needs one, or say what is wrong with it."""
    if key is None or not key.strip():
        raise BadRequest("E-IDEM-MISSING")
    if len(key) > LONGEST_KEY or not (key.isascii() and key.isprintable()):
        raise BadRequest("E-IDEM-LONG")
    if (prefix := next((one for one in OURS if key.startswith(one)), None)) is not None:
        raise BadRequest("E-IDEM-OURS", prefix=prefix)
    return key


def claim(
    ctx: Context, route: str, key: str, request: bytes, *, in_turns: bool = False
) -> Answer | None:
    """Take (route, key) for this transaction, or return what was answered to it before.

    Args:
        in_turns: the work takes several transactions; an unfinished one is returned as well.

    Raises:
        Invalid: the key was used for another request.
        Conflict: the first request is still at work after 2 s.
    """
    digest = hashlib.sha256(request).hexdigest()
    actor = f"{ctx.actor.kind}:{ctx.actor.id or ''}"
    row = {"route": route, "key": key, "principal": actor, "sha": digest}
    crashpoint("web.in_idempotency_insert")
    with _soon():
        if _insert(ctx, row):
            return None
        found = (ctx.organization_id, route, key)
        kept = ctx.session.get(IdempotentAnswer, found, with_for_update=in_turns or None)
    if kept is None or (kept.status == 0 and not in_turns):
        raise Conflict("E-IDEM-BUSY", retry_after=1)
    if kept.request_sha != digest:
        raise Invalid([], code="E-IDEM-OTHER")
    return Answer(kept.status, kept.body, dict(kept.headers))


def keep(ctx: Context, route: str, key: str, answer: Answer) -> None:
    """Store what is about to be answered, in the transaction that did the work."""
    connection = ctx.session.connection()
    sql = sql_for(connection.dialect.name)
    connection.exec_driver_sql(
        sql(_KEEP),
        {
            "org": sql.id(ctx.organization_id),
            "route": route,
            "key": key,
            "status": answer.status,
            "headers": sql.json(answer.headers),
            "body": answer.body,
        },
    )


# Every change passes here, so these two go to the driver as text.
_CLAIM = """
INSERT INTO idem (organization_id, route, key, principal, request_sha, status, headers, body,
                  made_at)
VALUES (:org, :route, :key, :principal, :sha, 0, :headers, :body, :at)
ON CONFLICT DO NOTHING"""

_KEEP = """
UPDATE idem SET status = :status, headers = :headers, body = :body
 WHERE organization_id = :org AND route = :route AND key = :key"""


def _insert(ctx: Context, row: dict[str, str]) -> bool:
    connection = ctx.session.connection()
    sql = sql_for(connection.dialect.name)
    values = row | {
        "org": sql.id(ctx.organization_id),
        "headers": "{}",
        "body": b"",
        "at": sql.moment(now()),
    }
    if sql.postgresql:
        wait = {"wait": str(_RIVAL_WAIT_MS)}
        connection.exec_driver_sql("SELECT set_config('lock_timeout', %(wait)s, true)", wait)
    return connection.exec_driver_sql(sql(_CLAIM), values).rowcount == 1


@contextmanager
def _soon() -> Iterator[None]:
    """Say that the first request is still at work when its row is locked for too long."""
    try:
        yield
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", "") == "55P03":  # lock_not_available
            raise Conflict("E-IDEM-BUSY", retry_after=1) from error
        raise


@system_only
def forget_answers(ctx: Context) -> int:
    """Delete answers older than 72 hours; returns how many."""
    with across_organizations(ctx.session, "forget answers whose time is over"):
        result = ctx.session.execute(
            delete(IdempotentAnswer).where(IdempotentAnswer.made_at < now() - KEPT),
            execution_options={"synchronize_session": False},
        )
    return result.rowcount  # type: ignore[attr-defined]  # a DELETE's result counts
